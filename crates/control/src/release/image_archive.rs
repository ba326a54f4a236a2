//! Images as archives: one that a client sends becomes a release, and the current one goes out.

use crate::build::IMAGE_LIMITS;
use crate::distribution::Pieces;
use crate::records::{App, Release, User};
use crate::run::container_image::ContainerImage;
use crate::run::slug_command;
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;
use windlass_oci::{ImageStore, OciError};

/// Pieces of an archive that goes out, in bytes.
const PIECE: usize = 256 * 1024;

/// The archive of an image on its way in. Dropped before its end it leaves nothing.
pub struct ImageUpload {
    file: File,
    bytes: u64,
    staging: PathBuf,
}

impl ImageUpload {
    /// Adds bytes.
    ///
    /// # Errors
    /// `Invalid` beyond 10 GiB.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > IMAGE_LIMITS.bytes {
            return Err(PlatformError::Invalid(format!(
                "The archive is larger than {} GiB.",
                IMAGE_LIMITS.bytes >> 30
            )));
        }
        self.file.write_all(bytes).await.map_err(not_kept)
    }

    fn archive(&self) -> PathBuf {
        archive_in(&self.staging)
    }
}

impl Drop for ImageUpload {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.staging);
    }
}

fn archive_in(staging: &Path) -> PathBuf {
    staging.join("archive.tar")
}

fn not_kept(error: io::Error) -> PlatformError {
    PlatformError::internal("the archive could not be kept", error)
}

impl Platform {
    /// Begins to take the archive of an image.
    pub async fn begin_image_upload(&self) -> Result<ImageUpload> {
        let staging = self.images().staging_directory()?;
        let file = File::create(archive_in(&staging)).await.map_err(not_kept)?;
        Ok(ImageUpload { file, bytes: 0, staging })
    }

    /// Imports an image and releases it; returns once it is current.
    ///
    /// # Errors
    /// `Invalid` with one line if the archive cannot be used.
    pub async fn load_image(
        &self,
        user: &User,
        app: &App,
        mut upload: ImageUpload,
    ) -> Result<Release> {
        upload.file.flush().await.map_err(not_kept)?;
        let line = self.receiver().line_of(app.id);
        let _turn = line.turn.lock().await;
        let image = self.import_container_image(upload.archive()).await?;
        drop(upload);
        let (image, processes) = self.processes_of(image).await?;
        let description = format!("Load image {}", &image.hex()[..12]);
        self.release_image(user, app, image, processes, &description).await
    }

    /// Returns how to run a loaded image. One that buildpacks of ours had built is run as before it
    /// was saved, and not as a container image.
    pub(crate) async fn processes_of(
        &self,
        image: Digest,
    ) -> Result<(Digest, BTreeMap<ProcessType, String>)> {
        let of_web = |command: String| BTreeMap::from([(ProcessType::web(), command)]);
        let resolved = self.images().resolve(&image)?;
        if let Some(command) = slug_command(&resolved.config.cmd) {
            let mut config = resolved.config.clone();
            crate::run::container_image::unmark(&mut config);
            let image = self.images().put_image(None, &resolved.layers, &config)?;
            return Ok((image, of_web(command)));
        }
        let container = ContainerImage::of(self.images(), &image)?;
        let command = container.and_then(|container| container.default_command());
        let command = command.ok_or_else(|| {
            PlatformError::Invalid(
                "The image has neither ENTRYPOINT nor CMD, so there is nothing to run.".to_owned(),
            )
        })?;
        Ok((image, of_web(command)))
    }

    /// Returns the archive of the current image, piece by piece. After an error nothing more comes.
    pub fn save_image(&self, app: &App) -> Result<mpsc::Receiver<io::Result<Bytes>>> {
        let release = self.current_release(app)?;
        let Some(image) = release.image else {
            return Err(PlatformError::Invalid(format!(
                "Nothing has been deployed to {} yet: push it first.",
                app.name
            )));
        };
        let name = format!("windlass/{}:v{}", app.name, release.version);
        let (sender, receiver) = mpsc::channel(4);
        let images = self.images().clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = export(&images, &image, &name, sender.clone()) {
                tracing::warn!(%error, "an image was not sent to its end");
                let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
            }
        });
        Ok(receiver)
    }
}

fn export(
    images: &ImageStore,
    image: &Digest,
    name: &str,
    sender: mpsc::Sender<io::Result<Bytes>>,
) -> std::result::Result<(), OciError> {
    let mut out = BufWriter::with_capacity(PIECE, Pieces(sender));
    images.export_archive(image, name, &mut out)?;
    out.flush().map_err(|error| OciError::Invalid(error.to_string()))
}
