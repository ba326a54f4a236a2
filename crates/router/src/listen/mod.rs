//! Accepts client connections: plain ones and, after the handshake, those over TLS.

mod bind;
mod client_io;
mod forwarded;
#[cfg(test)]
mod fuzz;
mod proxy_protocol;
mod ssh;
mod tls;

pub(crate) use bind::bind;
pub(crate) use client_io::ClientIo;
pub(crate) use forwarded::TrustedProxies;
pub(crate) use ssh::SshPassage;
pub(crate) use tls::{TicketKeys, Tls};

use crate::run::{Phase, Router};
use crate::{http1, http2};
use forwarded::address_header;
use http::HeaderValue;
use proxy_protocol::Ends;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use windlass_core::route::ListenOptions;

/// The pause after `accept` failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at what a client has begun to send; doubled up to the longest.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A connection to a client, of whatever transport.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl ClientStream for TcpStream {}
impl ClientStream for TlsStream<TcpStream> {}

/// How a router listens, beside its addresses.
pub(crate) struct Listening {
    /// Where it listens for TLS, if it does.
    pub https: Option<SocketAddr>,
    /// The port of https in URLs, if there is one.
    pub https_public_port: Option<u16>,
    pub trusted_proxies: TrustedProxies,
    /// Whether trusted proxies begin each connection with a PROXY header.
    pub proxy_protocol: bool,
    /// What the router was started with.
    pub options: ListenOptions,
    /// What answers over TLS say of HTTP/3, if it is served.
    pub alt_svc: Option<HeaderValue>,
    pub tls: Tls,
    /// The way of SSH connections to the server, if they are passed on.
    pub ssh: Option<SshPassage>,
}

/// What the requests of one client connection share.
pub(crate) struct Client {
    /// The client's address, for X-Forwarded-For.
    pub address: HeaderValue,
    /// The same as a number.
    pub ip: IpAddr,
    /// `http` or `https`
    pub scheme: &'static str,
    /// The port that the client connected to.
    pub port: HeaderValue,
    /// Whether the client is a proxy whose X-Forwarded headers are believed.
    pub is_trusted: bool,
    /// The name that the client asked for in the TLS handshake, in lower case.
    pub server_name: Option<Box<str>>,
    /// What answers say of HTTP/3, if it is served to this client.
    pub alt_svc: Option<HeaderValue>,
    /// The client has stopped reading for too long.
    pub stalled: Arc<AtomicBool>,
    /// None where the connection has it.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Client {
    fn new(
        peer: IpAddr,
        scheme: &'static str,
        port: u16,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            address: address_header(peer),
            ip: peer.to_canonical(),
            scheme,
            port: HeaderValue::from(port),
            is_trusted: false,
            server_name: None,
            alt_svc: None,
            stalled: Arc::default(),
            _permit: permit,
        }
    }

    /// Returns the client of a connection of HTTP/3, which has the permit itself: its client is
    /// another one when its address changes.
    pub fn of_http3(peer: IpAddr, server_name: Option<Box<str>>, listening: &Listening) -> Self {
        let port = listening.https.map_or(443, |https| https.port());
        let mut client = Self::new(peer, "https", port, None);
        client.is_trusted = listening.trusted_proxies.contains(peer);
        client.server_name = server_name;
        client.alt_svc.clone_from(&listening.alt_svc);
        client
    }

    /// Returns a client that is none, for tests of what depends on one.
    #[cfg(test)]
    pub fn for_tests(peer: &str, scheme: &'static str, port: u16) -> Self {
        let permits = Arc::new(tokio::sync::Semaphore::new(1));
        let permit = permits.try_acquire_owned().unwrap();
        Self::new(peer.parse::<SocketAddr>().unwrap().ip(), scheme, port, Some(permit))
    }
}

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Plain,
    Tls,
}

/// Accepts connections until the router stops serving.
pub(crate) async fn accept(listener: TcpListener, door: Door, router: Arc<Router>) {
    let mut phase = router.phase.subscribe();
    loop {
        let next = async {
            let permit = Arc::clone(&router.connections).acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (stream, peer, permit))
        };
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = next => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        // From one thread's events to another's.
        let Ok(stream) = stream.into_std() else { continue };
        let serving = Arc::clone(&router);
        router.workers.spawn(async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                Connection { stream, peer, door, permit }.serve(serving).await;
            }
        });
    }
}

