//! An image archive as a file: what is in it and where, without unpacking it.

use crate::compression::{TELLING, decompressed, is_compressed};
use crate::header_limit::{HeaderLimit, MOST_HEADERS};
use crate::unpack::{plain_path, unreadable};
use crate::{ImportLimits, OciError};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};
use tar::{Archive, EntryType};

/// A document in an archive is larger than any that is meant to be read, in bytes.
const DOCUMENT_BYTES: u64 = 8 << 20;

/// An uncompressed tar of plain files, opened.
pub(crate) struct ArchiveFile {
    file: File,
    /// Offset and length in bytes.
    files: BTreeMap<PathBuf, (u64, u64)>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl ArchiveFile {
    /// Reads the archive's headers. One that is compressed is first written out to `scratch`, a
    /// path that may be made.
    pub fn open(path: &Path, scratch: &Path, limits: &ImportLimits) -> Result<Self, OciError> {
        let mut file = File::open(path).map_err(OciError::io("cannot open", path))?;
        let mut start = Vec::new();
        file.by_ref()
            .take(TELLING)
            .read_to_end(&mut start)
            .map_err(OciError::io("cannot read", path))?;
        if start.is_empty() {
            return Err(OciError::Archive("The archive is empty.".to_owned()));
        }
        file.rewind().map_err(OciError::io("cannot read", path))?;
        if is_compressed(&start) {
            file = decompress(&start, file, scratch, limits)?;
        }
        Self::index(file, limits)
    }

    fn index(file: File, limits: &ImportLimits) -> Result<Self, OciError> {
        let length = file.metadata().map_err(unreadable)?.len();
        let left = Cell::new(MOST_HEADERS);
        let mut archive =
            Archive::new(HeaderLimit { inner: &file, left: &left, left_in_all: u64::MAX });
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        let entries = archive.entries_with_seek().map_err(unreadable)?;
        for (count, entry) in (1_u64..).zip(entries) {
            let entry = entry.map_err(|error| no_archive_or_damaged(count, error))?;
            if count > limits.entries {
                let most = limits.entries;
                return Err(OciError::Archive(format!("The archive has more than {most} files.")));
            }
            left.set(MOST_HEADERS);
            let Some(path) = plain_path(&entry.path_bytes())? else { continue };
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let (offset, size) = (entry.raw_file_position(), entry.size());
                    if offset.checked_add(size).is_none_or(|end| end > length) {
                        return Err(OciError::Archive(format!(
                            "The archive is cut short: it ends within {}.",
                            path.display()
                        )));
                    }
                    files.insert(path, (offset, size));
                }
                EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    links.insert(path.clone(), beside(&path, &target));
                }
                _ => {}
            }
        }
        Ok(Self { file, files, links })
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(Path::new(path))
    }

    /// Returns a reader for one of its files.
    pub fn open_file(&self, path: &str) -> Result<Take<File>, OciError> {
        let path = Path::new(path);
        // Old `docker save`s have links from a repeated layer to its first copy.
        let found = self.files.get(self.links.get(path).map_or(path, PathBuf::as_path));
        let (offset, size) = found.copied().ok_or_else(|| {
            OciError::Archive(format!(
                "The archive is not complete: {} is missing.",
                path.display()
            ))
        })?;
        let mut file = self.file.try_clone().map_err(unreadable)?;
        file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        Ok(file.take(size))
    }

    /// Returns the bytes of a small file.
    pub fn document(&self, path: &str) -> Result<Vec<u8>, OciError> {
        let file = self.open_file(path)?;
        if file.limit() > DOCUMENT_BYTES {
            return Err(OciError::Archive(format!("{path} in the archive is too large.")));
        }
        let mut bytes = Vec::new();
        let mut file = file;
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

fn no_archive_or_damaged(count: u64, error: std::io::Error) -> OciError {
    if count == 1 {
        let what = "This is not an image archive as `docker save` or an OCI tool writes it";
        return OciError::Archive(format!("{what}: {error}."));
    }
    unreadable(error)
}

/// Returns where a link beside `path` leads, by its text alone.
fn beside(path: &Path, target: &[u8]) -> PathBuf {
    let target = PathBuf::from(String::from_utf8_lossy(target).into_owned());
    let mut place = path.parent().unwrap_or(Path::new("")).to_owned();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => drop(place.pop()),
            std::path::Component::Normal(part) => place.push(part),
            _ => {}
        }
    }
    place
}

fn decompress(
    start: &[u8],
    file: File,
    scratch: &Path,
    limits: &ImportLimits,
) -> Result<File, OciError> {
    let mut out = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(scratch)
        .map_err(OciError::io("cannot make", scratch))?;
    let mut plain = decompressed(start, file).take(limits.bytes.saturating_add(1));
    let written = std::io::copy(&mut plain, &mut out).map_err(unreadable)?;
    if written > limits.bytes {
        let most = limits.bytes >> 30;
        return Err(OciError::Archive(format!("The archive is larger than {most} GiB unpacked.")));
    }
    out.rewind().map_err(OciError::io("cannot read", scratch))?;
    Ok(out)
}
