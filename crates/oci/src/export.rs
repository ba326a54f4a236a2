//! Exports images: one archive that both `docker load` and OCI tools read.

use crate::manifest::{Descriptor, Index, LAYOUT, MANIFEST_TYPE, TAG_ANNOTATION};
use crate::store::json;
use crate::tar_stream::{Attributes, TarStream};
use crate::{ImageDocuments, ImageStore, OciError};
use std::io::{self, Write};
use std::path::Path;
use windlass_core::ids::Digest;

impl ImageStore {
    /// Returns an image's manifest and its config, as they are stored.
    pub fn documents(&self, image: &Digest) -> Result<ImageDocuments, OciError> {
        let manifest = self.manifest(image)?;
        let missing = || OciError::NoSuchImage(image.to_string());
        Ok(ImageDocuments {
            manifest: self.blob(image)?.ok_or_else(missing)?,
            config: self.blob(&manifest.config.digest)?.ok_or_else(missing)?,
            config_digest: manifest.config.digest,
        })
    }

    /// Writes an image with all its layers as an archive that is an OCI layout and what
    /// `docker save` writes in one. `name` is what the image is called in it (`app:v3`).
    pub fn export_archive(
        &self,
        image: &Digest,
        name: &str,
        out: &mut dyn Write,
    ) -> Result<(), OciError> {
        let manifest = self.manifest(image)?;
        let missing = || OciError::NoSuchImage(image.to_string());
        let manifest_bytes = self.blob(image)?.ok_or_else(missing)?;
        let config = self.blob(&manifest.config.digest)?.ok_or_else(missing)?;
        let mut entry = Descriptor::new(MANIFEST_TYPE, image.clone(), manifest_bytes.len() as u64);
        entry.annotations.insert(TAG_ANNOTATION.to_owned(), name.to_owned());
        let index = json(&Index { manifests: vec![entry], ..Index::default() })?;
        let saved = json(&serde_json::json!([{
            "Config": blob(&manifest.config.digest),
            "RepoTags": [name],
            "Layers": manifest.layers.iter().map(|layer| blob(&layer.digest)).collect::<Vec<_>>(),
        }]))?;
        let documents = [
            ("oci-layout".to_owned(), LAYOUT.as_bytes()),
            ("index.json".to_owned(), &index),
            ("manifest.json".to_owned(), &saved),
            (blob(image), &manifest_bytes),
            (blob(&manifest.config.digest), &config),
        ];
        for (name, bytes) in documents {
            file_head(out, &name, bytes.len() as u64)
                .and_then(|()| out.write_all(bytes))
                .and_then(|()| pad(out, bytes.len() as u64))
                .map_err(OciError::io("cannot write", Path::new(&name)))?;
        }
        for layer in &manifest.layers {
            let name = blob(&layer.digest);
            let failed = |error| OciError::io("cannot write", Path::new(&name))(error);
            file_head(out, &name, layer.size).map_err(failed)?;
            self.write_layer_tar(&layer.digest, out)?;
            pad(out, layer.size).map_err(failed)?;
        }
        TarStream::new(out).finish().map_err(OciError::io("cannot write", Path::new("the end")))
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Writes the header of a file whose bytes the caller writes.
fn file_head(out: &mut dyn Write, name: &str, size: u64) -> io::Result<()> {
    let attributes = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    TarStream::new(out).file_head(name.as_bytes(), attributes, size)
}

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    TarStream::new(out).pad(size)
}
