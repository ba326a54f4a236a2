//! Loop devices: an image file as a block device. Two devices of one file would destroy it, so one
//! is looked for before another is made, under the volume's lock.

use crate::sys;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How often another free device is tried when somebody else was faster.
const ATTEMPTS: usize = 32;

/// A loop device that cannot go away while this is held.
pub struct LoopDevice {
    file: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Returns the device of an image, if it has one.
    pub fn find(image: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(image)?;
        let wanted = (metadata.dev(), metadata.ino());
        for path in bound_devices()? {
            // For reading: mounting may be refused while somebody could write beside it.
            let Ok(file) = File::open(&path) else { continue };
            if sys::loop_device_file(&file).is_ok_and(|found| found == wanted) {
                return Ok(Some(Self { file, path }));
            }
        }
        Ok(None)
    }

    /// Makes a device of an image that has none.
    pub fn attach(image: &Path) -> io::Result<Self> {
        let control = File::options().read(true).write(true).open("/dev/loop-control")?;
        let image = File::options().read(true).write(true).open(image)?;
        for _ in 0..ATTEMPTS {
            let path = PathBuf::from(format!("/dev/loop{}", sys::free_loop_device(&control)?));
            let writable = File::options().read(true).write(true).open(&path)?;
            match sys::configure_loop_device(&writable, &image) {
                Ok(()) => {
                    let file = File::open(&path)?;
                    return Ok(Self { file, path });
                }
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no loop device stayed free"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over the size that the image has now.
    pub fn update_capacity(&self) -> io::Result<()> {
        sys::update_loop_capacity(&self.file)
    }
}

/// Returns whether a loop device has a file below `directory`.
pub fn any_below(directory: &Path) -> bool {
    let below = |device: &Path| {
        let name = device.file_name().unwrap_or_default();
        let backing = Path::new("/sys/block").join(name).join("loop/backing_file");
        fs::read_to_string(backing).is_ok_and(|file| Path::new(&file).starts_with(directory))
    };
    bound_devices().is_ok_and(|devices| devices.iter().any(|device| below(device)))
}

/// Returns the devices that have a file.
fn bound_devices() -> io::Result<Vec<PathBuf>> {
    let mut devices = Vec::new();
    for entry in fs::read_dir("/sys/block")?.flatten() {
        let name = entry.file_name();
        let is_loop = name.to_string_lossy().starts_with("loop");
        if is_loop && entry.path().join("loop").exists() {
            devices.push(Path::new("/dev").join(name));
        }
    }
    Ok(devices)
}
