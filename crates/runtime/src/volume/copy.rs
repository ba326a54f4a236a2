//! Copies of images. While a mounted one is copied its writers are held back, by a process of its
//! own: if the server dies meanwhile that process goes on and lets them go; if it dies itself, the
//! server does; and if both die, the next server does, when it starts.

use super::{LoopDevice, inside, mount_loop_device};
use crate::sys;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The word after `shim` that starts a copy.
pub const COPY: &str = "copy-volume";

/// How long writers may be held back.
const FREEZE_LIMIT: Duration = Duration::from_secs(20);

/// Bytes between two looks at the clock.
const PIECE: u64 = 16 << 20;

/// Runs the process that copies: `<program> shim copy-volume <image> <copy>`. The volume's lock
/// must be held by whoever waits for it.
pub fn copy_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(image), Some(copy)) = (arguments.next(), arguments.next()) else {
        eprintln!("{COPY} is started by the server; it cannot be used by hand");
        return ExitCode::from(2);
    };
    // Ending in the middle would leave the writers held back until somebody notices.
    sys::ignore_termination_signals();
    match copy_consistent(&PathBuf::from(image), &PathBuf::from(copy)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets writers go when it is dropped.
struct Frozen(File);

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = sys::thaw(&self.0) {
            eprintln!("the volume could not be thawed: {error}");
        }
    }
}

fn copy_consistent(image: &Path, copy: &Path) -> io::Result<()> {
    let Some(device) = LoopDevice::find(image)? else { return copy_image(image, copy, None) };
    let mount = mount_loop_device(&device)?;
    let directory = File::open(inside(&mount))?;
    sys::freeze(&directory)?;
    let frozen = Frozen(directory);
    let deadline = Instant::now() + FREEZE_LIMIT;
    let target = write_copy(image, copy, Some(deadline))?;
    drop(frozen);
    finish(&target, copy)
}

/// Copies an image that nobody writes to; shares its blocks where the disk's file system can. The
/// copy appears as a whole or not at all.
pub fn copy_image(image: &Path, copy: &Path, deadline: Option<Instant>) -> io::Result<()> {
    let target = write_copy(image, copy, deadline)?;
    finish(&target, copy)
}

fn temporary(copy: &Path) -> PathBuf {
    copy.with_extension("new")
}

fn write_copy(image: &Path, copy: &Path, deadline: Option<Instant>) -> io::Result<File> {
    let mut from = File::open(image)?;
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let mut to = options.open(temporary(copy))?;
    let copied = match sys::share_blocks(&from, &to) {
        Ok(()) => Ok(()),
        Err(_) => copy_data(&mut from, &mut to, deadline),
    };
    if let Err(error) = copied {
        let _ = fs::remove_file(temporary(copy));
        return Err(error);
    }
    Ok(to)
}

fn finish(target: &File, copy: &Path) -> io::Result<()> {
    target.sync_all()?;
    fs::rename(temporary(copy), copy)?;
    copy.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Copies what is data and leaves holes.
fn copy_data(from: &mut File, to: &mut File, deadline: Option<Instant>) -> io::Result<()> {
    use nix::unistd::{Whence, lseek};
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut position = 0;
    while position < length {
        let at = i64::try_from(position).map_err(io::Error::other)?;
        let start = match lseek(from.as_raw_fd(), at, Whence::SeekData) {
            Ok(start) => start,
            Err(nix::Error::ENXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = lseek(from.as_raw_fd(), start, Whence::SeekHole)?;
        let (start, end) = (start.cast_unsigned(), end.cast_unsigned());
        position = start;
        while position < end {
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(io::Error::other(format!(
                    "the copy took longer than {} s, for which writers may be held back",
                    FREEZE_LIMIT.as_secs()
                )));
            }
            let piece = PIECE.min(end - position);
            from.seek(SeekFrom::Start(position))?;
            to.seek(SeekFrom::Start(position))?;
            if io::copy(&mut Read::by_ref(from).take(piece), to)? != piece {
                return Err(io::Error::other("the image became shorter while it was copied"));
            }
            position += piece;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn copies_keep_content_and_holes() {
        let directory = tempfile::tempdir().unwrap();
        let (image, copy) = (directory.path().join("image"), directory.path().join("copy"));
        let mut file = File::create(&image).unwrap();
        file.set_len(64 << 20).unwrap();
        for at in [0, 20 << 20, (64 << 20) - 5] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(b"hello").unwrap();
        }
        copy_image(&image, &copy, None).unwrap();
        assert_eq!(fs::read(&image).unwrap(), fs::read(&copy).unwrap());
        assert!(super::super::bytes_on_disk(&copy).unwrap() < 1 << 20);
        assert!(!temporary(&copy).exists());
    }

    #[test]
    fn a_copy_that_takes_too_long_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (image, copy) = (directory.path().join("image"), directory.path().join("copy"));
        fs::write(&image, "hello").unwrap();
        let mut from = File::open(&image).unwrap();
        let mut to = File::create(directory.path().join("to")).unwrap();
        let past = Instant::now() - Duration::from_secs(1);
        let error = copy_data(&mut from, &mut to, Some(past)).unwrap_err();
        assert!(error.to_string().contains("longer than 20 s"), "{error}");
        if copy_image(&image, &copy, Some(past)).is_err() {
            assert!(!copy.exists() && !temporary(&copy).exists());
        }
    }
}
