//! Copies a container's output to its log until its first process has ended.

use super::log_writer::LogWriter;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// The most that is read at once; also what a pipe holds.
const PIECE: usize = 64 * 1024;

/// A pause while lines are being dropped: it slows a flood down without stopping the app.
const FLOOD_PAUSE: Duration = Duration::from_millis(1);

/// How soon the notice of dropped lines comes when the app has fallen silent.
const NOTICE_DELAY: u16 = 1000;

/// What one reading brought.
enum Reading {
    Bytes,
    Nothing,
    End,
}

/// Returns once the container's first process has ended and all that it wrote is in the log.
pub fn copy_to_log(pidfd: &OwnedFd, output: OwnedFd, mut writer: LogWriter) {
    let mut output = Some(output);
    let mut partial = Vec::new();
    let mut buffer = vec![0; PIECE];
    let mut ended = false;
    while !ended {
        ended = wait(pidfd, output.as_ref(), writer.is_dropping());
        if let Some(Reading::End) =
            output.as_ref().map(|file| read(file, &mut buffer, &mut partial, &mut writer))
        {
            output = None;
        }
        writer.flush();
        if writer.is_dropping() {
            std::thread::sleep(FLOOD_PAUSE);
        }
    }
    // Nobody writes any more: what is left in the pipe is the rest.
    if let Some(file) = &output {
        while let Reading::Bytes = read(file, &mut buffer, &mut partial, &mut writer) {
            writer.flush();
        }
    }
    writer.end(&mut partial);
    writer.finish();
}

/// Waits for output; returns whether the first process has ended.
fn wait(pidfd: &OwnedFd, output: Option<&OwnedFd>, dropping: bool) -> bool {
    let mut watched = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    watched.extend(output.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
    let timeout = if dropping { PollTimeout::from(NOTICE_DELAY) } else { PollTimeout::NONE };
    poll(&mut watched, timeout).is_ok() && watched[0].any().unwrap_or(false)
}

fn read(
    file: &OwnedFd,
    buffer: &mut [u8],
    partial: &mut Vec<u8>,
    writer: &mut LogWriter,
) -> Reading {
    match nix::unistd::read(file.as_raw_fd(), buffer) {
        Ok(0) => Reading::End,
        Ok(length) => {
            writer.take(partial, &buffer[..length]);
            Reading::Bytes
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Reading::Nothing,
        Err(_) => Reading::End,
    }
}
