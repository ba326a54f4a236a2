//! The lock of a data directory: who has it, and whether that server is ready.

use crate::server::{ServerError, io};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the lock's file says about the server that holds it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub version: String,
    /// Milliseconds since the Unix epoch.
    pub since: i64,
    pub ready: bool,
}

/// The lock; the kernel gives it back however the process ends.
pub struct DataLock {
    file: File,
    holder: Holder,
}

impl DataLock {
    /// Takes the data directory for this process, and makes it if it is not there.
    pub fn take(data: &Path) -> Result<Self, ServerError> {
        std::fs::create_dir_all(data).map_err(io("cannot make the data directory", data))?;
        // Root inside a container is somebody else outside and must get through to its files.
        let mode = std::fs::metadata(data).map_err(io("cannot read", data))?.permissions().mode();
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(mode | 0o011))
            .map_err(io("cannot open up", data))?;
        let path = data.join("lock");
        let file = open(&path).map_err(io("cannot open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(ServerError::Busy(data.to_owned()));
            }
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(io("cannot lock", &path)(source));
            }
        }
        let holder = Holder {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: jiff::Timestamp::now().as_millisecond(),
            ready: false,
        };
        let mut lock = Self { file, holder };
        lock.write().map_err(io("cannot write", &path))?;
        Ok(lock)
    }

    /// Says that the server takes requests.
    pub fn set_ready(&mut self) {
        self.holder.ready = true;
        if let Err(error) = self.write() {
            tracing::warn!(%error, "the lock's file could not be written");
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(serde_json::to_string(&self.holder)?.as_bytes())
    }
}

impl Drop for DataLock {
    /// Gives it back at once: a child that was forked and has not executed its program yet has the
    /// file open as well, and closing ours would not be enough until then.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

/// Returns the server that has the data directory now, if one has.
pub fn holder(data: &Path) -> Option<Holder> {
    let path = data.join("lock");
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(std::fs::TryLockError::WouldBlock) => {}
        _ => return None,
    }
    // Empty for a moment while it is being written.
    for _ in 0..20 {
        if let Ok(holder) = serde_json::from_slice(&std::fs::read(&path).ok()?) {
            return Some(holder);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_says_who_has_it_and_whether_it_is_ready() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(holder(directory.path()), None);
        let mut lock = DataLock::take(directory.path()).unwrap();
        let taken = holder(directory.path()).unwrap();
        assert_eq!((taken.pid, taken.ready), (std::process::id(), false));
        assert!(matches!(DataLock::take(directory.path()), Err(ServerError::Busy(_))));
        lock.set_ready();
        assert!(holder(directory.path()).unwrap().ready);
        drop(lock);
        assert_eq!(holder(directory.path()), None);
    }
}
