//! Unpacks the tar of a layer that somebody else made into a layer directory.
//!
//! What is in it is not trusted: no entry may lead out of the directory, by its name or through a
//! symbolic link that an earlier entry made.

use crate::header_limit::{HeaderLimit, MOST_HEADERS};
use crate::{ImportLimits, OciError};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use std::cell::Cell;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
const WHITEOUT_PREFIX: &[u8] = b".wh.";
const CAPABILITY: &str = "SCHILY.xattr.security.capability";

/// Unpacks `tar` into the empty directory `fs`. Whiteouts become what overlayfs has for them;
/// device nodes, which no container of ours may use, are left out.
pub(crate) fn unpack(tar: impl Read, fs: &Path, limits: &ImportLimits) -> Result<(), OciError> {
    let mut unpacker = Unpacker { root: fs, directories: Vec::new() };
    let left = Cell::new(MOST_HEADERS);
    let left_in_all = limits.bytes.saturating_add(limits.entries.saturating_mul(4096));
    let left_in_all = left_in_all.saturating_add(MOST_HEADERS);
    let mut archive = Archive::new(HeaderLimit { inner: tar, left: &left, left_in_all });
    let entries = archive.entries().map_err(unreadable)?;
    let (mut count, mut bytes) = (0_u64, 0_u64);
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        count += 1;
        bytes = bytes.saturating_add(entry.size());
        if count > limits.entries {
            let most = limits.entries;
            return Err(OciError::Archive(format!("A layer has more than {most} files.")));
        }
        if bytes > limits.bytes {
            let most = limits.bytes >> 30;
            return Err(OciError::Archive(format!("A layer is larger than {most} GiB unpacked.")));
        }
        // What is not read now is passed over on the way to the next.
        left.set(entry.size().saturating_add(MOST_HEADERS));
        let kind = entry.header().entry_type();
        unpacker.entry(&mut entry)?;
        if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            left.set(MOST_HEADERS);
        }
    }
    unpacker.finish()
}

pub(crate) fn unreadable(error: io::Error) -> OciError {
    OciError::Archive(format!("The archive is cut short or damaged: {error}."))
}

struct Attributes {
    mode: u32,
    owner: u32,
    group: u32,
    time: i64,
}

struct Unpacker<'a> {
    root: &'a Path,
    /// Directories get their times last: what is put into them changes them.
    directories: Vec<(PathBuf, i64)>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), OciError> {
        let kind = entry.header().entry_type();
        let Some(name) = plain_path(&entry.path_bytes())? else { return Ok(()) };
        let file_name = name.file_name().unwrap_or_default().as_bytes().to_vec();
        let path = self.place(&name)?;
        let failed = |error| OciError::io("cannot unpack", &path)(error);
        if let Some(hidden) = file_name.strip_prefix(WHITEOUT_PREFIX) {
            return whiteout(&path, hidden).map_err(failed);
        }
        let header = entry.header();
        let attributes = Attributes {
            mode: header.mode().map_err(unreadable)? & 0o7777,
            owner: u32::try_from(header.uid().map_err(unreadable)?).unwrap_or(0),
            group: u32::try_from(header.gid().map_err(unreadable)?).unwrap_or(0),
            time: i64::try_from(header.mtime().map_err(unreadable)?).unwrap_or(0),
        };
        match kind {
            EntryType::Directory => self.directory(&path, &attributes).map_err(failed),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let capability = capability(entry).map_err(unreadable)?;
                clear(&path).map_err(failed)?;
                write_file(&path, entry, &attributes, capability.as_deref())
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                clear(&path)
                    .and_then(|()| {
                        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&target), &path)
                    })
                    .and_then(|()| own(&path, &attributes))
                    .and_then(|()| set_time(&path, attributes.time))
                    .map_err(failed)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let Some(target) = plain_path(&target)? else { return Ok(()) };
                let target = self.place(&target)?;
                clear(&path).and_then(|()| fs::hard_link(&target, &path)).map_err(failed)
            }
            EntryType::Fifo => {
                let mode = Mode::from_raw_mode(attributes.mode);
                clear(&path)
                    .and_then(|()| Ok(rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0)?))
                    .and_then(|()| own(&path, &attributes))
                    .map_err(failed)
            }
            _ => Ok(()),
        }
    }

    /// Returns where `name` belongs, and makes the directories above it. None may be a link.
    fn place(&self, name: &Path) -> Result<PathBuf, OciError> {
        let mut path = self.root.to_owned();
        let parent = name.parent().unwrap_or(Path::new(""));
        for part in parent {
            path.push(part);
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    return Err(OciError::Archive(format!(
                        "The archive puts {name:?} through {part:?}, which is not a directory in the same layer."
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make_directory(&path).map_err(OciError::io("cannot unpack", &path))?;
                }
                Err(error) => return Err(OciError::io("cannot unpack", &path)(error)),
            }
        }
        Ok(path.join(name.file_name().unwrap_or_default()))
    }

    fn directory(&mut self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            clear(path)?;
            make_directory(path)?;
        }
        own(path, attributes)?;
        fs::set_permissions(path, Permissions::from_mode(attributes.mode))?;
        self.directories.push((path.to_owned(), attributes.time));
        Ok(())
    }

    fn finish(self) -> Result<(), OciError> {
        for (path, time) in self.directories.iter().rev() {
            match set_time(path, *time) {
                // A later entry took its place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(OciError::io("cannot unpack", path))?,
            }
        }
        Ok(())
    }
}

