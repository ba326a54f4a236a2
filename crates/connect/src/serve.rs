//! Takes connections on the loopback and finds out what each is.

use crate::authority::{LocalAuthority, LocalAuthorityError};
use crate::forward::{Door, serve_requests};
use crate::rendezvous;
use crate::upstream::Upstream;
use rustls::ServerConfig;
use std::io::{self, Cursor};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, join, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use windlass_wire::rendezvous::{Opening, opening};

/// How long a client may take for the handshake, and for its first bytes.
const OPENING_LIMIT: Duration = Duration::from_secs(30);

/// A forwarder that is bound. Dropping it ends it with every connection that it has.
pub struct Forwarder {
    port: u16,
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl Forwarder {
    /// Listens on `port` of the loopback (0: any that is free) and starts to forward.
    ///
    /// # Errors
    /// The port is taken, or the authority cannot be used.
    pub fn start(
        port: u16,
        authority: &LocalAuthority,
        upstream: Upstream,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let config = authority.server_config()?;
        let bind = async {
            let first = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            let port = first.local_addr()?.port();
            // Where there is IPv6, clients may try it first; they go on to IPv4 without it.
            let second = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await;
            Ok::<_, io::Error>((port, first, second.ok()))
        };
        let bound = runtime.block_on(bind).map_err(|source| StartError::Listen { port, source })?;
        let (port, first, second) = bound;
        let door = Arc::new(Door { upstream, port });
        for listener in [Some(first), second].into_iter().flatten() {
            runtime.spawn(accept(listener, Arc::clone(&config), Arc::clone(&door)));
        }
        Ok(Self { port, runtime: Some(runtime) })
    }

    /// The port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // Connections end with their tasks, and nobody waits for them.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why no forwarder was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Authority(#[from] LocalAuthorityError),
    #[error("port {port} of this machine cannot be used: {source}")]
    Listen { port: u16, source: io::Error },
    #[error("no threads: {0}")]
    Runtime(io::Error),
}

impl StartError {
    /// Whether something else has the port.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

async fn accept(listener: TcpListener, config: Arc<ServerConfig>, door: Arc<Door>) {
    let acceptor = TlsAcceptor::from(config);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&door)));
            }
            // Out of file descriptors, for example: others must close first.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// What goes wrong here the client sees as a connection that ends, and says so itself.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, door: Arc<Door>) {
    let opened = tokio::time::timeout(OPENING_LIMIT, open(stream, acceptor)).await;
    let Ok(Ok((stream, first, found))) = opened else { return };
    match found {
        Opening::Rendezvous(secret) => rendezvous::forward(stream, &secret, &door.upstream).await,
        Opening::Http | Opening::More => {
            let (reader, writer) = split(stream);
            serve_requests(join(Cursor::new(first).chain(reader), writer), door).await;
        }
    }
}

/// Shakes hands and reads until it is clear what the client wants.
async fn open(
    stream: TcpStream,
    acceptor: TlsAcceptor,
) -> io::Result<(TlsStream<TcpStream>, Vec<u8>, Opening)> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut first = Vec::with_capacity(64);
    loop {
        if stream.read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match opening(&first) {
            Opening::More => {}
            found => return Ok((stream, first, found)),
        }
    }
}
