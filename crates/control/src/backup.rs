//! Backups of a whole server in one file: a tar, compressed and on request encrypted, whose last
//! entry lists all others with their SHA-256. They are made from the data directory, whether a
//! server runs on it or not.
//!
//! What is consistent, and how: repositories first, refs before objects (objects are only ever
//! added); then the database in one transaction, so that no release in it lacks its commit; images
//! are never changed; each volume as it was at one moment.

mod archive;
mod restore;
mod schedule;
mod seal;
mod stage;

pub use archive::{Entry, Manifest, verify};
pub use restore::{Restored, restore};
pub use schedule::{Schedule, file_name, surplus, time_of};
pub use stage::{Source, Summary, create};

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{what} {path:?}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("another backup of {0:?} is being made")]
    Busy(PathBuf),
    #[error("{0:?} holds no data of a server: nothing to back up")]
    NoData(PathBuf),
    #[error("{0:?} is not empty: a backup is restored into an empty or new data directory only")]
    NotEmpty(PathBuf),
    #[error("this is no backup that windlass made")]
    NoBackup,
    #[error("the backup is of a newer windlass ({0}): restore it with that one")]
    TooNew(String),
    #[error("the backup is encrypted: give its passphrase with --passphrase-file")]
    Encrypted,
    #[error("the passphrase is wrong, or the backup is damaged at its beginning")]
    WrongPassphrase,
    #[error("the backup is cut short or damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Store(#[from] windlass_store::StoreError),
    #[error(transparent)]
    Images(#[from] windlass_oci::OciError),
}

type Result<T> = std::result::Result<T, BackupError>;

fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { what, path, source }
}

/// What could not be read from a backup.
fn damaged(error: io::Error) -> BackupError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<seal::SealError>()) {
        Some(seal::SealError::First) => BackupError::WrongPassphrase,
        _ => BackupError::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
