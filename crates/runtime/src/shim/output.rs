//! Copies a container's output to its log until its first process has ended.

use super::container::{Started, Stdio};
use super::log_writer::LogWriter;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// The most that is read at once; also what a pipe holds.
const PIECE: usize = 64 * 1024;

/// A pause while lines are being dropped: it slows a flood down without stopping the app.
const FLOOD_PAUSE: Duration = Duration::from_millis(1);

struct Stream<'a> {
    file: Option<&'a OwnedFd>,
    partial: Vec<u8>,
}

/// What one reading brought.
#[derive(PartialEq)]
enum Reading {
    Bytes,
    Nothing,
}

impl Stream<'_> {
    fn read(&mut self, buffer: &mut [u8], writer: &mut LogWriter) -> Reading {
        let Some(file) = self.file else { return Reading::Nothing };
        match nix::unistd::read(file.as_raw_fd(), buffer) {
            Ok(0) => {
                writer.end(&mut self.partial);
                self.file = None;
                Reading::Nothing
            }
            Ok(length) => {
                writer.take(&mut self.partial, &buffer[..length]);
                Reading::Bytes
            }
            Err(_) => Reading::Nothing,
        }
    }
}

/// Returns once the container's first process has ended and all that it wrote is in the log.
pub fn copy_to_log(started: &Started, mut writer: LogWriter) {
    let Stdio::Pipes { stdout, stderr, .. } = &started.stdio else { return };
    let mut streams =
        [stdout, stderr].map(|file| Stream { file: Some(file), partial: Vec::new() });
    let mut buffer = vec![0; PIECE];
    let mut running = true;
    while running {
        let mut watched = vec![PollFd::new(started.pidfd.as_fd(), PollFlags::POLLIN)];
        let files = streams.iter().filter_map(|stream| stream.file);
        watched.extend(files.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
        let timeout = if writer.is_dropping() { PollTimeout::from(1000u16) } else { PollTimeout::NONE };
        let _ = poll(&mut watched, timeout);
        running = !watched[0].any().unwrap_or(false);
        for stream in &mut streams {
            stream.read(&mut buffer, &mut writer);
        }
        writer.flush();
        if writer.is_dropping() {
            std::thread::sleep(FLOOD_PAUSE);
        }
    }
    for stream in &mut streams {
        while stream.read(&mut buffer, &mut writer) == Reading::Bytes {
            writer.flush();
        }
        writer.end(&mut stream.partial);
    }
    writer.finish();
}
