//! Appends a container's output to its app's log, line by line.

use crate::launch::now;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_core::log_line::{MAXIMUM_MESSAGE, format_into};

/// How often the writer looks whether the file has been rotated away.
const ROTATION_CHECK: Duration = Duration::from_millis(500);

const MAXIMUM_LINES_A_SECOND: u32 = 20_000;
const MAXIMUM_BYTES_A_SECOND: usize = 10_000_000;

/// Whose line the notice of dropped messages is.
const NOTICE_SOURCE: &str = "heroku[logplex]";

/// Allows so many lines and bytes in each second and counts what is over.
struct Limiter {
    second: Instant,
    lines: u32,
    bytes: usize,
    dropped: u64,
}

impl Limiter {
    fn admit(&mut self, bytes: usize) -> bool {
        if self.lines >= MAXIMUM_LINES_A_SECOND || self.bytes >= MAXIMUM_BYTES_A_SECOND {
            self.dropped += 1;
            return false;
        }
        self.lines += 1;
        self.bytes += bytes;
        true
    }

    /// Starts a new second if the last one is over; returns how many lines that one lost.
    fn renew(&mut self, now: Instant) -> u64 {
        if now.duration_since(self.second) < Duration::from_secs(1) {
            return 0;
        }
        self.second = now;
        self.lines = 0;
        self.bytes = 0;
        std::mem::take(&mut self.dropped)
    }
}

/// The open log file of an app. Other processes append to it too: every batch is one `write`.
pub struct LogWriter {
    path: PathBuf,
    source: String,
    file: Option<File>,
    checked: Instant,
    batch: Vec<u8>,
    limiter: Limiter,
    /// Microseconds since the epoch of the last line: no two lines have the same time.
    last_time: u64,
}

impl LogWriter {
    pub fn new(path: &Path, source: &str) -> Self {
        let start = Instant::now();
        Self {
            path: path.to_owned(),
            source: source.to_owned(),
            file: None,
            checked: start,
            batch: Vec::new(),
            limiter: Limiter { second: start, lines: 0, bytes: 0, dropped: 0 },
            last_time: 0,
        }
    }

    /// Takes bytes of one stream, whose unfinished line is kept in `partial`.
    pub fn take(&mut self, partial: &mut Vec<u8>, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if partial.is_empty() {
                self.line(&bytes[..end]);
            } else {
                partial.extend_from_slice(&bytes[..end]);
                self.line(partial);
                partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        partial.extend_from_slice(bytes);
        if partial.len() >= MAXIMUM_MESSAGE {
            self.line(partial);
            partial.clear();
        }
    }

    /// Ends a stream: its last line may lack the line end.
    pub fn end(&mut self, partial: &mut Vec<u8>) {
        if !partial.is_empty() {
            self.line(partial);
            partial.clear();
        }
    }

    fn line(&mut self, message: &[u8]) {
        if self.limiter.admit(message.len()) {
            let message = message.strip_suffix(b"\r").unwrap_or(message);
            self.last_time = (now().as_micros() as u64).max(self.last_time + 1);
            format_into(&mut self.batch, self.last_time, &self.source, message);
        }
    }

    /// Returns whether lines are being dropped at the moment.
    pub fn is_dropping(&self) -> bool {
        self.limiter.dropped > 0
    }

    /// Writes what has been taken so far.
    pub fn flush(&mut self) {
        let time = Instant::now();
        let dropped = self.limiter.renew(time);
        self.notice(dropped);
        self.write_batch(time);
    }

    /// Writes everything, the notice of dropped lines included.
    pub fn finish(&mut self) {
        let dropped = std::mem::take(&mut self.limiter.dropped);
        self.notice(dropped);
        self.write_batch(Instant::now());
    }

    fn notice(&mut self, dropped: u64) {
        if dropped > 0 {
            let text = format!("Error L10 (output buffer overflow): {dropped} messages dropped");
            self.last_time = (now().as_micros() as u64).max(self.last_time + 1);
            format_into(&mut self.batch, self.last_time, NOTICE_SOURCE, text.as_bytes());
        }
    }

    fn write_batch(&mut self, time: Instant) {
        if self.batch.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        if let Err(error) = self.open(time).and_then(|mut file| file.write_all(&batch)) {
            // Nobody else to tell: a full disk must not stop the app.
            eprintln!("{:?}: {error}", self.path);
            self.file = None;
        }
        batch.clear();
        batch.shrink_to(64 * 1024);
        self.batch = batch;
    }

    /// Returns the log file, opened again if the one we have is no longer at the path.
    fn open(&mut self, time: Instant) -> io::Result<&File> {
        if time.duration_since(self.checked) >= ROTATION_CHECK {
            self.checked = time;
            let at_path = std::fs::metadata(&self.path).map(|m| m.ino()).ok();
            let ours = self.file.as_ref().and_then(|f| f.metadata().ok()).map(|m| m.ino());
            if at_path != ours {
                self.file = None;
            }
        }
        if self.file.is_none() {
            if let Some(directory) = self.path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            self.file =
                Some(OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.split_once("]: ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn joins_pieces_and_keeps_the_last_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/app.log");
        let mut writer = LogWriter::new(&path, "app[web.1]");
        let mut partial = Vec::new();
        for piece in [&b"one\ntw"[..], b"o", b"\r\n\nthree"] {
            writer.take(&mut partial, piece);
        }
        writer.end(&mut partial);
        writer.finish();
        assert_eq!(messages(&path), ["one", "two", "", "three"]);
    }

    #[test]
    fn goes_on_in_the_new_file_after_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let mut writer = LogWriter::new(&path, "app[web.1]");
        writer.take(&mut Vec::new(), b"old\n");
        writer.flush();
        std::fs::rename(&path, directory.path().join("app.log.1")).unwrap();
        writer.checked -= ROTATION_CHECK;
        writer.take(&mut Vec::new(), b"new\n");
        writer.flush();
        assert_eq!(messages(&path), ["new"]);
    }

    #[test]
    fn a_flood_is_cut_and_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let mut writer = LogWriter::new(&path, "app[web.1]");
        writer.take(&mut Vec::new(), "y\n".repeat(30_000).as_bytes());
        assert!(writer.is_dropping());
        writer.finish();
        let messages = messages(&path);
        assert_eq!(messages.len(), 20_001);
        let notice = "Error L10 (output buffer overflow): 10000 messages dropped";
        assert_eq!(messages[20_000], notice);
    }
}
