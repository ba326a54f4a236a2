//! Archives that a command reads or writes: a file, or standard input or output.

use crate::client::Client;
use crate::error::{CliError, Result};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

/// Opens the file, or standard input without one.
pub fn open(file: Option<&Path>) -> Result<Box<dyn Read>> {
    Ok(match file {
        Some(file) => Box::new(File::open(file).map_err(|error| failed(file, &error))?),
        None => Box::new(io::stdin()),
    })
}

/// Writes what the server has at `path` to the file, or to standard output without one, which must
/// not be a terminal then; `example` is a command line that does better.
pub fn save(client: &Client, path: &str, file: Option<&Path>, example: &str) -> Result<()> {
    if file.is_none() && io::stdout().is_terminal() {
        return Err(CliError::usage("An archive is not for a terminal.")
            .hint(format!("For example: {example}")));
    }
    let mut archive = client.get_stream(path)?;
    let written = match file {
        Some(file) => {
            let mut out = File::create(file).map_err(|error| failed(file, &error))?;
            io::copy(&mut archive, &mut out)
        }
        None => {
            let mut out = io::stdout().lock();
            io::copy(&mut archive, &mut out).and_then(|bytes| out.flush().map(|()| bytes))
        }
    };
    written
        .map(drop)
        .map_err(|error| CliError::file("The archive broke off and cannot be used", &error))
}

fn failed(file: &Path, error: &io::Error) -> CliError {
    CliError::file(format!("{}", file.display()), error)
}
