//! Where the passphrase of a backup comes from.

use super::BackupCommandError;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

/// A shorter one is guessed.
const SHORTEST: usize = 8;

fn error(text: impl Into<String>) -> BackupCommandError {
    BackupCommandError::Passphrase(text.into())
}

/// Returns the first line of the file, or what is typed at the terminal; `is_new` has it typed
/// twice.
pub fn get(file: Option<&Path>, is_new: bool) -> Result<Vec<u8>, BackupCommandError> {
    let passphrase = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|cause| error(format!("cannot read {file:?}: {cause}")))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => {
            let typed = ask("Passphrase of the backup: ")?;
            if is_new && typed != ask("Once more: ")? {
                return Err(error("the two are not the same"));
            }
            typed
        }
    };
    if is_new && passphrase.len() < SHORTEST {
        return Err(error(format!("the passphrase must have at least {SHORTEST} characters")));
    }
    Ok(passphrase.into_bytes())
}

fn ask(question: &str) -> Result<String, BackupCommandError> {
    let nowhere = || error("the passphrase cannot be asked for here: give --passphrase-file FILE");
    let mut terminal =
        File::options().read(true).write(true).open("/dev/tty").map_err(|_| nowhere())?;
    let before = tcgetattr(&terminal).map_err(|_| nowhere())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let _ = terminal.write_all(question.as_bytes());
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|_| nowhere())?;
    let mut line = String::new();
    let read = BufReader::new(&terminal).read_line(&mut line);
    let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
    let _ = terminal.write_all(b"\n");
    read.map_err(|_| nowhere())?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Returns whether the file begins as encrypted backups do.
pub fn is_encrypted(file: &Path) -> bool {
    let mut start = [0; 4];
    File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"WLBK"
}
