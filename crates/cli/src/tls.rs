//! Whom to trust: the system's certificates, or the one that a login pinned.

mod connector;
mod pin;

pub use connector::PinnedConnector;
pub use pin::{Chain, PinnedCertificate, probe};

use crate::error::{CliError, ErrorKind, Result};
use std::sync::Arc;
use ureq::tls::{Certificate, TlsConfig};

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system's own store, which is read only when a URL is https.
    #[default]
    System,
    /// One certificate that a person has looked at, and what it has signed.
    Pinned(PinnedCertificate),
}

/// Settings for HTTP requests by the system's certificates. `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// name other stores.
pub fn for_requests() -> Result<TlsConfig> {
    let roots = roots()?;
    let certificates: Vec<_> =
        roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(with_roots(certificates))
}

/// Settings for HTTP requests that trust what one certificate, given as PEM, has signed.
pub fn trusting_only(certificate_pem: &str) -> Result<TlsConfig> {
    let certificate = Certificate::from_pem(certificate_pem.as_bytes())
        .map_err(|error| CliError::general(format!("A certificate was not understood: {error}")))?;
    Ok(with_roots(vec![certificate.to_owned()]))
}

fn with_roots(certificates: Vec<Certificate<'static>>) -> TlsConfig {
    TlsConfig::builder()
        .root_certs(certificates.into_iter().into())
        .unversioned_rustls_crypto_provider(provider())
        .build()
}

/// Settings for a connection of our own.
pub fn for_connections(trust: &Trust) -> Result<Arc<rustls::ClientConfig>> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::general(format!("Could not set up TLS: {error}")))?;
    let builder = match trust {
        Trust::System => {
            let mut store = rustls::RootCertStore::empty();
            store.add_parsable_certificates(roots()?);
            builder.with_root_certificates(store)
        }
        Trust::Pinned(certificate) => {
            builder.dangerous().with_custom_certificate_verifier(certificate.verifier())
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// What a failed handshake means for the user.
pub fn error(url: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    if pin::is_changed(error) {
        let message = format!("The certificate of {url} is not the one that you trusted at login.");
        return CliError::new(ErrorKind::Unreachable, message).hint(
            "Somebody may stand between you and the server. If its owner replaced it, log in \
             again with the new one: `windlass login URL --fingerprint SHA256`.",
        );
    }
    let message = format!("No trusted connection to {url}: {error}.");
    CliError::new(ErrorKind::Unreachable, message).hint(
        "For a server with a certificate of its own, log in with `windlass login URL`, which \
         shows it to you; or set SSL_CERT_FILE to the authority's file.",
    )
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
