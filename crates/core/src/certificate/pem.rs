//! PEM text in and out.

use super::CertificateError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Returns the certificates of a text, at least one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|error| CertificateError::DamagedPem(error.to_string()))?;
    match found.is_empty() {
        false => Ok(found),
        true if private_key(text).is_ok() => Err(CertificateError::KeyFirst),
        true => Err(CertificateError::NotPem),
    }
}

/// Returns the first private key of a text.
pub(super) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let is_encrypted =
        text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
    if is_encrypted {
        return Err(CertificateError::KeyEncrypted);
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| CertificateError::KeyNotPem)
}

/// Writes one section.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// Writes a private key in the form that it came in.
pub(super) fn encode_key(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    encode(label, key.secret_der())
}
