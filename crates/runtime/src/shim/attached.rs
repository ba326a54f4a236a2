//! Forwards the standard files of an attached container over the socket to the driver, and kills
//! the container when that socket is closed.

use super::container::Stdio;
use crate::frame::{Decoder, Kind, encode_into};
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use windlass_core::instance::TerminalSize;

const PIECE: usize = 32 * 1024;

/// Output waiting for the driver: above this the container is no longer read.
const OUTPUT_LIMIT: usize = 128 * 1024;

/// Input waiting for the container: above this the driver is no longer read.
const INPUT_LIMIT: usize = 128 * 1024;

/// Ctrl-D: how a terminal says that input has ended.
const END_OF_INPUT: u8 = 4;

struct Forwarder {
    driver: UnixStream,
    decoder: Decoder,
    /// Bytes for the driver.
    outgoing: Vec<u8>,
    /// Bytes for the container.
    incoming: Vec<u8>,
    outputs: Vec<(Kind, OwnedFd)>,
    input: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    /// Close the input as soon as `incoming` is empty.
    input_ending: bool,
    driver_gone: bool,
}

/// Returns once process `pid` has ended and its output has been handed over. `kill_others` ends
/// what else could still write. The result says why it was killed, if it was.
pub fn forward(
    pid: i32,
    pidfd: &OwnedFd,
    stdio: Stdio,
    driver: UnixStream,
    kill_others: impl FnOnce(),
) -> Option<String> {
    let (outputs, terminal, input) = match stdio {
        Stdio::Pipes { stdin, stdout, stderr } => {
            (vec![(Kind::Stdout, stdout), (Kind::Stderr, stderr)], None, Some(stdin))
        }
        Stdio::Merged(output) => (vec![(Kind::Stdout, output)], None, None),
        Stdio::Terminal(terminal) => {
            let copies = (terminal.try_clone().ok(), terminal.try_clone().ok());
            (vec![(Kind::Stdout, terminal)], copies.0, copies.1)
        }
    };
    let _ = driver.set_nonblocking(true);
    let mut forwarder = Forwarder {
        driver,
        decoder: Decoder::default(),
        outgoing: Vec::new(),
        incoming: Vec::new(),
        outputs,
        input,
        terminal,
        input_ending: false,
        driver_gone: false,
    };
    while !forwarder.step(pidfd) && !forwarder.driver_gone {}
    if forwarder.driver_gone {
        let pid = nix::unistd::Pid::from_raw(pid);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        let mut watched = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut watched, PollTimeout::NONE);
        kill_others();
        return Some("whoever was attached to it went away".to_owned());
    }
    kill_others();
    forwarder.drain();
    None
}

impl Forwarder {
    /// Waits for something to do and does it. Returns whether the container's first process has ended.
    fn step(&mut self, pidfd: &OwnedFd) -> bool {
        let mut driver_interest = PollFlags::empty();
        if self.incoming.len() < INPUT_LIMIT {
            driver_interest |= PollFlags::POLLIN;
        }
        if !self.outgoing.is_empty() {
            driver_interest |= PollFlags::POLLOUT;
        }
        let mut watched = vec![
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.driver.as_fd(), driver_interest),
        ];
        if let Some(input) = self.input.as_ref().filter(|_| !self.incoming.is_empty()) {
            watched.push(PollFd::new(input.as_fd(), PollFlags::POLLOUT));
        }
        if self.outgoing.len() < OUTPUT_LIMIT {
            let interest = PollFlags::POLLIN;
            watched
                .extend(self.outputs.iter().map(|(_, file)| PollFd::new(file.as_fd(), interest)));
        }
        if poll(&mut watched, PollTimeout::NONE).is_err() {
            return false;
        }
        let happened = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
        let ended = !happened(&watched[0]).is_empty();
        let driver = happened(&watched[1]);
        drop(watched);

