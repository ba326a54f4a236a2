//! The certificates on disk, with their keys: for the router's user alone.

use super::certificates::CertificateTable;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use windlass_core::route::RouteCertificate;

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Saved<'a> {
    version: u32,
    certificates: Vec<&'a RouteCertificate>,
}

#[derive(Deserialize)]
struct Loaded {
    version: u32,
    certificates: Vec<RouteCertificate>,
}

/// Replaces the file in one step; after a crash either the old or the new certificates are there.
pub(super) fn save(path: &Path, sent: &[(RouteCertificate, Arc<CertifiedKey>)]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // One that was left behind could be open to others.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let mut writer = BufWriter::new(file);
    let certificates = sent.iter().map(|(certificate, _)| certificate).collect();
    serde_json::to_writer(&mut writer, &Saved { version: VERSION, certificates })?;
    writer.write_all(b"\n")?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

/// Returns the saved certificates: none when the file is missing or cannot be understood, because
/// a router without can still be given some.
pub(super) fn load(path: &Path) -> CertificateTable {
    match read(path) {
        Ok(certificates) => CertificateTable::of_usable(certificates),
        Err(error) if error.kind() == io::ErrorKind::NotFound => CertificateTable::default(),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the saved certificates are not usable: starting without");
            CertificateTable::default()
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<RouteCertificate>> {
    let loaded: Loaded = serde_json::from_slice(&fs::read(path)?)?;
    if loaded.version != VERSION {
        let message = format!("version {} is unknown, expected {VERSION}", loaded.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(loaded.certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn certificates_are_saved_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificates.json");
        assert!(load(&path).sent().is_empty());
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let certificate = RouteCertificate {
            hosts: vec!["a.test".to_owned()],
            is_default: false,
            chain_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        };
        let table =
            CertificateTable::new(vec![certificate.clone()], &CertificateTable::default(), 1);
        fs::write(path.with_extension("new"), "left behind").unwrap();
        save(&path, table.unwrap().sent()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path).sent()[0].0, certificate);
        fs::write(&path, "{\"version\":2,\"certificates\":[]}").unwrap();
        assert!(load(&path).sent().is_empty());
    }
}
