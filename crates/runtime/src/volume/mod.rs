//! Volumes as sparse image files with ext4, each behind one loop device while it is mounted.
//!
//! ```text
//! <volumes directory>/<volume>/
//!   image                the file system
//!   <snapshot>.snapshot  a copy of it
//!   lock                 locked while a loop device is looked for or a copy is made
//! ```
//!
//! Nothing is mounted on the host: a shim mounts in its own namespace, and the driver mounts
//! nowhere at all, through a descriptor. A loop device frees itself with its last mount. So a
//! crash of anything leaves nothing to clean up, except writes that are held back for a snapshot;
//! see [`copy`].

pub mod copy;
mod loop_device;

pub use loop_device::{LoopDevice, any_below};

use crate::sys;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use windlass_core::ids::{SnapshotId, VolumeId};

/// Bytes of a block of every volume's file system.
pub const BLOCK: u64 = 4096;

/// The files of one volume.
#[derive(Clone)]
pub struct VolumeFiles {
    directory: PathBuf,
}

impl VolumeFiles {
    pub fn new(volumes: &Path, volume: VolumeId) -> Self {
        Self { directory: volumes.join(volume.to_string()) }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn image(&self) -> PathBuf {
        self.directory.join("image")
    }

    pub fn snapshot(&self, snapshot: SnapshotId) -> PathBuf {
        self.directory.join(format!("{snapshot}.snapshot"))
    }

    /// Waits until nobody else looks for a loop device or copies; the file keeps the lock.
    pub fn lock(&self) -> io::Result<File> {
        let lock = self.open_lock()?;
        lock.lock()?;
        Ok(lock)
    }

    /// The same without waiting; `None` when somebody else has it.
    pub fn try_lock(&self) -> io::Result<Option<File>> {
        let lock = self.open_lock()?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn open_lock(&self) -> io::Result<File> {
        let path = self.directory.join("lock");
        File::options().read(true).write(true).create(true).truncate(false).open(path)
    }
}

/// Mounts an image nowhere yet, for an instance. The volume's lock must be held.
pub fn mount_image(image: &Path) -> io::Result<OwnedFd> {
    let device = match LoopDevice::find(image)? {
        Some(device) => device,
        None => LoopDevice::attach(image)?,
    };
    let mount = mount_loop_device(&device)?;
    // Programs such as PostgreSQL want an empty directory. A repair would make it again. Nothing
    // is written otherwise: where writers are held back that would wait for ever.
    let lost = inside(&mount).join("lost+found");
    if lost.exists() {
        let _ = fs::remove_dir(lost);
    }
    Ok(mount)
}

/// Mounts the file system behind a loop device nowhere yet. Writes nothing: writers may be held
/// back.
pub fn mount_loop_device(device: &LoopDevice) -> io::Result<OwnedFd> {
    // What is deleted is given back to the disk at once. An error in the file system stops the
    // writers rather than making it worse.
    let options = [(c"discard", None), (c"errors", Some(c"remount-ro"))];
    sys::mount_device(device.path(), c"ext4", &options)
}

/// Returns a path to the root of a detached mount.
pub fn inside(mount: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()))
}

/// Makes the file system of a mounted image as large as the image. The volume's lock must be held.
/// The kernel asks for CAP_SYS_RESOURCE, which nested hosts lack.
pub fn grow_mounted(image: &Path, device: &LoopDevice) -> io::Result<()> {
    device.update_capacity()?;
    let mount = mount_loop_device(device)?;
    sys::grow_ext4(&File::open(inside(&mount))?, fs::metadata(image)?.len() / BLOCK)
}

/// Lets writes go on that a copy which died has held back. The volume's lock must be held.
pub fn thaw_image(image: &Path) -> io::Result<()> {
    let Some(device) = LoopDevice::find(image)? else { return Ok(()) };
    let mount = mount_loop_device(&device)?;
    match sys::thaw(&File::open(inside(&mount))?) {
        // Nothing was held back.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}

/// Returns the bytes that a file takes up on the disk.
pub fn bytes_on_disk(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.blocks() * 512)
}
