//! The terminal: raw mode, its size, and a question whose answer is not shown.

use crate::error::{CliError, ErrorKind, Result};
use crate::output::Output;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;
use std::os::fd::BorrowedFd;

/// Standard input in raw mode until dropped.
pub struct RawMode {
    terminal: BorrowedFd<'static>,
    saved: Termios,
}

impl RawMode {
    /// Switches standard input to raw mode.
    pub fn enter() -> io::Result<RawMode> {
        let terminal = rustix::stdio::stdin();
        let saved = tcgetattr(terminal)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw)?;
        Ok(RawMode { terminal, saved })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has gone away needs no restoring.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.saved);
    }
}

/// Rows and columns of the terminal on standard output, if there is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Asks on standard error and reads a line that is not shown.
///
/// Raw mode also takes Ctrl-C as a byte, so that giving up leaves the terminal as it was.
pub fn ask_hidden(output: &mut Output, question: &str) -> Result<String> {
    output.error_bytes(question.as_bytes())?;
    let unreadable = |error: &io::Error| CliError::file("Could not read the terminal", error);
    let raw = RawMode::enter().map_err(|error| unreadable(&error))?;
    let mut line = HiddenLine::default();
    let ended = loop {
        let mut bytes = [0; 256];
        let count = match rustix::io::read(raw.terminal, &mut bytes) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(unreadable(&error.into())),
        };
        if count == 0 {
            break Ended::Given;
        }
        if let Some(ended) = line.take(&bytes[..count]) {
            break ended;
        }
    };
    drop(raw);
    output.note("")?;
    match ended {
        Ended::Given => Ok(String::from_utf8_lossy(&line.0).trim().to_owned()),
        Ended::GivenUp => Err(CliError::new(ErrorKind::Refused, "Nothing was changed.")),
    }
}

#[derive(Default)]
struct HiddenLine(Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Given,
    GivenUp,
}

impl HiddenLine {
    /// Takes typed bytes; tells how the line ended once it has.
    fn take(&mut self, bytes: &[u8]) -> Option<Ended> {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' | 0x04 => return Some(Ended::Given),
                0x03 => return Some(Ended::GivenUp),
                0x7f | 0x08 => {
                    self.0.pop();
                }
                // Ctrl-U clears the line.
                0x15 => self.0.clear(),
                byte => self.0.push(*byte),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_line_can_be_corrected_and_given_up() {
        let mut line = HiddenLine::default();
        assert_eq!(line.take(b"wrong\x15sekrex\x7f"), None);
        assert_eq!(line.take(b"t\rmore"), Some(Ended::Given));
        assert_eq!(line.0, b"sekret");
        assert_eq!(HiddenLine::default().take(b"a\x03"), Some(Ended::GivenUp));
    }
}
