//! The client: one file a command.
//!
//! Everything it does goes through the Platform API over HTTP; it starts in a few
//! milliseconds, so nothing is read or connected before a command needs it. Exit codes
//! are listed in the table of [`error`].
#![forbid(unsafe_code)]

mod activity_words;
mod archive;
mod arguments;
mod attach;
mod choice;
mod client;
mod commands;
mod context;
mod copy;
mod environment;
pub mod error;
mod folder;
mod git;
mod harmless;
mod help;
mod output;
mod process;
mod progress;
mod session;
mod terminal;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
mod time;
mod tls;
mod usage;

pub use activity_words::WORDS as ACTIVITY_WORDS;
pub use arguments::{command_names, normalise_arguments};
pub use commands::{Command, reference_tables};
pub use help::{examples, with_help};

use error::ErrorKind;
use session::Session;
use std::ffi::OsString;
use std::process::ExitCode;

/// Says what is wrong with the arguments, or the help or version that they ask for, and gives the
/// process's exit code. `words` is the whole command line, beginning with the program's name.
pub fn explain_arguments(
    error: &clap::Error,
    words: &[OsString],
    root: &mut clap::Command,
) -> ExitCode {
    let mut session = Session::of_process();
    let Some(told) = usage::usage_error(error, words, root) else {
        // Its output being closed leaves nobody to tell.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    };
    session.output.error(&told);
    ExitCode::from(told.kind.exit_code())
}

/// Runs one client command to its end and gives the process's exit code.
///
/// `root` builds the whole program's clap command; only completions, manual pages and the reference ask for it.
pub fn run(command: Command, root: fn() -> clap::Command) -> ExitCode {
    let mut session = Session::of_process();
    let result = commands::dispatch(command, &mut session, root);
    let warnings = session.warnings.take();
    for warning in warnings {
        // Standard error being closed leaves nobody to warn.
        let _ = session.output.warning(&warning);
    }
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if error.kind != ErrorKind::OutputClosed {
                session.output.error(&error);
            }
            ExitCode::from(error.kind.exit_code())
        }
    }
}
