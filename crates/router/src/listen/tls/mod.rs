//! TLS with clients: the handshake, by the certificates that the control plane has sent.

mod certificates;
mod file;
mod tickets;

pub(crate) use tickets::TicketKeys;

use crate::table::TableStore;
use certificates::{CertificateTable, InvalidCertificate, unchecked_key};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, version};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tickets::Tickets;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use windlass_core::challenges::ALPN_PROTOCOL;
use windlass_core::route::RouteCertificate;

/// The alert `unrecognized_name`, fatal, as a record before any encryption.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// For clients that do not speak TLS at all.
const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nThis port takes HTTPS only: ask again with https:// in front.\n";

/// What clients and this router may speak after the handshake, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is spoken over QUIC.
const OVER_QUIC: [&[u8]; 1] = [b"h3"];

/// A client's stream after its handshake, and the name that it asked for.
type Accepted = (TlsStream<TcpStream>, Option<Box<str>>);

/// The certificates in force and what handshakes need beside them.
pub(crate) struct Tls {
    certificates: Arc<Certificates>,
    tickets: Arc<Tickets>,
    config: Arc<ServerConfig>,
    /// The generation that is made next.
    next: Mutex<u64>,
    path: PathBuf,
    /// The generation on disk; held while the file is written.
    saved: tokio::sync::Mutex<u64>,
}

/// The table in force.
#[derive(Debug)]
struct Certificates(RwLock<Arc<CertificateTable>>);

impl Certificates {
    fn current(&self) -> Arc<CertificateTable> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current().find(hello.server_name()).cloned()
    }
}

impl Tls {
    /// Opens the certificates last saved in `path`, or none. Tickets of the router before this one
    /// are taken if its `keys` are given.
    pub fn open(path: PathBuf, keys: TicketKeys) -> io::Result<Self> {
        let certificates = Arc::new(Certificates(RwLock::new(Arc::new(file::load(&path)))));
        let tickets = Arc::new(Tickets::new(keys)?);
        let config = server_config(Arc::clone(&certificates) as _, &PROTOCOLS, &tickets)?;
        Ok(Self {
            certificates,
            tickets,
            config: Arc::new(config),
            next: Mutex::new(1),
            path,
            saved: tokio::sync::Mutex::new(0),
        })
    }

    /// Puts these certificates in force instead of those before, for every handshake from now on,
    /// and returns the generation to save. If one cannot be used nothing changes.
    pub fn apply(&self, certificates: Vec<RouteCertificate>) -> Result<u64, InvalidCertificate> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = *next;
        let table = CertificateTable::new(certificates, &self.certificates.current(), generation)?;
        *self.certificates.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        *next += 1;
        Ok(generation)
    }

    /// Returns once `generation` or a later one is on disk.
    pub async fn save(&self, generation: u64) -> io::Result<()> {
        let mut saved = self.saved.lock().await;
        let table = self.certificates.current();
        if *saved >= generation {
            return Ok(());
        }
        let (path, generation) = (self.path.clone(), table.generation());
        let write = move || file::save(&path, table.sent());
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
        *saved = generation;
        Ok(())
    }

    /// Returns once what is in force is on disk.
    pub async fn save_now(&self) -> io::Result<()> {
        self.save(self.certificates.current().generation()).await
    }

    /// Returns the keys with which the next router opens the tickets of this one.
    pub fn ticket_keys(&self) -> TicketKeys {
        self.tickets.keys()
    }

    /// Returns the same for QUIC: these certificates at every moment, and no data before the
    /// handshake has ended, which somebody could send twice.
    pub fn quic_config(&self) -> io::Result<QuicServerConfig> {
        let resolver = Arc::clone(&self.certificates) as _;
        let config = server_config(resolver, &OVER_QUIC, &self.tickets)?;
        QuicServerConfig::try_from(config).map_err(io::Error::other)
    }

    /// Shakes hands. Returns `None` when the client was a certificate authority, which has seen
    /// the certificate that it asked for.
    pub async fn accept(
        &self,
        stream: TcpStream,
        challenges: &TableStore,
    ) -> io::Result<Option<Accepted>> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            return answer_plainly(stream).await;
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let is_challenge = hello.alpn().is_some_and(|mut offered| {
            offered.next() == Some(ALPN_PROTOCOL) && offered.next().is_none()
        });
        if is_challenge {
            let certificate = name.as_deref().and_then(|name| challenges.alpn_certificate(name));
            let Some(certificate) = certificate else {
                return refuse(start.io, name.as_deref(), "no challenge is open").await;
            };
            let key = unchecked_key(&certificate.certificate_pem, &certificate.key_pem);
            let key = Arc::new(SingleCertAndKey::from(key.map_err(io::Error::other)?));
            let config = server_config(key, &[ALPN_PROTOCOL], &self.tickets)?;
            let mut stream = start.into_stream(Arc::new(config)).await?;
            let _ = stream.shutdown().await;
            return Ok(None);
        }
        if self.certificates.current().find(name.as_deref()).is_none() {
            return refuse(start.io, name.as_deref(), "there is no certificate").await;
        }
        let stream = start.into_stream(Arc::clone(&self.config)).await?;
        Ok(Some((stream, name.map(String::into_boxed_str))))
    }
}

async fn answer_plainly<T>(mut stream: TcpStream) -> io::Result<T> {
    stream.write_all(PLAIN_ANSWER).await?;
    stream.shutdown().await?;
    // What is not read when the socket is closed would take the answer with it.
    let _ = stream.read(&mut [0; 4_096]).await;
    Err(io::Error::other("it speaks plain HTTP"))
}

/// Tells the client that nobody has this name.
async fn refuse<T>(mut stream: TcpStream, name: Option<&str>, why: &str) -> io::Result<T> {
    let _ = stream.write_all(&UNRECOGNIZED_NAME).await;
    let _ = stream.shutdown().await;
    Err(io::Error::other(format!("{why} for {}", name.unwrap_or("clients that name no host"))))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    protocols: &[&[u8]],
    tickets: &Arc<Tickets>,
) -> io::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Arc::clone(tickets) as _;
    // Tickets do it without a table that all handshakes share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
