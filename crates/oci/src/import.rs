//! Imports images: archives as `docker save`, `buildah push docker-archive:` and OCI tools write them.

use crate::archive::ArchiveFile;
use crate::compression::{TELLING, decompressed};
use crate::files::{Durability, touch, write_atomically};
use crate::index::{ImageIndex, ImagePlatform, NoneForUs, for_other_platforms, is_index_type};
use crate::manifest::ConfigFile;
use crate::unpack::{unpack, unreadable};
use crate::{ImageConfig, ImageStore, Layer, OciError, digest_of};
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Take};
use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;

/// How large what is imported may be.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// Bytes of the archive and of each layer, unpacked.
    pub bytes: u64,
    /// Files of the archive and of each layer.
    pub entries: u64,
}

#[derive(Deserialize)]
struct AnyDescriptor {
    digest: Digest,
}

#[derive(Deserialize)]
struct AnyManifest {
    config: AnyDescriptor,
    layers: Vec<AnyDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    layers: Vec<String>,
}

/// The files of one image in an archive.
struct Parts {
    config: Vec<u8>,
    /// Path in the archive, and the digest that its bytes must have if one is known.
    layers: Vec<(String, Option<Digest>)>,
}

impl ImageStore {
    /// Imports the image in the archive at `path`. `change` may alter its config. Layers that had
    /// been imported before are not unpacked again. Everything is checked against its digest.
    ///
    /// # Errors
    /// [`OciError::Archive`] with one line for whoever gave the archive: it is cut short, damaged,
    /// too large, or for another processor.
    pub fn import_archive(
        &self,
        path: &Path,
        limits: &ImportLimits,
        change: impl FnOnce(ImageConfig) -> ImageConfig,
    ) -> Result<Digest, OciError> {
        let staging = self.new_staging("import")?;
        let imported = self.import(path, &staging.join("archive"), limits, change);
        self.discard_staging(&staging)?;
        imported
    }

    fn import(
        &self,
        path: &Path,
        scratch: &Path,
        limits: &ImportLimits,
        change: impl FnOnce(ImageConfig) -> ImageConfig,
    ) -> Result<Digest, OciError> {
        let archive = ArchiveFile::open(path, scratch, limits)?;
        let parts = if archive.has("index.json") {
            oci_parts(&archive)?
        } else if archive.has("manifest.json") {
            saved_parts(&archive)?
        } else {
            return Err(OciError::Archive(
                "The archive holds no image: it has neither index.json (OCI) nor manifest.json (docker save)."
                    .to_owned(),
            ));
        };
        self.import_parts(&archive, &parts, limits, change)
    }

    /// Imports the image whose config and layers are files of their own, as they were pushed.
    /// `layers` are given lowest first, each with the digest of its bytes. Otherwise as
    /// [`ImageStore::import_archive`].
    pub fn import_blobs(
        &self,
        config: Vec<u8>,
        layers: &[(PathBuf, Digest)],
        limits: &ImportLimits,
        change: impl FnOnce(ImageConfig) -> ImageConfig,
    ) -> Result<Digest, OciError> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let layers = layers.iter().map(|(file, digest)| (path(file), Some(digest.clone())));
        let parts = Parts { config, layers: layers.collect() };
        self.import_parts(&BlobFiles, &parts, limits, change)
    }

    fn import_parts(
        &self,
        source: &dyn LayerSource,
        parts: &Parts,
        limits: &ImportLimits,
        change: impl FnOnce(ImageConfig) -> ImageConfig,
    ) -> Result<Digest, OciError> {
        let config: ConfigFile = document(&parts.config, "the image's config")?;
        let (os, architecture) = (config.os.clone(), config.architecture.clone());
        let platform = ImagePlatform { os, architecture, variant: None };
        if !platform.is_ours() {
            return Err(OciError::Archive(for_other_platforms(&platform.to_string())));
        }
        if config.rootfs.diff_ids.len() != parts.layers.len() {
            return Err(OciError::Archive(format!(
                "The archive is not complete: its image has {} layers and it holds {}.",
                config.rootfs.diff_ids.len(),
                parts.layers.len()
            )));
        }
        let mut layers: Vec<Layer> = Vec::new();
        for (diff_id, (path, digest)) in config.rootfs.diff_ids.iter().zip(&parts.layers) {
            let layer = match self.imported_layer(diff_id)? {
                Some(layer) => layer,
                None => self.import_layer(source, path, digest.as_ref(), diff_id, limits)?,
            };
            // overlayfs takes each directory once. The upper of two equal layers covers the lower.
            layers.retain(|lower| lower.diff_id != layer.diff_id);
            layers.push(layer);
        }
        self.put_image(None, &layers, &change(config.config.into()))
    }

    /// Returns the layer that one with this digest became at an earlier import.
    fn imported_layer(&self, diff_id: &Digest) -> Result<Option<Layer>, OciError> {
        let Ok(text) = std::fs::read_to_string(self.imports().join(diff_id.hex())) else {
            return Ok(None);
        };
        let Ok(ours) = text.parse::<Digest>() else { return Ok(None) };
        let _lock = self.lock_shared()?;
        let layer = self.layer(&ours)?;
        if layer.is_some() {
            touch(&self.layer_path(&ours).join("layer.json"))?;
        }
        Ok(layer)
    }

    fn import_layer(
        &self,
        source: &dyn LayerSource,
        path: &str,
        digest: Option<&Digest>,
        diff_id: &Digest,
        limits: &ImportLimits,
    ) -> Result<Layer, OciError> {
        let staging = self.staging_directory()?;
        let unpacked = unpack_layer(source, path, digest, diff_id, limits, &staging.join("fs"));
        if let Err(error) = unpacked {
            self.discard_staging(&staging)?;
            return Err(error);
        }
        let layer = self.commit_layer(&staging)?;
        let ours = layer.diff_id.to_string();
        write_atomically(&self.imports().join(diff_id.hex()), ours.as_bytes(), Durability::Lazy)?;
        Ok(layer)
    }
}

