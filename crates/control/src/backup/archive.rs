//! The file: entries with their digests, written and read as a stream.

use super::seal::{self, Opener, Sealer};
use super::{BackupError, Result, damaged, io};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::io::{self as std_io, Read, Write};
use std::path::{Component, Path};

/// The format of the file.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What is in a backup: its last entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The windlass that made it.
    pub version: String,
    /// The database's schema.
    pub schema: u32,
    /// In UTC, as in RFC 3339.
    pub created_at: String,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    pub size: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

fn hex(context: Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

enum Out<W: Write> {
    Plain(GzEncoder<W>),
    Sealed(Box<GzEncoder<Sealer<W>>>),
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> std_io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Sealed(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std_io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Sealed(out) => out.flush(),
        }
    }
}

/// Writes a backup.
pub struct Writer<W: Write> {
    tar: tar::Builder<Out<W>>,
    entries: Vec<Entry>,
}

/// Counts and hashes on the way.
struct Counted<'a> {
    out: &'a mut dyn Write,
    hash: Context,
    size: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std_io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std_io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, passphrase: Option<&[u8]>) -> std_io::Result<Self> {
        // Most of it is objects of git, compressed already, and programs.
        let level = Compression::fast();
        let out = match passphrase {
            Some(passphrase) => {
                Out::Sealed(Box::new(GzEncoder::new(Sealer::new(out, passphrase)?, level)))
            }
            None => Out::Plain(GzEncoder::new(out, level)),
        };
        Ok(Self { tar: tar::Builder::new(out), entries: Vec::new() })
    }

    pub fn directory(&mut self, path: &str) -> std_io::Result<()> {
        let mut header = header(tar::EntryType::Directory, 0, 0o755);
        self.tar.append_data(&mut header, format!("{path}/"), std_io::empty())
    }

    /// Adds an entry of `size` bytes, which `write` writes.
    pub fn file<E: From<std_io::Error>>(
        &mut self,
        path: &str,
        size: u64,
        mode: u32,
        write: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut header = header(tar::EntryType::Regular, size, mode);
        // Only the header, with its long name where it needs one; the content follows by hand.
        self.tar.append_data(&mut header, path, std_io::empty())?;
        let mut counted = Counted { out: self.tar.get_mut(), hash: Context::new(&SHA256), size: 0 };
        write(&mut counted)?;
        if counted.size != size {
            let found = counted.size;
            let text = format!("{path} has {found} bytes in place of {size}");
            return Err(std_io::Error::other(text).into());
        }
        let sha256 = hex(counted.hash);
        let padding = (512 - size % 512) % 512;
        self.tar.get_mut().write_all(&[0; 512][..usize::try_from(padding).unwrap_or(0)])?;
        self.entries.push(Entry { path: path.to_owned(), size, sha256 });
        Ok(())
    }

    /// Writes the manifest and the end; returns the manifest.
    pub fn finish(mut self, schema: u32) -> std_io::Result<Manifest> {
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            created_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            entries: std::mem::take(&mut self.entries),
        };
        let bytes = serde_json::to_vec(&manifest)?;
        let mut header = header(tar::EntryType::Regular, bytes.len() as u64, 0o600);
        self.tar.append_data(&mut header, MANIFEST, bytes.as_slice())?;
        match self.tar.into_inner()? {
            Out::Plain(out) => out.finish()?.flush()?,
            Out::Sealed(out) => out.finish()?.finish()?.flush()?,
        }
        Ok(manifest)
    }
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// One entry on its way out of a backup.
pub struct Found<'a> {
    pub path: &'a str,
    pub mode: u32,
    pub is_directory: bool,
    pub content: &'a mut dyn Read,
}

struct Hashing<R> {
    from: R,
    hash: Context,
    size: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std_io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.size += length as u64;
        Ok(length)
    }
}

/// Reads a backup to its end and shows each entry; only afterwards it is known to be whole.
pub fn read(
    file: &Path,
    passphrase: Option<&[u8]>,
    mut visit: impl FnMut(Found<'_>) -> Result<()>,
) -> Result<Manifest> {
    let mut from = std::fs::File::open(file).map_err(io("cannot read", file))?;
    let mut magic = Vec::new();
    Read::by_ref(&mut from)
        .take(seal::MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(damaged)?;
    let from = std_io::BufReader::with_capacity(1 << 17, from);
    let stream: Box<dyn Read> = match magic.as_slice() {
        start if start == seal::MAGIC => {
            let passphrase = passphrase.ok_or(BackupError::Encrypted)?;
            Box::new(GzDecoder::new(Opener::new(from, passphrase).map_err(damaged)?))
        }
        [0x1f, 0x8b, ..] => Box::new(GzDecoder::new(std_io::Cursor::new(magic).chain(from))),
        _ => return Err(BackupError::NoBackup),
    };
    let mut archive = tar::Archive::new(stream);
    let mut seen = Vec::new();
    let mut manifest = None;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = plain_path(&entry)?;
        if manifest.is_some() {
            return Err(BackupError::Damaged("something follows its list of entries".to_owned()));
        }
        if path == MANIFEST {
            manifest = Some(read_manifest(&mut entry)?);
            continue;
        }
        let is_directory = entry.header().entry_type().is_dir();
        let mode = entry.header().mode().map_err(damaged)? & 0o777;
        let mut content = Hashing { from: &mut entry, hash: Context::new(&SHA256), size: 0 };
        visit(Found { path: &path, mode, is_directory, content: &mut content })?;
        std_io::copy(&mut content, &mut std_io::sink()).map_err(damaged)?;
        if !is_directory {
            let (size, sha256) = (content.size, hex(content.hash));
            seen.push(Entry { path, size, sha256 });
        }
    }
    // The checksum of the compression is behind the end of the tar.
    std_io::copy(&mut archive.into_inner(), &mut std_io::sink()).map_err(damaged)?;
    let manifest = manifest.ok_or_else(|| BackupError::Damaged("its end is missing".to_owned()))?;
    compare(&manifest, &seen)?;
    Ok(manifest)
}

fn read_manifest(entry: &mut impl Read) -> Result<Manifest> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(damaged)?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| BackupError::Damaged(format!("its list of entries: {error}")))?;
    if manifest.format > FORMAT {
        return Err(BackupError::TooNew(manifest.version));
    }
    Ok(manifest)
}

fn compare(manifest: &Manifest, seen: &[Entry]) -> Result<()> {
    let wrong = manifest.entries.iter().zip(seen).find(|(listed, found)| listed != found);
    if let Some((listed, _)) = wrong {
        let text = format!("{} is not what it was when the backup was made", listed.path);
        return Err(BackupError::Damaged(text));
    }
    if manifest.entries.len() != seen.len() {
        return Err(BackupError::Damaged("entries are missing".to_owned()));
    }
    Ok(())
}

/// Returns the entry's path, which leads nowhere but down.
fn plain_path(entry: &tar::Entry<'_, impl Read>) -> Result<String> {
    let path = entry.path().map_err(damaged)?;
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    match path.to_str() {
        Some(text) if is_plain && !text.is_empty() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(BackupError::Damaged(format!("it has an entry at {}", path.display()))),
    }
}

/// Reads a backup to its end and checks every entry.
pub fn verify(file: &Path, passphrase: Option<&[u8]>) -> Result<Manifest> {
    read(file, passphrase, |_| Ok(()))
}
