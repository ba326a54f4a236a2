//! Connections that users have the server make: for webhooks and log drains.
//!
//! A name is looked up here, its addresses are checked, and only checked addresses are connected to,
//! so that what a name means cannot change in between. Redirects are not followed.

mod http;

pub(crate) use http::{HttpConnection, SendError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use windlass_core::outgoing::{OutgoingUrl, Refused, check_address, check_host};

/// From the look-up of the name to the end of the TLS handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What the owner of the server allows.
#[derive(Clone, Debug, Default)]
pub struct OutgoingSettings {
    /// Whether addresses of private networks and of this machine may be connected to.
    pub allow_private: bool,
    /// PEM certificates that vouch for receivers, in place of the machine's.
    pub ca_bundle: Option<PathBuf>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0} has no address: {1}")]
    NoAddress(String, io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no TLS: {0}")]
    Tls(io::Error),
    #[error("nobody answered within {} s", CONNECT_LIMIT.as_secs())]
    TimedOut,
    #[error("the file of webhooks.ca_bundle, {0}, cannot be used: {1}")]
    CaBundle(PathBuf, String),
}

impl ConnectError {
    /// One word for it, as attempts of deliveries show it.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::NoAddress(..) => "name_resolution",
            Self::Refused(_) => "address_refused",
            Self::Connect(_) => "connection",
            Self::Tls(_) | Self::CaBundle(..) => "tls",
            Self::TimedOut => "timeout",
        }
    }
}

/// A connection, plain or with TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes connections as its settings allow.
pub(crate) struct Outgoing {
    settings: OutgoingSettings,
    tls: OnceLock<TlsConnector>,
}

impl Outgoing {
    pub(crate) fn new(settings: OutgoingSettings) -> Self {
        Self { settings, tls: OnceLock::new() }
    }

    /// Refuses at once what is known to be refused without asking a name server.
    pub(crate) fn check(&self, url: &OutgoingUrl) -> Result<(), Refused> {
        check_host(&url.host, self.settings.allow_private)
    }

    pub(crate) async fn connect(&self, url: &OutgoingUrl) -> Result<Box<dyn Stream>, ConnectError> {
        let connected = tokio::time::timeout(CONNECT_LIMIT, self.connect_in_time(url)).await;
        connected.unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn connect_in_time(&self, url: &OutgoingUrl) -> Result<Box<dyn Stream>, ConnectError> {
        let stream = self.connect_checked(url).await?;
        if !url.scheme.has_tls() {
            return Ok(Box::new(stream));
        }
        let not_a_name = |_| ConnectError::Tls(io::Error::other("the host is not a name"));
        let name = ServerName::try_from(url.host.clone()).map_err(not_a_name)?;
        let stream = self.tls()?.connect(name, stream).await.map_err(ConnectError::Tls)?;
        Ok(Box::new(stream))
    }

    async fn connect_checked(&self, url: &OutgoingUrl) -> Result<TcpStream, ConnectError> {
        let no_address = |error| ConnectError::NoAddress(url.host.clone(), error);
        let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
        let mut failed = no_address(io::Error::other("no address was found"));
        for address in found.map_err(no_address)? {
            if let Err(refused) = check_address(address.ip(), self.settings.allow_private) {
                failed = refused.into();
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = ConnectError::Connect(error),
            }
        }
        Err(failed)
    }

    fn tls(&self) -> Result<&TlsConnector, ConnectError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let mut roots = RootCertStore::empty();
        match &self.settings.ca_bundle {
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Some(path) => {
                let bundle = read_bundle(path)
                    .map_err(|error| ConnectError::CaBundle(path.clone(), error))?;
                roots.add_parsable_certificates(bundle);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConnectError::Tls(io::Error::other(error)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config))))
    }
}

fn read_bundle(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let certificates = found.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it has no PEM certificate".to_owned());
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
