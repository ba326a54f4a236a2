//! Certificates: the system's own store, read only when a URL is https.

use crate::error::{CliError, ErrorKind, Result};
use std::sync::Arc;
use ureq::tls::{Certificate, TlsConfig};

/// Settings for HTTP requests. `SSL_CERT_FILE` and `SSL_CERT_DIR` name other stores.
pub fn for_requests() -> Result<TlsConfig> {
    let roots = roots()?;
    let certificates: Vec<_> =
        roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(TlsConfig::builder()
        .root_certs(certificates.into_iter().into())
        .unversioned_rustls_crypto_provider(provider())
        .build())
}

/// Settings for a connection of our own, with the same certificates.
pub fn for_connections() -> Result<Arc<rustls::ClientConfig>> {
    let mut store = rustls::RootCertStore::empty();
    store.add_parsable_certificates(roots()?);
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::general(format!("Could not set up TLS: {error}")))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What a failed handshake means for the user.
pub fn error(url: &str, error: &dyn std::fmt::Display) -> CliError {
    let message = format!("No trusted connection to {url}: {error}.");
    CliError::new(ErrorKind::Unreachable, message)
        .hint("For a server with a certificate of your own set SSL_CERT_FILE to the CA's file.")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots() -> Result<Vec<rustls::pki_types::CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    match (found.certs.is_empty(), found.errors.first()) {
        (false, _) => Ok(found.certs),
        (true, Some(error)) => {
            Err(CliError::general(format!("Could not read the system's certificates: {error}")))
        }
        (true, None) => Err(CliError::general("This system has no certificates.")
            .hint("Install the package ca-certificates or set SSL_CERT_FILE.")),
    }
}
