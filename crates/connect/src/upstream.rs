//! The server behind the forwarder.

use http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For each of the two steps: to the machine, and of TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// A connection, plain or over TLS.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Where to forward to.
#[derive(Clone)]
pub struct Upstream {
    url: String,
    /// Host and port as they stand in the URL, for the `Host` header.
    authority: String,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidUpstream {
    #[error("{0} is no URL of a server")]
    Url(String),
    #[error("{0} has a path: a forwarder can stand for whole servers only")]
    Path(String),
}

impl Upstream {
    /// Reads a server's URL. `tls` is asked for when it is an https one: whom to trust.
    ///
    /// # Errors
    /// The URL is none of a server, or what `tls` returned.
    pub fn new<E: From<InvalidUpstream>>(
        url: &str,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, E>,
    ) -> Result<Self, E> {
        let invalid = || E::from(InvalidUpstream::Url(url.to_owned()));
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        if !uri.path().trim_matches('/').is_empty() || uri.query().is_some() {
            return Err(InvalidUpstream::Path(url.to_owned()).into());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (tls, default_port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| invalid())?;
                let mut config = ClientConfig::clone(&*tls()?);
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                (Some((TlsConnector::from(Arc::new(config)), name)), 443)
            }
            _ => return Err(invalid()),
        };
        let port = authority.port_u16().unwrap_or(default_port);
        let authority = authority.as_str();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest).to_owned();
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, authority, host, port, tls })
    }

    /// The server's URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Connects, within a time limit.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = limited(connecting).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => {
                let stream = limited(connector.connect(name.clone(), stream)).await?;
                Ok(Box::new(stream))
            }
        }
    }
}

async fn limited<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(CONNECT_LIMIT, step).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(url: &str) -> Result<Upstream, InvalidUpstream> {
        Upstream::new(url, || panic!("{url} needs no TLS"))
    }

    #[test]
    fn urls_of_servers_are_read() {
        let read = upstream("http://paas.example.com:8081/").unwrap();
        assert_eq!(read.url(), "http://paas.example.com:8081");
        assert_eq!((read.authority(), read.port), ("paas.example.com:8081", 8081));
        assert_eq!(upstream("http://[::1]").unwrap().host, "::1");
        for bad in ["localhost", "ftp://x", "http://x/path", "http://x/?q", ""] {
            assert!(upstream(bad).is_err(), "{bad}");
        }
    }
}
