//! TLS on the API's own port: which certificate is shown.

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use windlass_control::Platform;
use windlass_control::certificates::OwnCertificate;
use windlass_core::certificate::covers;

/// How long a client may take for the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);
/// A certificate that was replaced is shown for so long.
const KEPT: Duration = Duration::from_secs(10);
/// The first byte of a handshake.
const HANDSHAKE: u8 = 0x16;

/// For clients that do not speak TLS where nothing else is spoken.
const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nThis port takes HTTPS only: ask again with https:// in front.\n";

/// What handshakes need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

impl Tls {
    pub(crate) fn new(platform: Platform) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificates =
            Certificates { platform, provider: Arc::clone(&provider), known: Mutex::default() };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        match tokio::time::timeout(HANDSHAKE_LIMIT, self.0.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Whether a client begins with a handshake. Waits for its first byte.
pub(crate) async fn is_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == HANDSHAKE),
    }
}

/// Tells a client that this port speaks TLS only.
pub(crate) async fn answer_plainly(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_ANSWER).await?;
    stream.shutdown().await?;
    // What is not read when the socket is closed would take the answer with it.
    let _ = tokio::time::timeout(
        HANDSHAKE_LIMIT,
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4_096]),
    )
    .await;
    Ok(())
}

/// A certificate with the names that it is for.
struct Shown {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// The certificates that were looked up last, and when.
type Known = Option<(Instant, Arc<Vec<Shown>>)>;

struct Certificates {
    platform: Platform,
    provider: Arc<CryptoProvider>,
    known: Mutex<Known>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    fn current(&self) -> Arc<Vec<Shown>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, shown)) = &*known
            && since.elapsed() < KEPT
        {
            return Arc::clone(shown);
        }
        let found = self.platform.own_certificates().unwrap_or_else(|error| {
            tracing::error!(%error, "the API's certificates could not be read");
            Vec::new()
        });
        let usable = found.into_iter().filter_map(|certificate| {
            let key = certified(&self.provider, &certificate);
            let key = key.inspect_err(|error| {
                tracing::error!(%error, names = ?certificate.names, "a certificate of the API cannot be used");
            });
            Some(Shown { names: certificate.names, key: Arc::new(key.ok()?) })
        });
        let shown = Arc::new(usable.collect());
        *known = Some((Instant::now(), Arc::clone(&shown)));
        shown
    }
}

fn certified(
    provider: &CryptoProvider,
    certificate: &OwnCertificate,
) -> Result<CertifiedKey, rustls::Error> {
    let unreadable =
        |error: rustls::pki_types::pem::Error| rustls::Error::General(error.to_string());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).map_err(unreadable)?;
    CertifiedKey::from_der(chain.map_err(unreadable)?, key, provider)
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.current();
        Some(Arc::clone(&pick(&shown, hello.server_name())?.key))
    }
}

/// Returns the first certificate for a name; clients that ask for none, or for one that nobody
/// has, are shown the first of all. Rendezvous clients name no host.
fn pick<'a>(shown: &'a [Shown], name: Option<&str>) -> Option<&'a Shown> {
    let name = name.map(str::to_ascii_lowercase);
    let is_for = |shown: &&Shown| {
        name.as_deref().is_some_and(|name| shown.names.iter().any(|own| covers(own, name)))
    };
    shown.iter().find(is_for).or(shown.first())
}