/// Returns a path without `.` and a leading `/`; `None` for the top itself.
pub(crate) fn plain_path(bytes: &[u8]) -> Result<Option<PathBuf>, OciError> {
    let given = Path::new(std::ffi::OsStr::from_bytes(bytes));
    let mut path = PathBuf::new();
    for part in given.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(OciError::Archive(format!(
                    "The archive names {given:?}, which leads out of it."
                )));
            }
        }
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

/// Marks a name of lower layers as removed, or a directory as hiding all of them.
fn whiteout(path: &Path, hidden: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    if [WHITEOUT_PREFIX, hidden].concat() == OPAQUE_MARKER {
        let set = |name: &str| rustix::fs::lsetxattr(parent, name, b"y", XattrFlags::empty());
        // Without root (in tests) only the second is allowed.
        return Ok(set("trusted.overlay.opaque").or_else(|_| set("user.overlay.opaque"))?);
    }
    // Other names with this prefix belong to a file system that is no more.
    if hidden.is_empty() || hidden.starts_with(WHITEOUT_PREFIX) {
        return Ok(());
    }
    let target = parent.join(std::ffi::OsStr::from_bytes(hidden));
    clear(&target)?;
    Ok(rustix::fs::mknodat(CWD, &target, FileType::CharacterDevice, Mode::empty(), 0)?)
}

fn write_file(
    path: &Path,
    data: &mut impl Read,
    attributes: &Attributes,
    capability: Option<&[u8]>,
) -> Result<(), OciError> {
    let failed = |error| OciError::io("cannot unpack", path)(error);
    let mut file = File::create_new(path).map_err(failed)?;
    copy(data, &mut file, path)?;
    own(path, attributes).map_err(failed)?;
    // After the owner, whose change takes set-user-id bits and capabilities away.
    file.set_permissions(Permissions::from_mode(attributes.mode)).map_err(failed)?;
    if let Some(value) = capability {
        let name = "security.capability";
        rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty())
            .map_err(|error| failed(error.into()))?;
    }
    set_time(path, attributes.time).map_err(failed)
}

/// Tells errors of the archive from those of our disk.
fn copy(data: &mut impl Read, file: &mut File, path: &Path) -> Result<(), OciError> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        io::Write::write_all(file, &buffer[..count])
            .map_err(OciError::io("cannot unpack", path))?;
    }
}

fn capability(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<Vec<u8>>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    for extension in extensions {
        let extension = extension?;
        if extension.key_bytes() == CAPABILITY.as_bytes() {
            return Ok(Some(extension.value_bytes().to_vec()));
        }
    }
    Ok(None)
}

/// Removes what an earlier entry of the same layer made.
fn clear(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)
}

fn own(path: &Path, attributes: &Attributes) -> io::Result<()> {
    match lchown(path, Some(attributes.owner), Some(attributes.group)) {
        // Without root (in tests) files keep the owner they have.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn set_time(path: &Path, seconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
