//! Reaching into a container's root from outside. What is in it is not trusted: its symbolic links
//! must not lead the shim, which is root, out of it.

use crate::sys;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// An opened root directory.
pub struct Root {
    directory: OwnedFd,
    /// The user outside that is root inside.
    owner: u32,
}

impl Root {
    pub fn open(path: &Path, owner: u32) -> io::Result<Self> {
        Ok(Self { directory: File::open(path)?.into(), owner })
    }

    /// Opens what is at `path`, making it and the directories above it if they are missing.
    pub fn mount_point(&self, path: &Path, directory: bool) -> io::Result<OwnedFd> {
        match self.find(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let (parent, name) = path.parent().zip(path.file_name()).ok_or(error)?;
                let parent = self.mount_point(parent, true)?;
                let name = Path::new(name);
                match make(&parent, name, directory) {
                    // A symbolic link to nowhere, as /etc/resolv.conf is in many images.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        fs::remove_file(Path::new(&proc_path(&parent)).join(name))?;
                        make(&parent, name, directory)?;
                    }
                    other => other?,
                }
                let made = sys::open_in_root(&parent, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
                let owner = Some(self.owner);
                std::os::unix::fs::chown(proc_path(&made), owner, owner)?;
                Ok(made)
            }
            other => other,
        }
    }

    /// Copies a file of the host to `target`, unless the directory is not there: such an image
    /// has no program that would look for the file.
    pub fn copy_file(&self, source: &Path, target: &Path) {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        let copied = sys::open_in_root(&self.directory, target, flags, 0o644).and_then(|file| {
            File::from(file.try_clone()?).write_all(&fs::read(source)?)?;
            std::os::unix::fs::fchown(&file, Some(self.owner), Some(self.owner))
        });
        if let Err(error) = copied {
            eprintln!("{} was not copied into the image: {error}", source.display());
        }
    }

    fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        sys::open_in_root(&self.directory, path, libc::O_PATH, 0)
    }
}

fn make(parent: &OwnedFd, name: &Path, directory: bool) -> io::Result<()> {
    if directory {
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o755);
        return Ok(nix::sys::stat::mkdirat(Some(parent.as_raw_fd()), name, mode)?);
    }
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
    sys::open_in_root(parent, name, flags, 0o644).map(drop)
}

/// Returns a path to an opened file that follows no symbolic link of the container.
fn proc_path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn symbolic_links_do_not_lead_out() {
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("root");
        fs::create_dir_all(inside.join("real")).unwrap();
        symlink(outside.path(), inside.join("absolute")).unwrap();
        symlink("../../../../..", inside.join("relative")).unwrap();
        symlink("/real", inside.join("harmless")).unwrap();
        symlink("../run/nowhere", inside.join("dangling")).unwrap();
        let owner = nix::unistd::geteuid().as_raw();
        let root = Root::open(&inside, owner).unwrap();
        root.mount_point(Path::new("/harmless/a/b"), true).unwrap();
        assert!(inside.join("real/a/b").is_dir());
        root.mount_point(Path::new("/relative/file"), false).unwrap();
        assert!(inside.join("file").is_file());
        // An absolute link is taken as one inside, where its target is not.
        let _ = root.mount_point(Path::new("/absolute/evil"), true);
        assert!(!outside.path().join("evil").exists());
        root.mount_point(Path::new("/dangling"), false).unwrap();
        assert!(inside.join("dangling").symlink_metadata().unwrap().is_file());
        root.mount_point(Path::new("/../../up"), true).unwrap();
        assert!(inside.join("up").is_dir());
    }
}
