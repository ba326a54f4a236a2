//! The key by which SSH clients know the server.

use super::SshError;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the host key's file in the data directory.
pub const HOST_KEY_FILE: &str = "ssh_host_ed25519_key";

/// Returns the public half of the host key, as `known_hosts` has it.
pub(crate) fn public_host_key(path: &Path) -> Result<String, SshError> {
    let failed = |source| SshError::HostKey { action: "read", path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let damaged = |source| SshError::DamagedHostKey { path: path.to_owned(), source };
    let key = PrivateKey::from_openssh(bytes).map_err(damaged)?;
    key.public_key().to_openssh().map_err(damaged)
}

/// Reads the host key, or makes one, which only its owner can read.
pub(super) fn read_or_make(path: &Path) -> Result<PrivateKey, SshError> {
    let failed = |action| move |source| SshError::HostKey { action, path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(bytes) => PrivateKey::from_openssh(bytes)
            .map_err(|source| SshError::DamagedHostKey { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
                .map_err(SshError::NewHostKey)?;
            let text = key.to_openssh(LineEnding::LF).map_err(SshError::NewHostKey)?;
            write_private(path, text.as_bytes()).map_err(failed("written"))?;
            tracing::info!(file = %path.display(), "made a new SSH host key");
            Ok(key)
        }
        Err(error) => Err(failed("read")(error)),
    }
}

/// Writes a file that only its owner can read; it appears complete or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_host_key_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host_key");
        let first = read_or_make(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(read_or_make(&path).unwrap().public_key(), first.public_key());
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
        std::fs::write(&path, "damaged").unwrap();
        assert!(matches!(read_or_make(&path), Err(SshError::DamagedHostKey { .. })));
    }
}
