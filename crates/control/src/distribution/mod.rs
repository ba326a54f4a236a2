//! The registry: what `docker push` and its like send here, and what they may fetch.
//!
//! A repository is named `APP/TYPE`. Blobs are files below `registry/`, one for each digest however
//! many repositories use it. Which repository may use which blob is in the store, so that nobody
//! gets at a blob by knowing its digest.

mod blobs;
mod collect;
mod manifest;
mod manifests;
mod push;
mod uploads;

pub use blobs::BlobContent;
pub(crate) use blobs::Pieces;
pub use manifest::takes_indexes;
pub use manifests::StoredManifest;
pub use uploads::BlobUpload;

use crate::PlatformError;
use crate::platform::make_directory;
use crate::records::App;
use std::path::PathBuf;
use tokio::sync::{RwLock, Semaphore};
use uploads::Uploads;
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;

/// The images of one process type of an app.
#[derive(Clone, Debug)]
pub struct Repository {
    pub app: App,
    pub process: ProcessType,
}

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Tag(String),
    Digest(Digest),
}

/// Why the registry refuses. Its codes are those of the OCI Distribution specification.
#[derive(Debug, thiserror::Error)]
pub enum DistributionError {
    #[error("the blob {0} is not in this repository")]
    BlobUnknown(Digest),
    #[error("there is no such upload, or it has expired: begin again")]
    BlobUploadUnknown,
    #[error("{0}")]
    BlobUploadInvalid(String),
    #[error("the upload has {at} bytes: go on there")]
    RangeInvalid { at: u64 },
    #[error("{0}")]
    DigestInvalid(String),
    #[error("{0}")]
    SizeInvalid(String),
    #[error("there is no such manifest in this repository")]
    ManifestUnknown,
    #[error("{0}")]
    ManifestInvalid(String),
    #[error("the manifest names the blob {0}, which was not pushed to this repository")]
    ManifestBlobUnknown(Digest),
    #[error("{0}")]
    TooManyRequests(String),
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl From<windlass_store::StoreError> for DistributionError {
    fn from(error: windlass_store::StoreError) -> Self {
        Self::Platform(error.into())
    }
}

pub type Result<T> = std::result::Result<T, DistributionError>;

/// What the registry keeps in memory.
pub(crate) struct Distribution {
    directory: PathBuf,
    uploads: Uploads,
    /// Held shared while a repository is given a blob, and alone while unused ones are removed.
    collecting: RwLock<()>,
    /// Unpacking an image takes the disk and a processor: one at a time.
    importing: Semaphore,
}

impl Distribution {
    pub(crate) fn new(data_directory: &std::path::Path) -> Self {
        Self {
            directory: data_directory.join("registry"),
            uploads: Uploads::default(),
            collecting: RwLock::new(()),
            importing: Semaphore::new(1),
        }
    }

    /// Makes the directories, without what an earlier run left half sent.
    pub(crate) fn prepare(&self) -> crate::Result<()> {
        let _ = std::fs::remove_dir_all(self.uploads_directory());
        make_directory(&self.blobs_directory())?;
        make_directory(&self.uploads_directory())
    }

    fn blobs_directory(&self) -> PathBuf {
        self.directory.join("blobs")
    }

    fn uploads_directory(&self) -> PathBuf {
        self.directory.join("uploads")
    }

    fn blob_file(&self, digest: &Digest) -> PathBuf {
        self.blobs_directory().join(digest.hex())
    }

    pub(crate) fn importing(&self) -> &Semaphore {
        &self.importing
    }
}