        if driver.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.driver_gone = true;
            return ended;
        }
        if driver.contains(PollFlags::POLLIN) {
            self.read_driver();
        }
        self.write_input();
        if self.outgoing.len() < OUTPUT_LIMIT {
            self.read_outputs();
        }
        self.write_driver();
        ended
    }

    fn read_driver(&mut self) {
        let mut buffer = [0; PIECE];
        match self.driver.read(&mut buffer) {
            Ok(0) => self.driver_gone = true,
            Ok(length) => self.decoder.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.driver_gone = true,
        }
        loop {
            match self.decoder.next() {
                Ok(Some((kind, payload))) => self.command(kind, &payload),
                Ok(None) => return,
                Err(error) => {
                    eprintln!("{error}");
                    self.driver_gone = true;
                    return;
                }
            }
        }
    }

    fn command(&mut self, kind: Kind, payload: &[u8]) {
        match kind {
            Kind::Stdin if self.input.is_some() && !self.input_ending => {
                self.incoming.extend_from_slice(payload);
            }
            Kind::StdinClosed => {
                if self.terminal.is_some() {
                    self.incoming.push(END_OF_INPUT);
                } else {
                    self.input_ending = true;
                }
            }
            Kind::Resize => {
                let size = serde_json::from_slice::<TerminalSize>(payload);
                if let (Some(terminal), Ok(size)) = (&self.terminal, size) {
                    let _ = sys::set_terminal_size(terminal, size);
                }
            }
            _ => {}
        }
    }

    fn write_input(&mut self) {
        if let Some(input) = &self.input {
            match write_some(input.as_fd(), &mut self.incoming) {
                Ok(()) => {}
                Err(_) => {
                    // The program has closed its input; what is left is for nobody.
                    self.input = None;
                    self.incoming.clear();
                }
            }
        }
        if self.input_ending && self.incoming.is_empty() {
            self.input = None;
        }
    }

    /// Reads each output once. Returns whether any had something.
    fn read_outputs(&mut self) -> bool {
        let mut buffer = [0; PIECE];
        let mut any = false;
        let outgoing = &mut self.outgoing;
        self.outputs.retain(|(kind, file)| {
            match nix::unistd::read(file.as_raw_fd(), &mut buffer) {
                Ok(0) => false,
                Ok(length) => {
                    encode_into(outgoing, *kind, &buffer[..length]);
                    any = true;
                    true
                }
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => true,
                // EIO: the last user of the terminal has gone.
                Err(_) => false,
            }
        });
        any
    }

    fn write_driver(&mut self) {
        if write_some(self.driver.as_fd(), &mut self.outgoing).is_err() {
            self.driver_gone = true;
        }
    }

    /// Hands over what the container has left behind; nothing writes to the pipes any more.
    fn drain(&mut self) {
        loop {
            // Where there was no room to read, there may be more.
            let more = self.outgoing.len() >= OUTPUT_LIMIT || self.read_outputs();
            self.write_driver();
            if self.driver_gone || (!more && self.outgoing.is_empty()) {
                return;
            }
            if !self.outgoing.is_empty() {
                let mut watched = [PollFd::new(self.driver.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut watched, PollTimeout::NONE);
            }
        }
    }
}

/// Writes as much of `bytes` as the file takes without waiting, and removes it from `bytes`.
fn write_some(file: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    match nix::unistd::write(file, bytes) {
        Ok(length) => {
            bytes.drain(..length);
            Ok(())
        }
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{setsockopt, sockopt::SndBuf};

    #[test]
    fn what_is_in_the_pipe_when_the_program_ends_arrives_whole() {
        const IN_THE_PIPE: usize = 50_000;
        let (driver, mut shim) = UnixStream::pair().unwrap();
        // All that waits goes at once, and nothing is left to wait for.
        setsockopt(&driver, SndBuf, &(4 * OUTPUT_LIMIT)).unwrap();
        driver.set_nonblocking(true).unwrap();
        let (output, program) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        assert_eq!(nix::unistd::write(&program, &[b'x'; IN_THE_PIPE]), Ok(IN_THE_PIPE));
        drop(program);
        let mut forwarder = Forwarder {
            driver,
            decoder: Decoder::default(),
            outgoing: vec![0; OUTPUT_LIMIT],
            incoming: Vec::new(),
            outputs: vec![(Kind::Stdout, output)],
            input: None,
            terminal: None,
            input_ending: false,
            driver_gone: false,
        };
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            shim.read_to_end(&mut received).map(|_| received)
        });
        forwarder.drain();
        drop(forwarder);
        let received = reader.join().unwrap().unwrap();
        let count = received.iter().filter(|byte| **byte == b'x').count();
        assert_eq!(count, IN_THE_PIPE, "of {} bytes", received.len());
    }
}
