//! The authority that one user has for themselves: it can vouch for `localhost` and nothing else.

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROOT_DAYS: u32 = 3_650;
/// A certificate is made at each start, and a forwarder seldom runs for longer.
const LEAF_DAYS: u32 = 397;
/// Clocks differ.
const BEFORE: Duration = Duration::from_secs(60 * 60);
/// Clients that are given a bare `HEROKU_HOST=localhost` ask for the names in front of it.
const NAMES: &[&str] = &["localhost", "api.localhost", "git.localhost", "registry.localhost"];

#[derive(Debug, thiserror::Error)]
pub enum LocalAuthorityError {
    #[error("{what} {path:?}: {source}")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("{0:?} holds no usable certificate or key: remove both, and new ones are made")]
    Unusable(PathBuf),
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

type Result<T> = std::result::Result<T, LocalAuthorityError>;

/// A root certificate and its key, in two files that only their user can read.
pub struct LocalAuthority {
    certificate_file: PathBuf,
    certificate_pem: String,
    key_pem: String,
}

impl LocalAuthority {
    /// Reads the authority in `folder`, or makes one there.
    pub fn open(folder: &Path) -> Result<Self> {
        let certificate_file = folder.join("ca.pem");
        let key_file = folder.join("ca.key");
        let read = |path: &Path| match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file("cannot read", path)(source)),
        };
        if let (Some(certificate_pem), Some(key_pem)) = (read(&certificate_file)?, read(&key_file)?)
        {
            return Ok(Self { certificate_file, certificate_pem, key_pem });
        }
        let (certificate_pem, key_pem) = make()?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(file("cannot make", folder))?;
        write_private(&key_file, &key_pem)?;
        write_private(&certificate_file, &certificate_pem)?;
        Ok(Self { certificate_file, certificate_pem, key_pem })
    }

    /// Where the root certificate is.
    #[must_use]
    pub fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns what a server on the loopback needs, with a new certificate.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>> {
        let unusable = |_| LocalAuthorityError::Unusable(self.certificate_file.clone());
        let key = KeyPair::from_pem(&self.key_pem).map_err(unusable)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, key).map_err(unusable)?;
        let mut params =
            CertificateParams::new(NAMES.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.distinguished_name = name("Windlass connect");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, LEAF_DAYS);
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?;
        let root = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|_| LocalAuthorityError::Unusable(self.certificate_file.clone()))?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| LocalAuthorityError::Unusable(self.certificate_file.clone()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone(), root], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn make() -> Result<(String, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Windlass connect, of one user of this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Whoever gets hold of the key can speak for this machine to its user, and for nobody else.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), [255; 16])),
        ],
        excluded_subtrees: Vec::new(),
    });
    set_validity(&mut params, ROOT_DAYS);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Windlass");
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, days: u32) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + since;
    params.not_before = now - BEFORE;
    params.not_after = now + DAY * days;
}

fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LocalAuthorityError {
    let path = path.to_owned();
    move |source| LocalAuthorityError::File { what, path, source }
}

/// Writes a file that only its user can read, in one step.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(file("cannot write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_for_its_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("connect");
        let first = LocalAuthority::open(&folder).unwrap();
        let second = LocalAuthority::open(&folder).unwrap();
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!((mode(first.certificate_file()), mode(&folder.join("ca.key"))), (0o600, 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no temporary file is left");
        first.server_config().unwrap();
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), "x").unwrap();
        fs::write(folder.path().join("ca.key"), "x").unwrap();
        let error = LocalAuthority::open(folder.path()).unwrap().server_config().unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
