//! Writes tar headers, with GNU long names.
//!
//! The digests of stored layers depend on every byte written here, so the choice between a short
//! and a long name is made in this file and not left to the `tar` crate's builder.

use std::io::{self, Read, Write};
use tar::{EntryType, Header};

const BLOCK: u64 = 512;
const NAME_FIELD: usize = 100;
/// The pseudo file name that GNU tar gives to an entry which carries a long name.
const LONG_NAME: &[u8] = b"././@LongLink";

/// The fields of an entry apart from its name and data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

pub(crate) struct TarStream<'a> {
    out: &'a mut dyn Write,
    /// Made when the first file is written.
    buffer: Vec<u8>,
}

impl<'a> TarStream<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, buffer: Vec::new() }
    }

    /// Writes an entry without data. `link` is the target of a symbolic or hard link.
    pub fn entry(
        &mut self,
        name: &[u8],
        kind: EntryType,
        attributes: Attributes,
        link: &[u8],
    ) -> io::Result<()> {
        let header = self.header(name, kind, attributes, 0, link)?;
        self.finish_header(header)
    }

    pub fn device(
        &mut self,
        name: &[u8],
        kind: EntryType,
        attributes: Attributes,
        device: (u32, u32),
    ) -> io::Result<()> {
        let mut header = self.header(name, kind, attributes, 0, b"")?;
        header.set_device_major(device.0)?;
        header.set_device_minor(device.1)?;
        self.finish_header(header)
    }

    /// Writes a regular file of exactly `size` bytes; fails if `data` ends before.
    pub fn file(
        &mut self,
        name: &[u8],
        attributes: Attributes,
        size: u64,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        self.file_head(name, attributes, size)?;
        self.buffer.resize(256 * 1024, 0);
        let mut left = size;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match data.read(&mut self.buffer[..want]) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file shrank while it was read",
                    ));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.out.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        self.pad(size)
    }

    /// Writes the header of a regular file. Its `size` bytes and their padding are the caller's.
    pub fn file_head(&mut self, name: &[u8], attributes: Attributes, size: u64) -> io::Result<()> {
        let header = self.header(name, EntryType::Regular, attributes, size, b"")?;
        self.finish_header(header)
    }

    /// Writes a PAX header that gives the next entry an extended attribute.
    pub fn extended_attribute(&mut self, attribute: &str, value: &[u8]) -> io::Result<()> {
        let record = pax_record(&format!("SCHILY.xattr.{attribute}"), value);
        let mut header = empty_header(EntryType::XHeader, record.len() as u64);
        set_field(&mut header.as_old_mut().name, b"PaxHeaders.0/entry");
        self.finish_header(header)?;
        self.out.write_all(&record)?;
        self.pad(record.len() as u64)
    }

    /// Writes the two empty blocks that end an archive.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK as usize])
    }

    fn header(
        &mut self,
        name: &[u8],
        kind: EntryType,
        attributes: Attributes,
        size: u64,
        link: &[u8],
    ) -> io::Result<Header> {
        let mut header = empty_header(kind, size);
        header.set_mode(attributes.mode);
        header.set_uid(attributes.uid);
        header.set_gid(attributes.gid);
        header.set_mtime(attributes.mtime);
        if link.len() > NAME_FIELD {
            self.long_name(EntryType::GNULongLink, link)?;
        }
        set_field(&mut header.as_old_mut().linkname, link);
        if name.len() > NAME_FIELD {
            self.long_name(EntryType::GNULongName, name)?;
        }
        set_field(&mut header.as_old_mut().name, name);
        Ok(header)
    }

    fn long_name(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        let size = name.len() as u64 + 1;
        let mut header = empty_header(kind, size);
        set_field(&mut header.as_old_mut().name, LONG_NAME);
        self.finish_header(header)?;
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        self.pad(size)
    }

    fn finish_header(&mut self, mut header: Header) -> io::Result<()> {
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// Fills the last block of a file.
    pub fn pad(&mut self, written: u64) -> io::Result<()> {
        let padding = (BLOCK - written % BLOCK) % BLOCK;
        self.out.write_all(&[0; BLOCK as usize][..padding as usize])
    }
}

fn empty_header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Copies as much of `value` as fits; the whole of a longer one is in the long-name entry before.
fn set_field(field: &mut [u8], value: &[u8]) {
    let count = value.len().min(field.len());
    field[..count].copy_from_slice(&value[..count]);
}

/// Returns `<length> <key>=<value>\n`, where the length counts itself.
fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_length_counts_itself() {
        for size in 0..1200 {
            let record = pax_record("k", &vec![b'v'; size]);
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), record.len());
        }
    }
}
