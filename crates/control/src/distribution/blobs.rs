//! Blobs of repositories: those that were pushed, and those of images that were built here.

use super::{DistributionError, Reference, Repository, Result};
use crate::access::random_secret;
use crate::platform::now_ms;
use crate::records::User;
use crate::{Platform, PlatformError};
use bytes::Bytes;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use tokio::sync::mpsc;
use windlass_core::access::Permission;
use windlass_core::ids::Digest;

/// Pieces of a layer that is packed on demand, in bytes.
const PIECE: usize = 256 * 1024;

/// Where a blob's bytes are.
pub enum BlobContent {
    File {
        path: PathBuf,
        size: u64,
    },
    Bytes(Bytes),
    /// A layer of an image that was built here: it is packed when it is fetched.
    Layer {
        digest: Digest,
        size: u64,
    },
}

impl BlobContent {
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } | Self::Layer { size, .. } => *size,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl Platform {
    /// Finds a blob that a repository has.
    pub fn registry_blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobContent> {
        if let Some(pushed) = self.pushed_blob(repository, digest)? {
            return Ok(pushed);
        }
        self.built_blob(repository, digest)?
            .ok_or_else(|| DistributionError::BlobUnknown(digest.clone()))
    }

    /// Finds a blob that was pushed. That it is asked for keeps it from being collected for now.
    pub(super) fn pushed_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<BlobContent>> {
        let (app, process) = (repository.app.id, &repository.process);
        let Some(size) = self.store().registry_blob(app, process, digest)? else {
            return Ok(None);
        };
        let path = self.distribution().blob_file(digest);
        // After a restore from a backup, which has no blobs, they are pushed again.
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == size) {
            self.store().save_registry_blob(app, process, digest, size, now_ms())?;
            return Ok(Some(BlobContent::File { path, size }));
        }
        Ok(None)
    }

    /// Gives a repository a blob of another one, if the user may push to both and it is there.
    pub async fn mount_blob(
        &self,
        user: &User,
        repository: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool> {
        if !self.permissions(user, &from.app)?.contains(Permission::Deploy) {
            return Ok(false);
        }
        let _collecting = self.distribution().collecting.read().await;
        let Some(BlobContent::File { size, .. }) = self.pushed_blob(from, digest)? else {
            return Ok(false);
        };
        let (app, process) = (repository.app.id, &repository.process);
        self.store().save_registry_blob(app, process, digest, size, now_ms())?;
        Ok(true)
    }

    /// Returns the file of a blob. What was built here becomes one: clients that find it in the
    /// repository do not push it.
    pub(super) async fn file_of_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        content: BlobContent,
    ) -> Result<PathBuf> {
        let size = content.size();
        if let BlobContent::File { path, .. } = content {
            return Ok(path);
        }
        let images = self.images().clone();
        let partial = self.distribution().uploads_directory().join(random_secret());
        let target = partial.clone();
        let written = tokio::task::spawn_blocking(move || -> crate::Result<()> {
            let failed = |error| PlatformError::internal("a blob could not be written", error);
            let mut out = BufWriter::new(std::fs::File::create_new(&target).map_err(failed)?);
            match content {
                BlobContent::Layer { digest, .. } => images.write_layer_tar(&digest, &mut out)?,
                BlobContent::Bytes(bytes) => out.write_all(&bytes).map_err(failed)?,
                BlobContent::File { .. } => {}
            }
            out.flush().map_err(failed)
        });
        let stopped = |error| PlatformError::internal("a blob could not be written", error);
        let _collecting = self.distribution().collecting.read().await;
        let file = self.distribution().blob_file(digest);
        let kept = match written.await.map_err(stopped)? {
            Ok(()) => std::fs::rename(&partial, &file)
                .map_err(|error| PlatformError::internal("a blob could not be kept", error)),
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            let _ = std::fs::remove_file(&partial);
            return Err(error.into());
        }
        let (app, process) = (repository.app.id, &repository.process);
        self.store().save_registry_blob(app, process, digest, size, now_ms())?;
        Ok(file)
    }

    fn built_blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<BlobContent>> {
        for image in self.built_images(repository)? {
            let Ok(documents) = self.images().documents(&image) else { continue };
            if documents.config_digest == *digest {
                return Ok(Some(BlobContent::Bytes(documents.config.into())));
            }
            let Ok(resolved) = self.images().resolve(&image) else { continue };
            if let Some(layer) = resolved.layers.iter().find(|layer| layer.diff_id == *digest) {
                return Ok(Some(BlobContent::Layer { digest: digest.clone(), size: layer.size }));
            }
        }
        Ok(None)
    }

    /// Returns a layer's tar, piece by piece. After an error nothing more comes.
    #[must_use]
    pub fn layer_pieces(&self, digest: Digest) -> mpsc::Receiver<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(4);
        let images = self.images().clone();
        tokio::task::spawn_blocking(move || {
            let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
            let packed = images.write_layer_tar(&digest, &mut out).map_err(io::Error::other);
            if let Err(error) = packed.and_then(|()| out.flush()) {
                tracing::warn!(%error, "a layer was not sent to its end");
                let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
            }
        });
        receiver
    }
}

/// Sends what is written to it.
pub(crate) struct Pieces(pub(crate) mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::other("the client went away"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `latest` and `v12` name releases where nothing was pushed under these names.
pub(super) fn release_named(reference: &Reference) -> Option<&str> {
    match reference {
        Reference::Tag(tag) if tag == "latest" => Some("current"),
        Reference::Tag(tag) => {
            let digits = tag.strip_prefix('v')?;
            digits.bytes().all(|digit| digit.is_ascii_digit()).then_some(digits)
        }
        Reference::Digest(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_name_releases() {
        let named = |tag: &str| {
            let reference = Reference::Tag(tag.to_owned());
            release_named(&reference).map(str::to_owned)
        };
        assert_eq!(named("latest").as_deref(), Some("current"));
        assert_eq!(named("v12").as_deref(), Some("12"));
        for other in ["12", "version", "v1.2", "current", "vv1"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
