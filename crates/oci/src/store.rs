//! Layers and images: adding them and looking them up.

use crate::files::{Durability, make_directory, remove_tree, touch, write_atomically};
use crate::index::architecture;
use crate::layer::{digest_of, pack};
use crate::manifest::{
    CONFIG_TYPE, ConfigFile, Descriptor, Index, LAYER_TYPE, LAYOUT, LayerFile, MANIFEST_TYPE,
    Manifest, RootFs,
};
use crate::{ImageConfig, ImageStore, Layer, OciError, ResolvedImage};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;

impl ImageStore {
    /// Opens the store, making its directories if there are none.
    pub fn open(root: &Path) -> Result<Self, OciError> {
        let root =
            std::path::absolute(root).map_err(OciError::io("cannot open the image store", root))?;
        let store = Self { root };
        make_directory(&store.blobs(), 0o755)?;
        // Layers hold set-user-id programs: users of the host may pass through to what a container
        // was given, but not look around.
        make_directory(&store.layers(), 0o711)?;
        make_directory(&store.staging(), 0o711)?;
        make_directory(&store.imports(), 0o755)?;
        let layout = store.root.join("oci-layout");
        if !layout.exists() {
            write_atomically(&layout, LAYOUT.as_bytes(), Durability::Lazy)?;
        }
        if !store.index_path().exists() {
            let _lock = store.lock_exclusive()?;
            if !store.index_path().exists() {
                write_atomically(
                    &store.index_path(),
                    &json(&Index::default())?,
                    Durability::Synced,
                )?;
            }
        }
        Ok(store)
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the image with the given manifest digest.
    pub fn resolve(&self, image: &Digest) -> Result<ResolvedImage, OciError> {
        let manifest = self.manifest(image)?;
        let corrupt = |what: String| {
            OciError::Invalid(format!("image {image} is damaged: {what}; make it again"))
        };
        let config = self.blob(&manifest.config.digest)?;
        let config = config
            .ok_or_else(|| corrupt(format!("its config {} is missing", manifest.config.digest)))?;
        let config: ConfigFile = serde_json::from_slice(&config)
            .map_err(|error| corrupt(format!("its config is not valid: {error}")))?;
        let mut layers = Vec::with_capacity(manifest.layers.len());
        let mut layer_directories = Vec::with_capacity(manifest.layers.len());
        for descriptor in manifest.layers {
            let directory = self.layer_directory(&descriptor.digest);
            if !directory.is_dir() {
                return Err(corrupt(format!("its layer {} is missing", descriptor.digest)));
            }
            layer_directories.push(directory);
            layers.push(Layer { diff_id: descriptor.digest, size: descriptor.size });
        }
        layer_directories.reverse();
        Ok(ResolvedImage {
            digest: image.clone(),
            config: config.config.into(),
            layers,
            layer_directories,
        })
    }

    /// Returns a layer of the store, or `None` if it is not there.
    pub fn layer(&self, diff_id: &Digest) -> Result<Option<Layer>, OciError> {
        let path = self.layer_path(diff_id).join("layer.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OciError::io("cannot read", &path)(error)),
        };
        let file: LayerFile = serde_json::from_slice(&bytes)
            .map_err(|error| OciError::Invalid(format!("{path:?} is not valid: {error}")))?;
        Ok(Some(Layer { diff_id: diff_id.clone(), size: file.size }))
    }

    /// Returns the directory that holds the files of a layer, whether it is there or not.
    #[must_use]
    pub fn layer_directory(&self, diff_id: &Digest) -> PathBuf {
        self.layer_path(diff_id).join("fs")
    }

    /// Returns a new directory on the store's file system whose empty `fs` folder can be filled
    /// and handed to [`ImageStore::commit_layer`]. Other entries beside `fs`, such as the work
    /// directory of an overlay mount, are dropped at the commit. Left-overs older than an hour are
    /// removed by [`ImageStore::collect`].
    pub fn staging_directory(&self) -> Result<PathBuf, OciError> {
        let staging = self.new_staging("layer")?;
        make_directory(&staging.join("fs"), 0o755)?;
        Ok(staging)
    }

    /// Removes a staging directory that is not to become a layer. Fails if something in it is mounted.
    pub fn discard_staging(&self, staging: &Path) -> Result<(), OciError> {
        remove_tree(staging)
    }

    /// Moves `<staging>/fs` into the store as a layer and removes the staging directory.
    /// Hashes it; copies and packs nothing. A layer that is there already is used, and the new one
    /// removed. Nothing may write to `fs` any more.
    pub fn commit_layer(&self, staging: &Path) -> Result<Layer, OciError> {
        let fs = staging.join("fs");
        // The top directory is not in the tar; give it what every layer has.
        std::fs::set_permissions(&fs, std::fs::Permissions::from_mode(0o755))
            .and_then(|()| {
                std::os::unix::fs::lchown(&fs, Some(0), Some(0)).or_else(ignore_permission)
            })
            .map_err(OciError::io("cannot prepare", &fs))?;
        let (diff_id, size) = pack(&fs, &mut io::sink())?;
        let layer = Layer { diff_id, size };

        let ready = self.new_staging("commit")?;
        write_atomically(&ready.join("layer.json"), &json(&LayerFile { size })?, Durability::Lazy)?;
        std::fs::rename(&fs, ready.join("fs")).map_err(OciError::io("cannot move", &fs))?;
        self.publish_layer(&ready, &layer)?;
        if let Err(error) = remove_tree(staging) {
            tracing::warn!(%error, "left a staging directory behind");
        }
        Ok(layer)
    }

    fn publish_layer(&self, ready: &Path, layer: &Layer) -> Result<(), OciError> {
        let target = self.layer_path(&layer.diff_id);
        let lock = self.lock_shared()?;
        match std::fs::rename(ready, &target) {
            Ok(()) => Ok(()),
            // Somebody was faster, or the same was built before.
            Err(error)
                if matches!(
                    error.kind(),
                    // The last for a layer borrowed from another store, which is a link.
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                touch(&target.join("layer.json"))?;
                drop(lock);
                remove_tree(ready)
            }
            Err(error) => Err(OciError::io("cannot make", &target)(error)),
        }
    }

    /// Makes an image of `base`'s layers and `layers` on top (lowest first). Returns the manifest's
    /// digest, which depends only on the layers and the config. `config` is used as it is: nothing
    /// of the base's config is inherited.
    pub fn put_image(
        &self,
        base: Option<&Digest>,
        layers: &[Layer],
        config: &ImageConfig,
    ) -> Result<Digest, OciError> {
        let mut all = match base {
            Some(base) => self.resolve(base)?.layers,
            None => Vec::new(),
        };
        all.extend_from_slice(layers);
        let _lock = self.lock_shared()?;
        if let Some(missing) =
            all.iter().find(|layer| !self.layer_directory(&layer.diff_id).is_dir())
        {
            return Err(OciError::Invalid(format!(
                "layer {} is not in the store",
                missing.diff_id
            )));
        }
        let config = json(&ConfigFile {
            architecture: architecture().to_owned(),
            os: "linux".to_owned(),
            config: config.into(),
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: all.iter().map(|layer| layer.diff_id.clone()).collect(),
            },
        })?;
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            config: Descriptor::new(CONFIG_TYPE, self.put_blob(&config)?, config.len() as u64),
            layers: all
                .into_iter()
                .map(|layer| Descriptor::new(LAYER_TYPE, layer.diff_id, layer.size))
                .collect(),
        })?;
        self.put_blob(&manifest)
    }

    /// Writes the deterministic uncompressed tar of a layer: the blob that its digest names.
    /// Fails at the end if the directory does not match the digest (any more).
    pub fn write_layer_tar(
        &self,
        diff_id: &Digest,
        out: &mut dyn io::Write,
    ) -> Result<(), OciError> {
        let directory = self.layer_directory(diff_id);
        if !directory.is_dir() {
            return Err(OciError::Invalid(format!("layer {diff_id} is not in the store")));
        }
        let (packed, _) = pack(&directory, out)?;
        if packed != *diff_id {
            return Err(OciError::Invalid(format!(
                "layer {diff_id} is damaged: {directory:?} packs to {packed}"
            )));
        }
        Ok(())
    }

    /// Returns the bytes of a manifest or config, or `None` if there is none with this digest.
    /// Layers are not blobs of the store: see [`ImageStore::write_layer_tar`].
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, OciError> {
        let path = self.blobs().join(digest.hex());
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OciError::io("cannot read", &path)(error)),
        };
        if digest_of(&bytes) != *digest {
            return Err(OciError::Invalid(format!(
                "{path:?} is damaged: its content does not match its digest"
            )));
        }
        Ok(Some(bytes))
    }

    pub(crate) fn manifest(&self, image: &Digest) -> Result<Manifest, OciError> {
        let bytes = self.blob(image)?.ok_or_else(|| OciError::NoSuchImage(image.to_string()))?;
        parse_manifest(&bytes)
            .ok_or_else(|| OciError::Invalid(format!("{image} is not an image manifest")))
    }

    // Always written anew: after a power cut an old blob may be there and empty.
    pub(crate) fn put_blob(&self, bytes: &[u8]) -> Result<Digest, OciError> {
        let digest = digest_of(bytes);
        write_atomically(&self.blobs().join(digest.hex()), bytes, Durability::Lazy)?;
        Ok(digest)
    }
}

pub(crate) fn parse_manifest(bytes: &[u8]) -> Option<Manifest> {
    serde_json::from_slice(bytes)
        .ok()
        .filter(|manifest: &Manifest| manifest.media_type == MANIFEST_TYPE)
}

pub(crate) fn json(document: &impl serde::Serialize) -> Result<Vec<u8>, OciError> {
    serde_json::to_vec(document)
        .map_err(|error| OciError::Invalid(format!("cannot write JSON: {error}")))
}

/// Without root (in tests) files keep the owner they have.
fn ignore_permission(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::PermissionDenied { Ok(()) } else { Err(error) }
}
