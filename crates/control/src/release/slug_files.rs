//! Slugs' archives on their way in, and the files in them.

use super::slug::digest_in;
use crate::platform::now_ms;
use crate::records::{App, Slug};
use crate::run::APP_USER;
use crate::{Platform, PlatformError, Result};
use ring::digest::{Context, SHA256};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use windlass_core::ids::Digest;

/// The archive of a slug on its way in. Dropped before its end it leaves nothing.
pub struct SlugUpload {
    platform: Platform,
    slug: Slug,
    file: File,
    partial: PathBuf,
    bytes: u64,
    context: Context,
}

impl SlugUpload {
    /// Adds bytes.
    ///
    /// # Errors
    /// `Invalid` beyond the limit of an image.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        let limit = self.platform.settings().build.image_bytes;
        if self.bytes > limit {
            return Err(PlatformError::Invalid(format!(
                "The slug is larger than {} MiB (`build.image` in windlass.toml on the server).",
                limit >> 20
            )));
        }
        self.context.update(bytes);
        self.file.write_all(bytes).await.map_err(not_kept)
    }

    /// Keeps the archive; one that was sent before is replaced.
    ///
    /// # Errors
    /// `Invalid` if it does not have the checksum that the slug was announced with.
    pub async fn finish(mut self) -> Result<()> {
        self.file.flush().await.map_err(not_kept)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(self.context.clone().finish().as_ref());
        let found = Digest::from_sha256(&hash);
        let checksum = format!("SHA256:{}", found.hex());
        match &self.slug.checksum {
            Some(said) if digest_in(said)? != found => {
                return Err(PlatformError::Invalid(format!(
                    "The slug was announced with the checksum {said}, and what was sent has {checksum}."
                )));
            }
            _ => {}
        }
        let target = self.platform.slug_file(self.slug.id);
        tokio::fs::rename(&self.partial, &target).await.map_err(not_kept)?;
        let sent = Slug {
            size: Some(self.bytes),
            checksum: Some(self.slug.checksum.clone().unwrap_or(checksum)),
            updated_at: now_ms(),
            ..self.slug.clone()
        };
        Ok(self.platform.store().save_slug(&sent)?)
    }
}

impl Drop for SlugUpload {
    fn drop(&mut self) {
        // Gone already where it was kept.
        let _ = std::fs::remove_file(&self.partial);
    }
}

fn not_kept(error: io::Error) -> PlatformError {
    PlatformError::internal("a slug could not be kept", error)
}

impl Platform {
    /// Begins to take the archive of a slug that was made with [`Platform::create_slug`].
    ///
    /// # Errors
    /// `Conflict` once it was released: a slug never changes after that.
    pub async fn begin_slug_upload(&self, app: &App, id: &str) -> Result<SlugUpload> {
        let slug = self.slug(app, id)?;
        if slug.image.is_some() {
            return Err(PlatformError::Conflict(
                "This slug was released and does not change any more: make another.".to_owned(),
            ));
        }
        self.refuse_if_disk_is_full()?;
        let name = crate::access::random_secret();
        let partial = self.slug_file(slug.id).with_file_name(name);
        let file = File::create_new(&partial).await.map_err(not_kept)?;
        let context = Context::new(&SHA256);
        Ok(SlugUpload { platform: self.clone(), slug, file, partial, bytes: 0, context })
    }
}

/// Gives a folder with all that is in it to the app's user. What is in it was sent by somebody: links
/// are not followed, and no program may change its user.
pub(super) fn own(path: &Path) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    lchown(path, Some(APP_USER), Some(APP_USER)).or_else(|error| {
        // Without root (in tests) files keep the owner they have.
        if error.kind() == io::ErrorKind::PermissionDenied { Ok(()) } else { Err(error) }
    })?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let readable = if metadata.is_dir() { 0o755 } else { 0o644 };
    let mode = metadata.mode() & 0o777 | readable;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            own(&entry?.path())?;
        }
    }
    Ok(())
}
