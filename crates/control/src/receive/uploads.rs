//! Archives that clients send before they ask for a build: kept for an hour, each under a name
//! that cannot be guessed.

use crate::access::random_secret;
use crate::records::User;
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// How long an archive can be sent and built from (Heroku: 1 hour).
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Bytes of one archive as it is sent.
pub(super) const ARCHIVE_BYTES: u64 = 1 << 30;

/// The places that were given out.
pub(crate) struct Uploads {
    directory: PathBuf,
    given: Mutex<HashMap<String, Instant>>,
}

impl Uploads {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, given: Mutex::default() }
    }

    fn given(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, secret: &str) -> bool {
        self.given().get(secret).is_some_and(|since| since.elapsed() < KEPT)
    }

    /// Forgets places that are too old and removes their files.
    pub(crate) fn collect(&self) {
        let mut old = Vec::new();
        self.given().retain(|secret, since| {
            let keep = since.elapsed() < KEPT;
            if !keep {
                old.push(self.directory.join(secret));
            }
            keep
        });
        for file in old {
            remove(&file);
        }
    }

    /// Removes what an earlier run left behind: its places are not known any more.
    pub(crate) fn clear(&self) {
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            remove(&entry.path());
        }
    }

    /// Returns a file of a build's own with what was sent to `secret`, which may be collected while
    /// the build waits.
    pub(super) fn take(&self, secret: &str) -> Result<SourceFile> {
        let own = self.new_file();
        let linked = self.is_open(secret)
            && std::fs::hard_link(self.directory.join(secret), own.path()).is_ok();
        if !linked {
            return Err(PlatformError::Invalid(
                "Nothing was uploaded to that source URL, or more than an hour ago: upload the \
                 archive again."
                    .to_owned(),
            ));
        }
        Ok(own)
    }

    /// Returns the name of a file that does not exist yet.
    pub(super) fn new_file(&self) -> SourceFile {
        SourceFile(self.directory.join(format!("{}.source", random_secret())))
    }
}

/// A file that is removed with the last need for it.
pub(crate) struct SourceFile(PathBuf);

impl SourceFile {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SourceFile {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(file: &Path) {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), %error, "an uploaded source is left behind");
    }
}

/// An archive on its way. Dropped before its end it leaves nothing.
pub struct Upload {
    file: File,
    partial: SourceFile,
    target: PathBuf,
    bytes: u64,
}

impl Upload {
    /// Adds bytes.
    ///
    /// # Errors
    /// `Invalid` beyond 1 GiB.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > ARCHIVE_BYTES {
            return Err(PlatformError::Invalid(format!(
                "The archive is larger than {} MiB.",
                ARCHIVE_BYTES >> 20
            )));
        }
        self.file.write_all(bytes).await.map_err(not_kept)
    }

    /// Keeps the archive; one that was sent to the same place before is replaced.
    pub async fn finish(mut self) -> Result<()> {
        self.file.flush().await.map_err(not_kept)?;
        tokio::fs::rename(self.partial.path(), &self.target).await.map_err(not_kept)
    }
}

fn not_kept(error: std::io::Error) -> PlatformError {
    PlatformError::internal("the archive could not be kept", error)
}

impl Platform {
    /// Makes a place to send an archive to; returns its secret, which is good for an hour.
    pub fn create_source(&self, user: &User) -> String {
        let secret = random_secret();
        self.receiver().uploads().given().insert(secret.clone(), Instant::now());
        tracing::debug!(user = user.email, "made a place for an uploaded source");
        secret
    }

    /// Begins to take an archive.
    pub async fn begin_upload(&self, secret: &str) -> Result<Upload> {
        let uploads = self.receiver().uploads();
        if !uploads.is_open(secret) {
            return Err(PlatformError::NotFound { resource: "source" });
        }
        let partial = uploads.new_file();
        let file = File::create(partial.path()).await.map_err(not_kept)?;
        Ok(Upload { file, partial, target: uploads.directory.join(secret), bytes: 0 })
    }
}
