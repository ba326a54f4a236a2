//! Packs a layer directory into its deterministic tar.

use crate::OciError;
use crate::tar_stream::{Attributes, TarStream};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tar::EntryType;
use windlass_core::ids::Digest;

const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// Writes the tar of the directory `fs` to `out` and returns its digest and size in bytes.
///
/// Depth first, names sorted by bytes, no entry for `fs` itself. Kept: type, mode, numeric owner,
/// whole-second modification time, hard links of regular files, devices, `security.capability`.
/// Left out: sockets, access control lists and other extended attributes.
pub(crate) fn pack(fs: &Path, out: &mut dyn Write) -> Result<(Digest, u64), OciError> {
    let mut out =
        Hashing { context: ring::digest::Context::new(&ring::digest::SHA256), size: 0, out };
    let mut packer = Packer { root: fs, tar: TarStream::new(&mut out), hard_links: HashMap::new() };
    packer.tree()?;
    packer.tar.finish().map_err(OciError::io("cannot write the tar of", fs))?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(out.context.finish().as_ref());
    Ok((Digest::from_sha256(&bytes), out.size))
}

/// Returns the digest of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Digest::from_sha256(&hash)
}

struct Hashing<'a> {
    context: ring::digest::Context,
    size: u64,
    out: &'a mut dyn Write,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.context.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Packer<'a> {
    root: &'a Path,
    tar: TarStream<'a>,
    /// The name under which the file of a device and inode number was written first.
    hard_links: HashMap<(u64, u64), Vec<u8>>,
}

impl Packer<'_> {
    fn tree(&mut self) -> Result<(), OciError> {
        // Names yet to be written in the directories being walked, each list reversed so that the
        // next is at its end. A stack of our own: the depth of the tree is somebody else's choice.
        let mut pending = vec![sorted_names(self.root, Path::new(""))?];
        while let Some(names) = pending.last_mut() {
            match names.pop() {
                None => drop(pending.pop()),
                Some(name) => {
                    if self.write(&name)? {
                        pending.push(sorted_names(self.root, &name)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes one entry. Returns true if it is a directory.
    fn write(&mut self, name: &Path) -> Result<bool, OciError> {
        let path = self.root.join(name);
        let metadata = path.symlink_metadata().map_err(OciError::io("cannot read", &path))?;
        if metadata.is_dir() {
            let opaque = is_opaque(&path)?;
            self.write_directory(name, &metadata, opaque)
                .map_err(OciError::io("cannot pack", &path))?;
        } else {
            self.write_other(name, &path, &metadata).map_err(OciError::io("cannot pack", &path))?;
        }
        Ok(metadata.is_dir())
    }

    fn write_directory(
        &mut self,
        name: &Path,
        metadata: &Metadata,
        opaque: bool,
    ) -> io::Result<()> {
        let mut bytes = name.as_os_str().as_bytes().to_vec();
        bytes.push(b'/');
        self.tar.entry(&bytes, EntryType::Directory, attributes(metadata), b"")?;
        if opaque {
            bytes.extend_from_slice(OPAQUE_MARKER);
            self.tar.file(&bytes, marker(), 0, &mut io::empty())?;
        }
        Ok(())
    }

    fn write_other(&mut self, name: &Path, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let bytes = name.as_os_str().as_bytes();
        let kind = metadata.file_type();
        let device = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        if kind.is_file() {
            self.write_file(bytes, path, metadata)
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path)?;
            self.tar.entry(
                bytes,
                EntryType::Symlink,
                attributes(metadata),
                target.as_os_str().as_bytes(),
            )
        } else if kind.is_char_device() && device == (0, 0) {
            self.tar.file(&whiteout_name(name), marker(), 0, &mut io::empty())
        } else if kind.is_char_device() {
            self.tar.device(bytes, EntryType::Char, attributes(metadata), device)
        } else if kind.is_block_device() {
            self.tar.device(bytes, EntryType::Block, attributes(metadata), device)
        } else if kind.is_fifo() {
            self.tar.entry(bytes, EntryType::Fifo, attributes(metadata), b"")
        } else {
            Ok(()) // A socket means nothing without the process that listened on it.
        }
    }

    fn write_file(&mut self, name: &[u8], path: &Path, metadata: &Metadata) -> io::Result<()> {
        if metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            if let Some(first) = self.hard_links.get(&key) {
                return self.tar.entry(name, EntryType::Link, attributes(metadata), first);
            }
            self.hard_links.insert(key, name.to_vec());
        }
        if let Some(capability) = extended_attribute(path, "security.capability")? {
            self.tar.extended_attribute("security.capability", &capability)?;
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        self.tar.file(name, attributes(metadata), metadata.len(), &mut file)
    }
}

/// Returns the paths of the entries of `<root>/<directory>` relative to `root`, last name first.
fn sorted_names(root: &Path, directory: &Path) -> Result<Vec<PathBuf>, OciError> {
    let path = root.join(directory);
    let mut names: Vec<OsString> = std::fs::read_dir(&path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
        .map_err(OciError::io("cannot list", &path))?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

fn attributes(metadata: &Metadata) -> Attributes {
    Attributes {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid().into(),
        gid: metadata.gid().into(),
        mtime: u64::try_from(metadata.mtime()).unwrap_or(0),
    }
}

/// The attributes of a whiteout or opaque marker, of which only the name means anything.
/// The time is left out: overlayfs shares one whiteout between many removed files.
fn marker() -> Attributes {
    Attributes { mode: 0o600, uid: 0, gid: 0, mtime: 0 }
}

fn whiteout_name(name: &Path) -> Vec<u8> {
    let mut file = WHITEOUT_PREFIX.to_vec();
    file.extend_from_slice(name.file_name().unwrap_or_default().as_bytes());
    name.with_file_name(OsString::from_vec(file)).into_os_string().into_vec()
}

/// Says whether a directory hides the same directory of lower layers. Both attribute names are in
/// use: `user.` when overlayfs was mounted inside a user namespace.
pub(crate) fn is_opaque(path: &Path) -> Result<bool, OciError> {
    let read = |name| {
        extended_attribute(path, name).map_err(OciError::io("cannot read the attributes of", path))
    };
    for name in ["trusted.overlay.redirect", "user.overlay.redirect"] {
        if read(name)?.is_some() {
            return Err(OciError::Invalid(format!(
                "{path:?} is a renamed directory that overlayfs did not copy: mount with redirect_dir=off"
            )));
        }
    }
    for name in ["trusted.overlay.opaque", "user.overlay.opaque"] {
        if read(name)?.as_deref() == Some(b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn extended_attribute(path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    use rustix::io::Errno;
    let mut value = [0_u8; 1024];
    match rustix::fs::lgetxattr(path, name, &mut value[..]) {
        Ok(size) => Ok(Some(value[..size].to_vec())),
        // Without the right to see `trusted.` attributes, or on a file system that has none.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
