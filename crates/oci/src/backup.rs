//! Images part by part, for backups: each layer is kept once, however many images have it.

use crate::unpack::unpack;
use crate::{ImageStore, ImportLimits, Layer, OciError};
use std::io::Read;
use windlass_core::ids::Digest;

/// Manifests and configs with their digests.
pub type Documents = Vec<(Digest, Vec<u8>)>;

impl ImageStore {
    /// Returns the bytes of an image's manifest and config, and its layers.
    pub fn parts_of(&self, image: &Digest) -> Result<(Documents, Vec<Layer>), OciError> {
        let manifest = self.manifest(image)?;
        let mut documents = Vec::new();
        for digest in [image, &manifest.config.digest] {
            let bytes = self.blob(digest)?;
            let bytes = bytes.ok_or_else(|| OciError::NoSuchImage(image.to_string()))?;
            documents.push((digest.clone(), bytes));
        }
        let layers = manifest.layers.into_iter();
        Ok((documents, layers.map(|l| Layer { diff_id: l.digest, size: l.size }).collect()))
    }

    /// Adds a layer from the tar that [`ImageStore::write_layer_tar`] wrote.
    ///
    /// # Errors
    /// When its content does not have this digest.
    pub fn add_layer(&self, digest: &Digest, tar: impl Read) -> Result<(), OciError> {
        let staging = self.staging_directory()?;
        let limits = ImportLimits { bytes: u64::MAX, entries: u64::MAX };
        if let Err(error) = unpack(tar, &staging.join("fs"), &limits) {
            self.discard_staging(&staging)?;
            return Err(error);
        }
        let layer = self.commit_layer(&staging)?;
        if layer.diff_id == *digest {
            return Ok(());
        }
        Err(OciError::Archive(format!("The layer {digest} came out as {}.", layer.diff_id)))
    }

    /// Adds a manifest or config.
    pub fn add_document(&self, bytes: &[u8]) -> Result<Digest, OciError> {
        self.put_blob(bytes)
    }
}
