//! A limit on what an archive may hold beside its files.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};

/// The headers of one file: names, links and attributes, in bytes. They are held in memory, and a
/// few compressed bytes can stand for very many.
pub(crate) const MOST_HEADERS: u64 = 1 << 20;

/// Reads at most so much as `left` has, which is filled up for each file of the archive.
pub(crate) struct HeaderLimit<'a, R> {
    pub(crate) inner: R,
    pub(crate) left: &'a Cell<u64>,
    /// Of the archive as a whole.
    pub(crate) left_in_all: u64,
}

impl<R: Read> Read for HeaderLimit<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get().min(self.left_in_all);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other(if self.left_in_all == 0 {
                "it is too large".to_owned()
            } else {
                format!("the headers of a file take more than {} KiB", MOST_HEADERS >> 10)
            }));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - count as u64);
        self.left_in_all -= count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for HeaderLimit<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
