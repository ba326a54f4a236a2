//! Unpacks an archive that somebody sent. Nothing in it is trusted: not its names, links, sizes nor
//! kinds, and nothing is ever written outside of the directory.
//!
//! Links are made last, when all files are there. So no file is written through a link, and where
//! each link leads can be looked at with all the others known.

mod links;

use crate::{PlatformError, Result};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use tar::{Archive, Entry, EntryType};

/// Files, directories and links that an archive may hold.
pub(super) const ENTRIES: usize = 10_000;
/// Bytes of all files together, unpacked; a sparse file counts in full.
pub(super) const UNPACKED_BYTES: u64 = 1 << 30;
/// Bytes of one entry's headers, long names included.
const HEADER_BYTES: u64 = 1 << 20;

/// Unpacks a tar archive, compressed by gzip or not, into `directory` (empty). With `strip_folder`
/// a single folder that holds everything is left out. `scratch` is on the same file system.
///
/// # Errors
/// `Invalid` with one line for whoever sent the archive; what was unpacked until then stays.
pub(super) fn unpack(
    file: &Path,
    directory: &Path,
    scratch: &Path,
    strip_folder: bool,
) -> Result<()> {
    let file = File::open(file).map_err(internal)?;
    let budget = Budget::default();
    let reader = Metered { from: decoder(file)?, budget: budget.clone() };
    let mut unpacker = Unpacker { directory, links: BTreeMap::new(), entries: 0, bytes: 0 };
    unpacker.entries(&mut Archive::new(reader), &budget)?;
    let mut links = unpacker.links;
    let mut root = directory.to_owned();
    if strip_folder && let Some(folder) = single_folder(directory, &links).map_err(internal)? {
        root = scratch.join("stripped");
        fs::rename(directory.join(&folder), &root).map_err(internal)?;
        links = links.into_iter().map(|(path, to)| (without_first(&path), to)).collect();
    }
    links::make(&root, &links)?;
    if root != directory {
        fs::rename(&root, directory).map_err(internal)?;
    }
    Ok(())
}

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(PlatformError::Invalid(message.into()))
}

fn internal(error: io::Error) -> PlatformError {
    PlatformError::internal("the source could not be unpacked", error)
}

fn cannot_be_read(error: &io::Error) -> PlatformError {
    PlatformError::Invalid(format!(
        "The archive cannot be read: {error}. Is it a whole .tar or .tar.gz?"
    ))
}

/// Tells the form by the first bytes, whatever the file was called.
fn decoder(mut file: File) -> Result<Box<dyn Read>> {
    let mut head = Vec::new();
    (&mut file).take(6).read_to_end(&mut head).map_err(internal)?;
    file.rewind().map_err(internal)?;
    let other = match head.as_slice() {
        [0x1f, 0x8b, ..] => return Ok(Box::new(MultiGzDecoder::new(BufReader::new(file)))),
        [] => return invalid("The archive is empty."),
        [b'P', b'K', 3 | 5, ..] => "zip",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => return Ok(Box::new(BufReader::new(file))),
    };
    invalid(format!("Archives in the form {other} are not taken: send a .tar or .tar.gz."))
}

/// How many bytes may be read before somebody allows more.
#[derive(Clone, Default)]
struct Budget(Rc<Cell<u64>>);

/// A reader within a budget, so that no header can fill the memory.
struct Metered<R> {
    from: R,
    budget: Budget,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.0.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a name or header in it is far too long"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut buffer[..most])?;
        self.budget.0.set(left - count as u64);
        Ok(count)
    }
}

struct Unpacker<'a> {
    directory: &'a Path,
    /// Symbolic links, by their place.
    links: BTreeMap<PathBuf, PathBuf>,
    entries: usize,
    bytes: u64,
}