/// A connection of which nothing was read yet.
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(mut self, router: Arc<Router>) {
        let listening = &router.listening;
        let is_proxy = listening.trusted_proxies.contains(self.peer.ip());
        let mut ends = None;
        if is_proxy && listening.proxy_protocol {
            let peer = self.peer;
            let header = proxy_protocol::read(&mut self.stream);
            match in_time(&router, router.limits.handshake, header).await {
                Ok(said) => ends = said,
                Err(error) => {
                    tracing::warn!(%peer, %error, "a trusted proxy did not say who its client is");
                    return;
                }
            }
        }
        let (stream, door, client) = self.into_client(ends, &router);
        match door {
            Door::Plain => serve_plain(stream, client, router).await,
            Door::Tls => Box::pin(serve_tls(stream, client, router)).await,
        }
    }

    fn into_client(self, ends: Option<Ends>, router: &Router) -> (TcpStream, Door, Client) {
        let (scheme, own_port) = match self.door {
            Door::Plain => ("http", router.http.port()),
            Door::Tls => ("https", router.listening.https.map_or(443, |https| https.port())),
        };
        let peer = ends.map_or(self.peer, |ends| ends.client).ip();
        let port = ends.map_or(own_port, |ends| ends.server.port());
        let mut client = Client::new(peer, scheme, port, Some(self.permit));
        client.is_trusted = router.listening.trusted_proxies.contains(peer);
        if self.door == Door::Tls {
            client.alt_svc.clone_from(&router.listening.alt_svc);
        }
        (self.stream, self.door, client)
    }
}

async fn serve_plain(stream: TcpStream, client: Client, router: Arc<Router>) {
    let h2c = !router.listening.options.without_h2c;
    let ssh = router.listening.ssh.is_some();
    if !h2c && !ssh {
        return http1::serve(stream, client, router).await;
    }
    let mut start = [0; http2::PREFACE.len()];
    // A browser may connect long before it has something to ask for.
    let opening = peek(&stream, &mut start, |start| opening(start, h2c, ssh));
    match in_time(&router, router.limits.client_idle, opening).await {
        Ok(Opening::Http1) => http1::serve(stream, client, router).await,
        Ok(Opening::Http2) => Box::pin(http2::serve(stream, client, router)).await,
        Ok(Opening::Ssh) => Box::pin(ssh::serve(stream, client, router)).await,
        // The client has gone without a word.
        Err(_) => {}
    }
}

/// What a client on the plain port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Http1,
    Http2,
    Ssh,
}

/// Decides by its first bytes, among what is served; `None` when there are too few to say.
fn opening(start: &[u8], h2c: bool, ssh: bool) -> Option<Opening> {
    if h2c && http2::is_preface(start)? {
        return Some(Opening::Http2);
    }
    if ssh && ssh::is_greeting(start)? {
        return Some(Opening::Ssh);
    }
    Some(Opening::Http1)
}

async fn serve_tls(stream: TcpStream, mut client: Client, router: Arc<Router>) {
    let tls = &router.listening.tls;
    let accepted = tls.accept(stream, &router.table);
    match in_time(&router, router.limits.handshake, accepted).await {
        Ok(Some((stream, server_name))) => {
            client.server_name = server_name;
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Box::pin(http2::serve(stream, client, router)).await,
                _ => http1::serve(stream, client, router).await,
            }
        }
        // A certificate authority has seen what it came for.
        Ok(None) => {}
        Err(error) => {
            let address = client.address.to_str().unwrap_or_default();
            tracing::debug!(address, %error, "no TLS with this client");
        }
    }
}

/// Gives what comes before the first request the time that it may take, which ends with the router.
pub(crate) async fn in_time<T>(
    router: &Router,
    limit: Duration,
    beginning: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut phase = router.phase.subscribe();
    tokio::select! {
        outcome = tokio::time::timeout(limit, beginning) => {
            outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        _ = phase.wait_for(|phase| matches!(phase, Phase::Draining | Phase::Closing)) => {
            Err(io::Error::other("the router is ending"))
        }
    }
}

/// Looks at what the client has sent, without taking it, until `decide` knows what it is. Returns
/// an error when the client has closed, or sent more than the buffer holds.
async fn peek<T>(
    stream: &TcpStream,
    buffer: &mut [u8],
    decide: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<T> {
    let mut pause = LOOK_AGAIN;
    loop {
        let length = stream.peek(buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(decision) = decide(&buffer[..length]) {
            return Ok(decision);
        }
        if length == buffer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The socket is readable all the time: there is nothing else to wait for.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
