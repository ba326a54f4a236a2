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
use windlass_core::ids::UserId;

/// How long an archive can be sent and built from (Heroku: 1 hour).
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Bytes of one archive as it is sent.
pub(super) const ARCHIVE_BYTES: u64 = 1 << 30;

/// Places of one person that are open at once; the oldest makes room for another.
const PLACES_PER_USER: usize = 50;
/// How often the room on the disk is looked at, in bytes of an upload.
const LOOK_EVERY: u64 = 64 << 20;

/// The places that were given out.
pub(crate) struct Uploads {
    directory: PathBuf,
    given: Mutex<HashMap<String, Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    user: UserId,
    since: Instant,
}

impl Uploads {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, given: Mutex::default() }
    }

    fn given(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, secret: &str) -> bool {
        self.given().get(secret).is_some_and(|place| place.since.elapsed() < KEPT)
    }

    /// Gives out a place; returns its secret.
    fn give(&self, user: UserId) -> String {
        let secret = random_secret();
        let mut given = self.given();
        let theirs = || given.iter().filter(|(_, place)| place.user == user);
        if theirs().count() >= PLACES_PER_USER
            && let Some(oldest) = theirs().min_by_key(|(_, place)| place.since)
        {
            let oldest = oldest.0.clone();
            given.remove(&oldest);
            remove(&self.directory.join(oldest));
        }
        given.insert(secret.clone(), Place { user, since: Instant::now() });
        secret
    }

    /// Forgets places that are too old and removes their files.
    pub(crate) fn collect(&self) {
        let mut old = Vec::new();
        self.given().retain(|secret, place| {
            let keep = place.since.elapsed() < KEPT;
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
    next_look: u64,
    platform: Platform,
}

impl Upload {
    /// Adds bytes.
    ///
    /// # Errors
    /// `Invalid` beyond 1 GiB; `Conflict` when the disk is nearly full.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > ARCHIVE_BYTES {
            return Err(PlatformError::Invalid(format!(
                "The archive is larger than {} MiB.",
                ARCHIVE_BYTES >> 20
            )));
        }
        if self.bytes >= self.next_look {
            self.platform.refuse_if_disk_is_full()?;
            self.next_look = self.bytes + LOOK_EVERY;
        }
        self.file.write_all(bytes).await.map_err(not_kept)
    }

    /// Keeps the archive; one that was sent to the same place before is replaced.
    pub async fn finish(mut self) -> Result<()> {
        self.file.flush().await.map_err(not_kept)?;
        let secret = self.target.file_name().unwrap_or_default().to_string_lossy();
        if !self.platform.receiver().uploads().is_open(&secret) {
            // Its time was over, or others took its place: nobody would remove it.
            return Err(PlatformError::NotFound { resource: "source" });
        }
        tokio::fs::rename(self.partial.path(), &self.target).await.map_err(not_kept)
    }
}

fn not_kept(error: std::io::Error) -> PlatformError {
    PlatformError::internal("the archive could not be kept", error)
}

impl Platform {
    /// Makes a place to send an archive to; returns its secret, which is good for an hour.
    pub fn create_source(&self, user: &User) -> String {
        let secret = self.receiver().uploads().give(user.id);
        tracing::debug!(user = user.email, "made a place for an uploaded source");
        secret
    }

    /// Begins to take an archive.
    ///
    /// # Errors
    /// `NotFound` for a place that is none, or no more; `Conflict` when the disk is nearly full.
    pub async fn begin_upload(&self, secret: &str) -> Result<Upload> {
        let uploads = self.receiver().uploads();
        if !uploads.is_open(secret) {
            return Err(PlatformError::NotFound { resource: "source" });
        }
        self.refuse_if_disk_is_full()?;
        let partial = uploads.new_file();
        let file = File::create(partial.path()).await.map_err(not_kept)?;
        let (target, platform) = (uploads.directory.join(secret), self.clone());
        Ok(Upload { file, partial, target, bytes: 0, next_look: LOOK_EVERY, platform })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_places_and_takes_none_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned());
        let (ada, eve) = (UserId::random(), UserId::random());
        let hers = uploads.give(ada);
        let first = uploads.give(eve);
        std::fs::write(folder.path().join(&first), "sent").unwrap();
        let more: Vec<_> = (0..PLACES_PER_USER).map(|_| uploads.give(eve)).collect();
        assert!(!uploads.is_open(&first) && !folder.path().join(&first).exists());
        assert!(uploads.is_open(&hers) && more.iter().all(|place| uploads.is_open(place)));
    }
}
