//! Why a command failed, and with which code it exits.
//!
//! | code | kind | when |
//! |---|---|---|
//! | 0 | – | done |
//! | 1 | `General` | the server answered with an error that is none of the following, a file could not be read or written, a child process failed |
//! | 2 | `Usage` | the arguments are wrong or incomplete (also clap's own errors) |
//! | 3 | `NotLoggedIn` | no login for this server, or the server does not accept the token |
//! | 4 | `NotFound` | the app, release, process, domain, key or config var does not exist |
//! | 5 | `Refused` | the server understood and refused: invalid value, conflict, forbidden, or a question not answered with yes |
//! | 6 | `Unreachable` | no server answers at the URL |
//!
//! `windlass run` exits with the code of the command it ran. A closed output
//! (`windlass logs | head`) is no error: the exit code is 0 and nothing is printed.

use std::io;

/// What kind of failure; each has its own exit code, see the module's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    General,
    Usage,
    NotLoggedIn,
    NotFound,
    Refused,
    Unreachable,
    /// Nobody reads the output any more.
    OutputClosed,
}

impl ErrorKind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::OutputClosed => 0,
            ErrorKind::General => 1,
            ErrorKind::Usage => 2,
            ErrorKind::NotLoggedIn => 3,
            ErrorKind::NotFound => 4,
            ErrorKind::Refused => 5,
            ErrorKind::Unreachable => 6,
        }
    }
}

/// One line saying what is wrong and, where we know it, one line saying what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    pub kind: ErrorKind,
    pub message: String,
    pub hint: Option<String>,
}

/// What every command returns.
pub type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> CliError {
        CliError { kind, message: message.into(), hint: None }
    }

    pub fn general(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::General, message)
    }

    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::Usage, message)
    }

    pub fn not_found(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::NotFound, message)
    }

    pub fn refused(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::Refused, message)
    }

    /// Adds the line that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    /// A failed file operation: `what` names the operation and the file.
    pub fn file(what: impl std::fmt::Display, error: &io::Error) -> CliError {
        CliError::general(format!("{what}: {error}"))
    }
}

/// For writing to the terminal or pipe; other file errors use [`CliError::file`].
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return CliError::new(ErrorKind::OutputClosed, "The output was closed.");
        }
        CliError::general(format!("Could not write the output: {error}"))
    }
}
