//! Unpacks an archive that somebody sent. Nothing in it is trusted: not its names, links, sizes nor
//! kinds, and nothing is ever written outside of the directory.
//!
//! Links are made last, when all files are there. So no file is written through a link, and where
//! each link leads can be looked at with all the others known.

mod links;
mod tree;
mod zip;

use crate::{PlatformError, Result};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use tar::{Archive, Entry, EntryType};
use tree::Tree;

/// Files, directories and links that an archive may hold.
pub(super) const ENTRIES: usize = 10_000;
/// Bytes of all files together, unpacked; a sparse file counts in full.
pub(super) const UNPACKED_BYTES: u64 = 1 << 30;
/// Bytes of one entry's headers, long names included.
const HEADER_BYTES: u64 = 1 << 20;

/// Unpacks a tar archive, compressed by gzip or not, or a zip archive into `directory` (empty). With
/// `strip_folder` a single folder that holds everything is left out. `scratch` is on the same file system.
///
/// # Errors
/// `Invalid` with one line for whoever sent the archive; what was unpacked until then stays.
pub(super) fn unpack(
    file: &Path,
    directory: &Path,
    scratch: &Path,
    strip_folder: bool,
) -> Result<()> {
    let mut tree = Tree::new(directory);
    match form(File::open(file).map_err(internal)?)? {
        Form::Tar(from) => unpack_tar(from, &mut tree)?,
        Form::Zip(file) => zip::unpack(file, &mut tree)?,
    }
    let mut links = tree.finish()?;
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
        "The archive cannot be read: {error}. Is it a whole .tar, .tar.gz or .zip?"
    ))
}

enum Form {
    Tar(Box<dyn Read>),
    Zip(File),
}

/// Tells the form by the first bytes, whatever the file was called.
fn form(mut file: File) -> Result<Form> {
    let mut head = Vec::new();
    (&mut file).take(6).read_to_end(&mut head).map_err(internal)?;
    file.rewind().map_err(internal)?;
    let other = match head.as_slice() {
        [0x1f, 0x8b, ..] => {
            return Ok(Form::Tar(Box::new(MultiGzDecoder::new(BufReader::new(file)))));
        }
        [] => return invalid("The archive is empty."),
        [b'P', b'K', 3 | 5, ..] => return Ok(Form::Zip(file)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => return Ok(Form::Tar(Box::new(BufReader::new(file)))),
    };
    invalid(format!("Archives in the form {other} are not taken: send a .tar, .tar.gz or .zip."))
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

fn unpack_tar(from: Box<dyn Read>, tree: &mut Tree<'_>) -> Result<()> {
    let budget = Budget::default();
    let mut archive = Archive::new(Metered { from, budget: budget.clone() });
    budget.0.set(HEADER_BYTES);
    let mut entries = archive.entries().map_err(|error| cannot_be_read(&error))?;
    loop {
        budget.0.set(HEADER_BYTES);
        let Some(entry) = entries.next() else { return Ok(()) };
        let mut entry = entry.map_err(|error| cannot_be_read(&error))?;
        // The padding of what was read is at most a block.
        budget.0.set(UNPACKED_BYTES + HEADER_BYTES);
        tree.count_entry()?;
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            skip(&mut entry)?;
        } else {
            unpack_tar_entry(&mut entry, tree)?;
        }
    }
}

fn unpack_tar_entry<R: Read>(entry: &mut Entry<'_, R>, tree: &mut Tree<'_>) -> Result<()> {
    let name = shown(&entry.path_bytes());
    let path = inside(&entry.path_bytes())?;
    match entry.header().entry_type() {
        EntryType::Directory => tree.directory(&path, &name),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            refuse_pax_sparse(entry, &name)?;
            // The length of a sparse file, not of what the archive has of it.
            tree.count_bytes(entry.size())?;
            let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
            tree.file(&path, &name, executable, entry).map(drop)
        }
        EntryType::Symlink => tree.link(&path, &name, &link_target(entry, &name)?),
        EntryType::Link => tree.hard_link(&path, &name, &link_target(entry, &name)?),
        _ => invalid(format!(
            "The archive's entry {name} is neither a file, a directory nor a link."
        )),
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