impl Unpacker<'_> {
    fn entries<R: Read>(&mut self, archive: &mut Archive<R>, budget: &Budget) -> Result<()> {
        budget.0.set(HEADER_BYTES);
        let mut entries = archive.entries().map_err(|error| cannot_be_read(&error))?;
        loop {
            budget.0.set(HEADER_BYTES);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|error| cannot_be_read(&error))?;
            // The padding of what was read is at most a block.
            budget.0.set(UNPACKED_BYTES + HEADER_BYTES);
            self.entries += 1;
            if self.entries > ENTRIES {
                return invalid(format!(
                    "The archive has more than {ENTRIES} files and directories. Leave out what the \
                     build makes anew (.gitignore is honoured), or use git push."
                ));
            }
            if entry.header().entry_type() == EntryType::XGlobalHeader {
                skip(&mut entry)?;
            } else {
                self.entry(&mut entry)?;
            }
        }
        if self.entries == 0 {
            return invalid("The archive is empty.");
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<()> {
        let name = shown(&entry.path_bytes());
        let path = inside(&entry.path_bytes())?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                if path.as_os_str().is_empty() {
                    return Ok(());
                }
                self.parents(&path, &name)?;
                self.links.remove(&path);
                let made = fs::create_dir_all(self.directory.join(&path));
                made.map_err(|error| not_written(&name, error))
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, &path, &name)
            }
            EntryType::Symlink => {
                let target = link_target(entry, &name)?;
                if Path::new(OsStr::from_bytes(&target)).is_absolute() {
                    return invalid(format!(
                        "The archive's link {name} leads out of it, to {}.",
                        shown(&target)
                    ));
                }
                self.parents(&path, &name)?;
                remove_file(&self.directory.join(&path), &name)?;
                self.links.insert(path, OsStr::from_bytes(&target).into());
                Ok(())
            }
            EntryType::Link => {
                let target = link_target(entry, &name)?;
                let target = self.directory.join(inside(&target)?);
                if !target.symlink_metadata().is_ok_and(|file| file.is_file()) {
                    return invalid(format!(
                        "The archive's hard link {name} names no file that comes before it."
                    ));
                }
                self.parents(&path, &name)?;
                let place = self.directory.join(&path);
                if place != target {
                    remove_file(&place, &name)?;
                    fs::hard_link(target, place).map_err(|error| not_written(&name, error))?;
                    self.links.remove(&path);
                }
                Ok(())
            }
            _ => invalid(format!(
                "The archive's entry {name} is neither a file, a directory nor a link."
            )),
        }
    }

    fn file<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path, name: &str) -> Result<()> {
        refuse_pax_sparse(entry, name)?;
        // The length of a sparse file, not of what the archive has of it.
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.bytes > UNPACKED_BYTES {
            return invalid(format!(
                "The archive is larger than {} MiB unpacked.",
                UNPACKED_BYTES >> 20
            ));
        }
        self.parents(path, name)?;
        let place = self.directory.join(path);
        remove_file(&place, name)?;
        self.links.remove(path);
        let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&place)
            .map_err(|error| not_written(name, error))?;
        copy(entry, &mut file, name)?;
        // Whatever the server's umask is.
        file.set_permissions(Permissions::from_mode(mode)).map_err(internal)
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

/// Returns the name as a path without anything but names in it.
fn inside(name: &[u8]) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                return invalid(format!("The archive's entry {} has `..` in it.", shown(name)));
            }
            Component::RootDir | Component::Prefix(_) => {
                return invalid(format!(
                    "The archive's entry {} is an absolute path.",
                    shown(name)
                ));
            }
        }
    }
    Ok(path)
}

/// A name as it can be put into a message: one line, not endless.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut text: String = name.escape_debug().take(120).collect();
    if text.len() < name.len() && name.len() > 120 {
        text.push('…');
    }
    text
}

fn link_target<R: Read>(entry: &Entry<'_, R>, name: &str) -> Result<Vec<u8>> {
    match entry.link_name_bytes() {
        Some(target) if !target.is_empty() => Ok(target.into_owned()),
        _ => invalid(format!("The archive's link {name} leads nowhere.")),
    }
}

/// Sparse files in the form of newer archives would be unpacked as something else.
fn refuse_pax_sparse<R: Read>(entry: &mut Entry<'_, R>, name: &str) -> Result<()> {
    let Ok(Some(extensions)) = entry.pax_extensions() else { return Ok(()) };
    let sparse = |key: &[u8]| key.starts_with(b"GNU.sparse.");
    if extensions.flatten().any(|extension| sparse(extension.key_bytes())) {
        return invalid(format!(
            "The archive's file {name} is stored as a sparse file: make the archive without --sparse."
        ));
    }
    Ok(())
}

fn skip<R: Read>(entry: &mut Entry<'_, R>) -> Result<()> {
    io::copy(&mut entry.take(HEADER_BYTES), &mut io::sink())
        .map(drop)
        .map_err(|error| cannot_be_read(&error))
}

/// Copies an entry; a failure to read is the archive's, one to write is ours.
fn copy(from: &mut impl Read, to: &mut File, name: &str) -> Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(|error| not_written(name, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot_be_read(&error)),
        }
    }
}

/// A name that is a file here and a directory there, for example, is the archive's fault.
fn not_written(name: &str, error: io::Error) -> PlatformError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::Other => {
            internal(error)
        }
        _ => PlatformError::Invalid(format!(
            "The archive's entry {name} could not be written: {error}."
        )),
    }
}

/// The last of several entries with one name counts, as with tar.
fn remove_file(place: &Path, name: &str) -> Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_written(name, error)),
        _ => Ok(()),
    }
}

/// Returns the one directory that holds everything, if there is such a directory.
fn single_folder(
    directory: &Path,
    links: &BTreeMap<PathBuf, PathBuf>,
) -> io::Result<Option<OsString>> {
    let mut entries = fs::read_dir(directory)?;
    let (Some(first), None) = (entries.next().transpose()?, entries.next()) else {
        return Ok(None);
    };
    let alone = links.keys().all(|link| {
        link.components().count() > 1
            && link.components().next() == Some(Component::Normal(&first.file_name()))
    });
    Ok((alone && first.file_type()?.is_dir()).then(|| first.file_name()))
}

fn without_first(path: &Path) -> PathBuf {
    path.components().skip(1).collect()
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