/// Where the bytes of layers are.
trait LayerSource {
    fn open_layer(&self, path: &str) -> Result<Take<File>, OciError>;
}

impl LayerSource for ArchiveFile {
    fn open_layer(&self, path: &str) -> Result<Take<File>, OciError> {
        self.open_file(path)
    }
}

/// Layers that are files of their own.
struct BlobFiles;

impl LayerSource for BlobFiles {
    fn open_layer(&self, path: &str) -> Result<Take<File>, OciError> {
        let file = File::open(path).map_err(OciError::io("cannot open", Path::new(path)))?;
        Ok(file.take(u64::MAX))
    }
}

fn unpack_layer(
    source: &dyn LayerSource,
    path: &str,
    digest: Option<&Digest>,
    diff_id: &Digest,
    limits: &ImportLimits,
    target: &Path,
) -> Result<(), OciError> {
    let damaged = || {
        OciError::Archive(format!(
            "The archive is damaged: the content of its layer {diff_id} does not match its digest."
        ))
    };
    let mut start = Vec::new();
    source.open_layer(path)?.take(TELLING).read_to_end(&mut start).map_err(unreadable)?;
    let mut stored = Hashing::new(source.open_layer(path)?);
    let found = unpack_hashed(decompressed(&start, &mut stored), target, limits)?;
    if found != *diff_id {
        return Err(damaged());
    }
    io::copy(&mut stored, &mut io::sink()).map_err(unreadable)?;
    if digest.is_some_and(|digest| stored.digest() != *digest) {
        return Err(damaged());
    }
    Ok(())
}

/// Unpacks a tar and returns the digest of all of it, its padding included.
fn unpack_hashed(tar: impl Read, target: &Path, limits: &ImportLimits) -> Result<Digest, OciError> {
    let mut tar = Hashing::new(tar);
    unpack(&mut tar, target, limits)?;
    let rest = io::copy(&mut tar.by_ref().take(limits.bytes), &mut io::sink());
    rest.map_err(unreadable)?;
    Ok(tar.digest())
}

/// Finds the image of this machine's processor in an OCI layout.
fn oci_parts(archive: &ArchiveFile) -> Result<Parts, OciError> {
    let mut index: ImageIndex = document(&archive.document("index.json")?, "index.json")?;
    // An index may hold an index for several processors.
    for _ in 0..3 {
        let chosen = index.for_this_machine().map_err(not_for_us)?;
        let bytes = blob(archive, &chosen.digest)?;
        if !is_index_type(&chosen.media_type) {
            let manifest: AnyManifest = document(&bytes, "the image's manifest")?;
            let config = blob(archive, &manifest.config.digest)?;
            let layers = manifest.layers.into_iter().map(|layer| layer.digest);
            let layers = layers.map(|digest| (blob_path(&digest), Some(digest))).collect();
            return Ok(Parts { config, layers });
        }
        index = document(&bytes, "the image's index")?;
    }
    Err(OciError::Archive("The archive's index leads to no image.".to_owned()))
}

fn not_for_us(why: NoneForUs) -> OciError {
    match why {
        NoneForUs::Empty => OciError::Archive("The archive holds no image.".to_owned()),
        NoneForUs::Foreign(platforms) => OciError::Archive(for_other_platforms(&platforms)),
        NoneForUs::Unclear(count) => several(count),
    }
}

fn several(count: usize) -> OciError {
    OciError::Archive(format!("The archive holds {count} images: save the one to be loaded alone."))
}

fn saved_parts(archive: &ArchiveFile) -> Result<Parts, OciError> {
    let mut images: Vec<SavedImage> =
        document(&archive.document("manifest.json")?, "manifest.json")?;
    if images.len() > 1 {
        return Err(several(images.len()));
    }
    let Some(image) = images.pop() else {
        return Err(OciError::Archive("The archive holds no image.".to_owned()));
    };
    let config = archive.document(&image.config)?;
    // Named by its digest in every version of the format that has one.
    let name = Path::new(&image.config).file_stem().unwrap_or_default().to_string_lossy();
    if let Ok(digest) = format!("sha256:{name}").parse::<Digest>()
        && digest_of(&config) != digest
    {
        return Err(mismatch(&image.config));
    }
    Ok(Parts { config, layers: image.layers.into_iter().map(|path| (path, None)).collect() })
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn blob(archive: &ArchiveFile, digest: &Digest) -> Result<Vec<u8>, OciError> {
    let path = blob_path(digest);
    let bytes = archive.document(&path)?;
    if digest_of(&bytes) == *digest { Ok(bytes) } else { Err(mismatch(&path)) }
}

fn mismatch(path: &str) -> OciError {
    OciError::Archive(format!("The archive is damaged: {path} does not match its digest."))
}

fn document<T: for<'a> Deserialize<'a>>(bytes: &[u8], what: &str) -> Result<T, OciError> {
    serde_json::from_slice(bytes).map_err(|error| {
        OciError::Archive(format!("The archive is damaged: {what} cannot be read ({error})."))
    })
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    context: Context,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256) }
    }

    fn digest(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.context.finish().as_ref());
        Digest::from_sha256(&bytes)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.context.update(&buffer[..count]);
        Ok(count)
    }
}
