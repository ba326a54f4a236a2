//! Files and directories of the store: locks, atomic writes, removal.

use crate::{ImageStore, OciError};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use windlass_core::ids::Digest;

/// Whether a write must be on the disk before it takes effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Lazy,
    Synced,
}

impl ImageStore {
    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Which layer of ours a layer of an imported image became, by the digest it came with.
    pub(crate) fn imports(&self) -> PathBuf {
        self.root.join("imports")
    }

    pub(crate) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    /// Held while an object is added, so that `collect` does not remove what is just being reused.
    pub(crate) fn lock_shared(&self) -> Result<File, OciError> {
        let (file, path) = self.lock_file()?;
        file.lock_shared().map_err(OciError::io("cannot lock", &path))?;
        Ok(file)
    }

    pub(crate) fn lock_exclusive(&self) -> Result<File, OciError> {
        let (file, path) = self.lock_file()?;
        file.lock().map_err(OciError::io("cannot lock", &path))?;
        Ok(file)
    }

    // A newly opened file each time: such locks exclude threads of one process as well.
    fn lock_file(&self) -> Result<(File, PathBuf), OciError> {
        let path = self.root.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        Ok((file.map_err(OciError::io("cannot open", &path))?, path))
    }

    /// Makes a new directory below `staging/`.
    pub(crate) fn new_staging(&self, prefix: &str) -> Result<PathBuf, OciError> {
        let path = self.staging().join(unique_name(prefix));
        DirBuilder::new().mode(0o711).create(&path).map_err(OciError::io("cannot make", &path))?;
        Ok(path)
    }
}

fn unique_name(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{nanos:x}-{count}", std::process::id())
}

/// Makes a directory and its parents; one that is there already keeps its mode.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<(), OciError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(OciError::io("cannot make", path))
}

/// Replaces a file as a whole, by way of a temporary one beside it.
pub(crate) fn write_atomically(
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), OciError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = directory.join(unique_name(".tmp"));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        if durability == Durability::Synced {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)?;
        if durability == Durability::Synced {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    });
    written.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        OciError::io("cannot write", path)(source)
    })
}

/// Removes a directory of the store with everything in it, unless something is mounted on one of
/// its children: what is mounted there may be a layer in use.
pub(crate) fn remove_tree(path: &Path) -> Result<(), OciError> {
    let action = "cannot remove";
    let device = path.symlink_metadata().map_err(OciError::io(action, path))?.dev();
    for entry in std::fs::read_dir(path).map_err(OciError::io(action, path))? {
        let child = entry.map_err(OciError::io(action, path))?.path();
        let metadata = child.symlink_metadata().map_err(OciError::io(action, &child))?;
        if metadata.is_dir() && metadata.dev() != device {
            return Err(OciError::Invalid(format!(
                "cannot remove {path:?}: {child:?} is mounted; unmount it first"
            )));
        }
    }
    std::fs::remove_dir_all(path).map_err(OciError::io(action, path))
}

/// Returns how long ago a file was last changed; zero for times in the future.
pub(crate) fn age(path: &Path) -> Result<std::time::Duration, OciError> {
    let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
    let modified = modified.map_err(OciError::io("cannot read", path))?;
    Ok(SystemTime::now().duration_since(modified).unwrap_or_default())
}

/// Makes a file look just changed.
pub(crate) fn touch(path: &Path) -> Result<(), OciError> {
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .map_err(OciError::io("cannot change the time of", path))
}
