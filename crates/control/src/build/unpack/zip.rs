//! Zip archives: read by their central directory, which alone knows modes and links.
//!
//! Read here and not by a library, since those keep the whole directory in memory, and make room
//! for as many entries as the archive claims to have.

use super::{ENTRIES, cannot_be_read, inside, internal, invalid, shown, tree::Tree};
use crate::Result;
use flate2::read::DeflateDecoder;
use flate2::{Crc, CrcReader};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The end of the directory: its fixed part, and the longest comment after that.
const END_BYTES: usize = 22;
const COMMENT_BYTES: usize = u16::MAX as usize;
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;
/// Bytes of a directory of that many entries with names of ordinary length.
const DIRECTORY_BYTES: u64 = 16 << 20;
/// Where a link leads to is shorter than that (Linux: 4,096).
const TARGET_BYTES: u64 = 4_096;
/// Who made an entry: with modes of Unix, or with names of DOS.
const BY_UNIX: [u8; 2] = [3, 19];
const BY_DOS: u8 = 0;
/// Kinds of files in modes of Unix.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const FILE: u32 = 0o100_000;

/// Unpacks all entries in the order of the directory.
pub(super) fn unpack(mut file: File, tree: &mut Tree<'_>) -> Result<()> {
    let directory = Directory::find(&mut file)?;
    let mut rest = directory.bytes.as_slice();
    for _ in 0..directory.entries {
        tree.count_entry()?;
        let (entry, after) = Entry::parse(rest)?;
        rest = after;
        entry.unpack(&mut file, directory.shift, tree)?;
    }
    Ok(())
}

struct Directory {
    bytes: Vec<u8>,
    entries: usize,
    /// What stands before the archive, for example a program that unpacks it.
    shift: u64,
}

impl Directory {
    fn find(file: &mut File) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0)).map_err(internal)?;
        let tail = length.min((END_BYTES + COMMENT_BYTES) as u64);
        file.seek(SeekFrom::Start(length - tail)).map_err(internal)?;
        let mut bytes = Vec::new();
        file.take(tail).read_to_end(&mut bytes).map_err(internal)?;
        let ends_at = (0..=bytes.len().saturating_sub(END_BYTES)).rev().find(|at| {
            bytes[*at..].starts_with(&END)
                && bytes.get(at + 20..at + 22).map(|n| usize::from(number16(n)))
                    == Some(bytes.len() - at - END_BYTES)
        });
        let Some(at) = ends_at else { return cut() };
        let (end, at) = (&bytes[at..], length - tail + at as u64);
        let entries = usize::from(number16(&end[10..12]));
        let (size, offset) = (u64::from(number32(&end[12..16])), u64::from(number32(&end[16..20])));
        if entries > ENTRIES || size > DIRECTORY_BYTES {
            return invalid(format!("The archive has more than {ENTRIES} files and directories."));
        }
        let Some(shift) = at.checked_sub(size).and_then(|start| start.checked_sub(offset)) else {
            return cut();
        };
        file.seek(SeekFrom::Start(at - size)).map_err(internal)?;
        let mut bytes = Vec::new();
        file.take(size).read_to_end(&mut bytes).map_err(internal)?;
        Ok(Self { bytes, entries, shift })
    }
}

/// One entry of the directory.
struct Entry {
    name: Vec<u8>,
    made_by: u8,
    encrypted: bool,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    mode: u32,
    offset: u64,
}

impl Entry {
    /// Returns the first entry and the bytes after it.
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let Some((head, rest)) = bytes.split_at_checked(ENTRY_BYTES) else { return cut() };
        if !head.starts_with(&ENTRY) {
            return cut();
        }
        let lengths = [28, 30, 32].map(|at| usize::from(number16(&head[at..])));
        let Some((variable, rest)) = rest.split_at_checked(lengths.iter().sum()) else {
            return cut();
        };
        let made_by = head[5];
        let mut name = variable[..lengths[0]].to_vec();
        if made_by == BY_DOS {
            // Older tools of Windows write their own separators.
            name.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        let entry = Self {
            name,
            made_by,
            encrypted: head[8] & 1 != 0,
            method: number16(&head[10..]),
            crc: number32(&head[16..]),
            packed: u64::from(number32(&head[20..])),
            size: u64::from(number32(&head[24..])),
            mode: number32(&head[38..]) >> 16,
            offset: u64::from(number32(&head[42..])),
        };
        Ok((entry, rest))
    }

    fn unpack(&self, file: &mut File, shift: u64, tree: &mut Tree<'_>) -> Result<()> {
        let name = shown(&self.name);
        let path = inside(&self.name)?;
        let mode = if BY_UNIX.contains(&self.made_by) { self.mode } else { 0 };
        if self.name.ends_with(b"/") || mode & KIND == DIRECTORY {
            return tree.directory(&path, &name);
        }
        if self.encrypted {
            return invalid(format!("The archive's file {name} is encrypted."));
        }
        match mode & KIND {
            LINK => {
                let mut target = Vec::new();
                let read = self.reader(file, shift, &name)?.take(TARGET_BYTES);
                { read }.read_to_end(&mut target).map_err(|error| cannot_be_read(&error))?;
                if target.is_empty() || target.len() as u64 == TARGET_BYTES || target.contains(&0) {
                    return invalid(format!("The archive's link {name} leads nowhere."));
                }
                tree.link(&path, &name, &target)
            }
            0 | FILE => {
                tree.count_bytes(self.size)?;
                // One byte more than it may have shows that it lies about its size.
                let mut from = CrcReader::new(self.reader(file, shift, &name)?.take(self.size + 1));
                let bytes = tree.file(&path, &name, mode & 0o111 != 0, &mut from)?;
                if bytes != self.size || !self.is_whole(from.crc()) {
                    return invalid(format!(
                        "The archive's file {name} is damaged: it is not what the archive says."
                    ));
                }
                Ok(())
            }
            _ => invalid(format!(
                "The archive's entry {name} is neither a file, a directory nor a link."
            )),
        }
    }

    fn is_whole(&self, found: &Crc) -> bool {
        found.sum() == self.crc
    }

    /// Returns what the entry holds, unpacked.
    fn reader<'a>(&self, file: &'a mut File, shift: u64, name: &str) -> Result<Box<dyn Read + 'a>> {
        let start = shift + self.offset;
        file.seek(SeekFrom::Start(start)).map_err(internal)?;
        let mut head = [0; LOCAL_BYTES];
        file.read_exact(&mut head).map_err(|error| cannot_be_read(&error))?;
        if !head.starts_with(&LOCAL) {
            return cut();
        }
        // Its own name and extras may be longer than those of the directory.
        let skipped = u64::from(number16(&head[26..])) + u64::from(number16(&head[28..]));
        file.seek(SeekFrom::Start(start + LOCAL_BYTES as u64 + skipped)).map_err(internal)?;
        let packed = BufReader::new(file.take(self.packed));
        match self.method {
            0 => Ok(Box::new(packed)),
            8 => Ok(Box::new(DeflateDecoder::new(packed))),
            other => invalid(format!(
                "The archive's file {name} is compressed in a way that is not taken (method {other}): \
                 use the ordinary one, deflate."
            )),
        }
    }
}

fn cut<T>() -> Result<T> {
    Err(cannot_be_read(&io::Error::other("its directory is missing or damaged")))
}

/// The first two bytes as a number; callers have checked that they are there.
fn number16(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn number32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
#[path = "zip_tests.rs"]
mod tests;
