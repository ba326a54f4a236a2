//! One setup at a time, and what an interrupted one left behind.

use super::SetupError;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use windlass_oci::ImageStore;

/// Held while a setup runs. The file lists the staging directories in use, so that the next setup
/// can remove them if this one does not come to its end.
pub struct SetupLock {
    file: File,
    path: PathBuf,
}

impl SetupLock {
    pub fn acquire(data_dir: &Path) -> Result<Self, SetupError> {
        let path = data_dir.join("setup.lock");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(SetupError::io("cannot open", &path.display().to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(SetupError::Unusable(format!(
                "another setup is at work in {}; wait for it to finish",
                data_dir.display()
            ))),
            Err(TryLockError::Error(source)) => {
                Err(SetupError::io("cannot lock", &path.display().to_string())(source))
            }
        }
    }

    /// Removes what an interrupted setup recorded.
    pub fn remove_left_overs(&mut self, store: &ImageStore) -> Result<(), SetupError> {
        let mut text = String::new();
        self.file.read_to_string(&mut text).map_err(self.error("cannot read"))?;
        let staging = store.root().join("staging");
        for path in text.lines().map(Path::new) {
            // The file is only a hint: nothing outside of the staging area is removed on its word.
            if path.parent() == Some(&staging) && path.is_dir() {
                store.discard_staging(path)?;
            }
        }
        self.forget_all()
    }

    /// Records a directory before it is filled.
    pub fn record(&mut self, staging: &Path) -> Result<(), SetupError> {
        writeln!(self.file, "{}", staging.display()).map_err(self.error("cannot write"))
    }

    /// Forgets the recorded directories, which are gone.
    pub fn forget_all(&mut self) -> Result<(), SetupError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(self.error("cannot write"))
    }

    fn error(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> SetupError + use<> {
        SetupError::io(action, &self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_setups_at_once_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = SetupLock::acquire(folder.path()).unwrap();
        let error = SetupLock::acquire(folder.path()).err().unwrap();
        assert!(error.to_string().contains("another setup"), "{error}");
        drop(first);
        SetupLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn left_overs_of_an_interrupted_setup_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&folder.path().join("images")).unwrap();
        let (ours, of_a_build) =
            (store.staging_directory().unwrap(), store.staging_directory().unwrap());
        let mut lock = SetupLock::acquire(folder.path()).unwrap();
        lock.record(&ours).unwrap();
        lock.record(folder.path()).unwrap();
        drop(lock);
        SetupLock::acquire(folder.path()).unwrap().remove_left_overs(&store).unwrap();
        assert!(!ours.exists() && of_a_build.exists());
        assert_eq!(std::fs::metadata(folder.path().join("setup.lock")).unwrap().len(), 0);
    }
}
