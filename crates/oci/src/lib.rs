//! The image store: an OCI layout directory whose layers are also kept unpacked.
//!
//! An image is a manifest by digest. A layer is stored as a directory (`layers/<diff id>/fs`),
//! with owners as inside a container (0 is root); its digest is that of the deterministic,
//! uncompressed tar which the directory would pack to, so nothing has to be packed until
//! somebody pulls it.
//!
//! ```text
//! <root>/oci-layout  index.json          the OCI image layout; tags are annotations in the index
//!        blobs/sha256/<hex>              manifests and configs (a layer's tar is made on demand)
//!        layers/<hex>/{fs/, layer.json}  unpacked layers, ready to be lower directories
//!        imports/<hex>                   which layer a layer of an imported image became
//!        staging/<name>/                 layers being filled, and rubbish being removed
//!        lock                            taken shared to add objects, exclusively to tag and collect
//! ```

#![forbid(unsafe_code)]

mod archive;
mod backup;
mod collect;
mod compression;
mod export;
mod files;
#[cfg(test)]
mod fuzz;
mod header_limit;
mod import;
mod index;
mod layer;
mod lookup;
mod manifest;
mod single;
mod store;
mod tags;
mod tar_stream;
mod unpack;

use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;

pub use collect::UNUSED_GRACE;
pub use import::ImportLimits;
pub use index::{
    ImageIndex, ImagePlatform, IndexEntry, NoneForUs, architecture, for_other_platforms,
};
pub use layer::digest_of;

#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error("image {0} is not in the store")]
    NoSuchImage(String),
    #[error("{action} {path:?}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Invalid(String),
    /// An archive that somebody gave cannot be used; the message is for them, in one line.
    #[error("{0}")]
    Archive(String),
}

impl OciError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The store below one directory. Cheap to clone; safe to use from several threads and processes.
#[derive(Clone, Debug)]
pub struct ImageStore {
    pub(crate) root: PathBuf,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub size: u64,
}

/// What an image says about how to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageConfig {
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub labels: std::collections::BTreeMap<String, String>,
    /// What it says that it listens on: `8000/tcp`, `53/udp`; a port alone is TCP.
    pub exposed_ports: Vec<String>,
    /// Directories that it says hold data.
    pub volumes: Vec<String>,
    /// Its `HEALTHCHECK`, as it stands in the image.
    pub healthcheck: Option<serde_json::Value>,
}

/// The JSON documents of an image.
#[derive(Clone, Debug)]
pub struct ImageDocuments {
    /// An OCI image manifest; its layers are uncompressed tars.
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub config_digest: Digest,
}

/// The media type of the manifests that the store makes.
pub const IMAGE_MANIFEST_TYPE: &str = manifest::MANIFEST_TYPE;

/// An image looked up by digest.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    pub digest: Digest,
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The directories of the layers, top layer first, as overlayfs wants them.
    pub layer_directories: Vec<PathBuf>,
}
