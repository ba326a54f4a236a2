//! Blobs on their way in: written to a file of their own, hashed as they come.

use super::{DistributionError, Repository, Result};
use crate::access::random_secret;
use crate::platform::now_ms;
use crate::{Platform, PlatformError};
use ring::digest::{Context, SHA256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use windlass_core::ids::{AppId, Digest};
use windlass_core::names::ProcessType;

/// An upload that nothing was sent to for so long is given up.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// Uploads under way at once, of one app and of all.
const PER_APP: usize = 40;
const IN_ALL: usize = 200;
/// How often the room on the disk is looked at, in bytes of an upload.
const LOOK_EVERY: u64 = 64 << 20;

/// The uploads under way, by identifier.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Entry>>);

struct Entry {
    app: AppId,
    process: ProcessType,
    touched: Instant,
    upload: Arc<AsyncMutex<BlobUpload>>,
}

impl Uploads {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up uploads that nothing comes in for. Their files go with them.
    pub(super) fn expire(&self, idle: Duration) {
        self.entries().retain(|_, entry| {
            // One that somebody is sending to right now is held by its request.
            entry.touched.elapsed() < idle || Arc::strong_count(&entry.upload) > 1
        });
    }
}

/// A blob that is being sent. Dropped before its end it leaves nothing.
pub struct BlobUpload {
    file: File,
    path: PathBuf,
    bytes: u64,
    context: Context,
    limit: u64,
    next_look: u64,
    platform: Platform,
}

impl BlobUpload {
    /// Returns how many bytes have come so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `SizeInvalid` beyond the limit of an image; `Conflict` when the disk is nearly full.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let after = self.bytes + bytes.len() as u64;
        if after > self.limit {
            return Err(DistributionError::SizeInvalid(too_large(self.limit)));
        }
        if after >= self.next_look {
            self.platform.refuse_if_disk_is_full()?;
            self.next_look = after + LOOK_EVERY;
        }
        self.file.write_all(bytes).await.map_err(not_kept)?;
        self.context.update(bytes);
        self.bytes = after;
        Ok(())
    }

    fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.context.clone().finish().as_ref());
        Digest::from_sha256(&bytes)
    }
}

impl Drop for BlobUpload {
    fn drop(&mut self) {
        // Gone already where it became a blob.
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) fn too_large(limit: u64) -> String {
    format!(
        "an image may have at most {} MiB as it is pushed (`build.image` in windlass.toml on the server)",
        limit >> 20
    )
}

fn not_kept(error: std::io::Error) -> DistributionError {
    PlatformError::internal("a pushed blob could not be kept", error).into()
}

impl Platform {
    /// Begins to take a blob; returns the upload's identifier.
    ///
    /// # Errors
    /// `TooManyRequests` while too many are under way; `Conflict` when the disk is nearly full.
    pub async fn begin_blob_upload(&self, repository: &Repository) -> Result<String> {
        self.refuse_if_disk_is_full()?;
        self.distribution().uploads.expire(IDLE);
        let id = random_secret();
        let path = self.distribution().uploads_directory().join(&id);
        let file = File::create_new(&path).await.map_err(not_kept)?;
        let limit = self.settings().build.image_bytes;
        let upload = BlobUpload {
            file,
            path,
            bytes: 0,
            context: Context::new(&SHA256),
            limit,
            next_look: LOOK_EVERY,
            platform: self.clone(),
        };
        let mut entries = self.distribution().uploads.entries();
        let of_app = entries.values().filter(|entry| entry.app == repository.app.id).count();
        if of_app >= PER_APP || entries.len() >= IN_ALL {
            return Err(DistributionError::TooManyRequests(format!(
                "{of_app} uploads are under way for {}: end them first, or wait until they expire",
                repository.app.name
            )));
        }
        let entry = Entry {
            app: repository.app.id,
            process: repository.process.clone(),
            touched: Instant::now(),
            upload: Arc::new(AsyncMutex::new(upload)),
        };
        entries.insert(id.clone(), entry);
        Ok(id)
    }

    /// Returns an upload to go on with.
    ///
    /// # Errors
    /// `BlobUploadUnknown` if it is of another repository; `BlobUploadInvalid` while another request
    /// is sending to it.
    pub fn blob_upload(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<OwnedMutexGuard<BlobUpload>> {
        let mut entries = self.distribution().uploads.entries();
        let entry = entries.get_mut(id).filter(|entry| {
            entry.app == repository.app.id
                && entry.process == repository.process
                && entry.touched.elapsed() < IDLE
        });
        let entry = entry.ok_or(DistributionError::BlobUploadUnknown)?;
        entry.touched = Instant::now();
        entry.upload.clone().try_lock_owned().map_err(|_| {
            DistributionError::BlobUploadInvalid(
                "another request is sending to this upload".to_owned(),
            )
        })
    }

    /// Ends an upload: what was sent must have this digest.
    pub async fn finish_blob_upload(
        &self,
        repository: &Repository,
        id: &str,
        mut upload: OwnedMutexGuard<BlobUpload>,
        digest: &Digest,
    ) -> Result<()> {
        let found = upload.digest();
        if found != *digest {
            self.abandon_blob_upload(id);
            return Err(DistributionError::DigestInvalid(format!(
                "what was sent has the digest {found}, not {digest}"
            )));
        }
        upload.file.flush().await.map_err(not_kept)?;
        let _collecting = self.distribution().collecting.read().await;
        let target = self.distribution().blob_file(digest);
        tokio::fs::rename(&upload.path, &target).await.map_err(not_kept)?;
        let (app, process) = (repository.app.id, &repository.process);
        self.store().save_registry_blob(app, process, digest, upload.bytes, now_ms())?;
        self.abandon_blob_upload(id);
        Ok(())
    }

    /// Gives an upload up.
    pub fn cancel_blob_upload(&self, repository: &Repository, id: &str) -> Result<()> {
        drop(self.blob_upload(repository, id)?);
        self.abandon_blob_upload(id);
        Ok(())
    }

    /// Forgets an upload, whoever holds it. Its file goes with the last who does.
    pub fn abandon_blob_upload(&self, id: &str) {
        self.distribution().uploads.entries().remove(id);
    }

    pub(super) fn expire_blob_uploads(&self) {
        self.distribution().uploads.expire(IDLE);
    }
}
