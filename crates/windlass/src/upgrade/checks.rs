//! Whether a file may take the place of the installed binary.

use super::{UpgradeError, failed};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the binary may take to say what it is.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What a binary says about itself, as JSON on standard output of `windlass capabilities`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capabilities {
    pub version: String,
    /// The newest schema of the database that it knows.
    pub schema: u32,
}

impl Capabilities {
    pub fn own() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, schema: windlass_store::known_schema() }
    }
}

pub struct Candidate {
    pub version: String,
    /// The data would be brought to a newer schema.
    pub changes_schema: bool,
}

/// Returns what the binary is, if it may run in the place of `installed` on this data.
pub fn check(binary: &Path, installed: &Path, data: &Path) -> Result<Candidate, UpgradeError> {
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let own = identity(binary).map_err(failed("cannot read", binary))?;
    if identity(installed).is_ok_and(|installed| installed == own) {
        return Err(UpgradeError::Itself(binary.to_owned()));
    }
    check_machine(binary)?;
    let capabilities = ask(binary)?;
    let found = windlass_store::schema_of(data)?.unwrap_or(capabilities.schema);
    if capabilities.schema < found {
        return Err(UpgradeError::Downgrade {
            path: binary.to_owned(),
            version: capabilities.version,
            known: capabilities.schema,
            found,
        });
    }
    let changes_schema = capabilities.schema > found;
    Ok(Candidate { version: capabilities.version, changes_schema })
}

/// The part of an ELF header that says for which machine it is.
fn machine(path: &Path) -> std::io::Result<Option<[u8; 3]>> {
    let mut header = Vec::new();
    std::fs::File::open(path)?.take(20).read_to_end(&mut header)?;
    let is_elf = header.len() == 20 && header.starts_with(b"\x7fELF");
    // Class (32 or 64 bits) and machine.
    Ok(is_elf.then(|| [header[4], header[18], header[19]]))
}

fn check_machine(binary: &Path) -> Result<(), UpgradeError> {
    let own = machine(Path::new("/proc/self/exe"));
    let own = own.map_err(failed("cannot read", Path::new("/proc/self/exe")))?;
    let wrong = |why: &str| Err(UpgradeError::NotAProgram(binary.to_owned(), why.to_owned()));
    match machine(binary).map_err(failed("cannot read", binary))? {
        None => wrong("it is not an ELF binary"),
        Some(other) if Some(other) != own => wrong("it is made for another kind of machine"),
        Some(_) => Ok(()),
    }
}

fn ask(binary: &Path) -> Result<Capabilities, UpgradeError> {
    let strange = |why: String| UpgradeError::NotWindlass(binary.to_owned(), why);
    let mut child = Command::new(binary)
        .arg("capabilities")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| UpgradeError::NotAProgram(binary.to_owned(), error.to_string()))?;
    let end = Instant::now() + ANSWER_LIMIT;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return Err(strange(format!("no answer in {} s", ANSWER_LIMIT.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // What it says is short: it fits into the pipe.
    let output = child.wait_with_output().map_err(|error| strange(error.to_string()))?;
    if !output.status.success() {
        return Err(strange(format!("it ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| strange(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_of_this_machine_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (data, binary) = (directory.path().join("data"), directory.path().join("binary"));
        let said = || {
            check(&binary, Path::new("/proc/self/exe"), &data).err().map(|error| error.to_string())
        };
        std::fs::write(&binary, "#!/bin/sh\necho '{}'\n").unwrap();
        assert!(said().unwrap().contains("not an ELF binary"));
        let mut header = std::fs::read("/proc/self/exe").unwrap()[..64].to_vec();
        header[18] ^= 0xff;
        std::fs::write(&binary, &header).unwrap();
        assert!(said().unwrap().contains("another kind of machine"));
        std::fs::copy("/bin/true", &binary).unwrap();
        assert!(said().unwrap().contains("does not say what it is"), "{:?}", said());
    }
}
