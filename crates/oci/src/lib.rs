//! The image store: an OCI layout directory whose layers are also kept unpacked.
//!
//! An image is a manifest by digest. A layer is stored as a directory (`layers/<diff id>/fs`),
//! with owners as inside a container (0 is root); its digest is that of the deterministic,
//! uncompressed tar which the directory would pack to, so nothing has to be packed until
//! somebody pulls it.

use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;

#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error("image {0} is not in the store")]
    NoSuchImage(String),
    #[error("{action} {path:?}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Invalid(String),
}

/// The store below one directory. Cheap to clone; safe to use from several threads.
#[derive(Clone, Debug)]
pub struct ImageStore {
    root: PathBuf,
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
}

/// An image looked up by digest.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    pub digest: Digest,
    pub config: ImageConfig,
    pub layers: Vec<Layer>,
    /// The directories of the layers, top layer first, as overlayfs wants them.
    pub layer_directories: Vec<PathBuf>,
}

impl ImageStore {
    /// Opens the store, making its directories if there are none.
    pub fn open(root: &Path) -> Result<Self, OciError> {
        Ok(Self { root: root.to_owned() })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the image with the given manifest digest.
    pub fn resolve(&self, _image: &Digest) -> Result<ResolvedImage, OciError> {
        todo!()
    }

    /// Returns a new empty directory on the store's file system whose `fs` folder can be filled
    /// and handed to [`ImageStore::commit_layer`]. Left-overs are removed by [`ImageStore::collect`].
    pub fn staging_directory(&self) -> Result<PathBuf, OciError> {
        todo!()
    }

    /// Moves `<staging>/fs` into the store as a layer. Hashes it; copies and packs nothing.
    /// A layer that is there already is used and the new directory removed.
    pub fn commit_layer(&self, _staging: &Path) -> Result<Layer, OciError> {
        todo!()
    }

    /// Makes an image of `base`'s layers and `layers` on top (lowest first). Returns the manifest's digest.
    pub fn put_image(&self, _base: Option<&Digest>, _layers: &[Layer], _config: &ImageConfig) -> Result<Digest, OciError> {
        todo!()
    }

    /// Points `name` (for example `stack/debian-12-run`) at an image, atomically.
    pub fn set_tag(&self, _name: &str, _image: &Digest) -> Result<(), OciError> {
        todo!()
    }

    pub fn tag(&self, _name: &str) -> Result<Option<Digest>, OciError> {
        todo!()
    }

    /// Removes every image that is neither tagged nor in `keep`, and then every layer and blob that
    /// no image left needs. Returns the number of images removed.
    pub fn collect(&self, _keep: &std::collections::BTreeSet<Digest>) -> Result<usize, OciError> {
        todo!()
    }

    /// Writes the deterministic uncompressed tar of a layer: the blob that its digest names.
    pub fn write_layer_tar(&self, _diff_id: &Digest, _out: &mut dyn std::io::Write) -> Result<(), OciError> {
        todo!()
    }
}
