//! How much of an upload is through, for a person at a terminal.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// An upload that is over sooner than this shows nothing, and the figure moves no faster.
const STEP: Duration = Duration::from_millis(500);

/// Passes bytes on and shows on standard error how many there were.
pub struct Progress<'a> {
    from: &'a mut dyn Read,
    shown: bool,
    bytes: u64,
    last: Instant,
    written: bool,
}

impl<'a> Progress<'a> {
    /// `shown` is whether standard error is a terminal.
    pub fn new(from: &'a mut dyn Read, shown: bool) -> Self {
        Self { from, shown, bytes: 0, last: Instant::now(), written: false }
    }

    fn show(&mut self) {
        if self.shown && self.last.elapsed() >= STEP {
            self.last = Instant::now();
            self.written = true;
            // A terminal that is gone needs no figure. The position is saved and gone back to, so
            // that what stands on the line stays.
            let _ = write!(io::stderr(), "\x1b7 {}\x1b[K\x1b8", size(self.bytes));
        }
    }
}

impl Read for Progress<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.bytes += count as u64;
        self.show();
        Ok(count)
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.written {
            let _ = write!(io::stderr(), "\x1b[K");
        }
    }
}

/// In megabytes of 2^20 bytes, as the server's limits are.
#[allow(clippy::cast_precision_loss)]
fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_unchanged_and_are_counted() {
        let mut from: &[u8] = b"archive";
        let mut progress = Progress::new(&mut from, false);
        let mut read = Vec::new();
        progress.read_to_end(&mut read).unwrap();
        assert_eq!((read.as_slice(), progress.bytes), (b"archive".as_slice(), 7));
        assert_eq!(size(3 << 19), "1.5 MB");
    }
}
