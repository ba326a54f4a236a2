//! The tree that an archive is unpacked to, whatever the archive's form is: its limits, and what is
//! never done.

use super::{
    ENTRIES, UNPACKED_BYTES, cannot_be_read, inside, internal, invalid, not_written, shown,
};
use crate::Result;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) struct Tree<'a> {
    directory: &'a Path,
    /// Symbolic links, by their place. None is there yet.
    links: BTreeMap<PathBuf, PathBuf>,
    entries: usize,
    bytes: u64,
}

impl<'a> Tree<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self { directory, links: BTreeMap::new(), entries: 0, bytes: 0 }
    }

    /// Returns the links, which are still to be made.
    pub(super) fn finish(self) -> Result<BTreeMap<PathBuf, PathBuf>> {
        if self.entries == 0 {
            return invalid("The archive is empty.");
        }
        Ok(self.links)
    }

    /// Counts one more entry, whatever it is.
    pub(super) fn count_entry(&mut self) -> Result<()> {
        self.entries += 1;
        if self.entries > ENTRIES {
            return invalid(format!(
                "The archive has more than {ENTRIES} files and directories. Leave out what the \
                 build makes anew (.gitignore is honoured), or use git push."
            ));
        }
        Ok(())
    }

    /// Counts the bytes of a file before it is written.
    pub(super) fn count_bytes(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > UNPACKED_BYTES {
            return invalid(format!(
                "The archive is larger than {} MiB unpacked.",
                UNPACKED_BYTES >> 20
            ));
        }
        Ok(())
    }

    pub(super) fn directory(&mut self, path: &Path, name: &str) -> Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        self.parents(path, name)?;
        self.links.remove(path);
        let made = fs::create_dir_all(self.directory.join(path));
        made.map_err(|error| not_written(name, error))
    }

    pub(super) fn link(&mut self, path: &Path, name: &str, target: &[u8]) -> Result<()> {
        if Path::new(OsStr::from_bytes(target)).is_absolute() {
            return invalid(format!(
                "The archive's link {name} leads out of it, to {}.",
                shown(target)
            ));
        }
        self.parents(path, name)?;
        remove_file(&self.directory.join(path), name)?;
        self.links.insert(path.to_owned(), OsStr::from_bytes(target).into());
        Ok(())
    }

    pub(super) fn hard_link(&mut self, path: &Path, name: &str, target: &[u8]) -> Result<()> {
        let target = self.directory.join(inside(target)?);
        if !target.symlink_metadata().is_ok_and(|file| file.is_file()) {
            return invalid(format!(
                "The archive's hard link {name} names no file that comes before it."
            ));
        }
        self.parents(path, name)?;
        let place = self.directory.join(path);
        if place != target {
            remove_file(&place, name)?;
            fs::hard_link(target, place).map_err(|error| not_written(name, error))?;
            self.links.remove(path);
        }
        Ok(())
    }

    /// Writes a file, whose bytes were counted before; returns how many it had.
    pub(super) fn file(
        &mut self,
        path: &Path,
        name: &str,
        executable: bool,
        from: &mut impl Read,
    ) -> Result<u64> {
        self.parents(path, name)?;
        let place = self.directory.join(path);
        remove_file(&place, name)?;
        self.links.remove(path);
        let mode = if executable { 0o755 } else { 0o644 };
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&place)
            .map_err(|error| not_written(name, error))?;
        let bytes = copy(from, &mut file, name)?;
        // Whatever the server's umask is.
        file.set_permissions(Permissions::from_mode(mode)).map_err(internal)?;
        Ok(bytes)
    }

    /// Makes the directories above an entry, which may be missing in an archive.
    fn parents(&mut self, path: &Path, name: &str) -> Result<()> {
        if path.as_os_str().is_empty() {
            return invalid(format!("The archive's entry {name} has no name."));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some(link) = parent.ancestors().find(|above| self.links.contains_key(*above)) {
            return invalid(format!(
                "The archive's entry {name} lies behind the link {}.",
                link.display()
            ));
        }
        fs::create_dir_all(self.directory.join(parent)).map_err(|error| not_written(name, error))
    }
}

/// Copies an entry; a failure to read is the archive's, one to write is ours.
fn copy(from: &mut impl Read, to: &mut File, name: &str) -> Result<u64> {
    let (mut buffer, mut bytes) = (vec![0; 128 << 10], 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                bytes += count as u64;
                to.write_all(&buffer[..count]).map_err(|error| not_written(name, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot_be_read(&error)),
        }
    }
}

/// The last of several entries with one name counts, as with tar.
fn remove_file(place: &Path, name: &str) -> Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_written(name, error)),
        _ => Ok(()),
    }
}
