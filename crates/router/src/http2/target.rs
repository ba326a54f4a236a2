//! Connections to targets that speak HTTP/2 without TLS (h2c). Requests share them.

use crate::config::Limits;
use crate::proxy::body::RequestBody;
use crate::target::pool::{ConnectError, open};
use http::header::{self, HeaderName};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a target may send on one stream, and on all together, before the clients have read it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Streams that the router has open on one connection before it opens another.
const STREAMS: usize = 100;
/// Connections to one target, if it lets each have enough streams.
const CONNECTIONS: usize = 16;
/// The longest head of an answer, in bytes, as for HTTP/1.1.
const ANSWER_HEAD: u32 = 256 * 1024;
/// A target that is silent for longer with streams open is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// How many streams are said to be allowed before the target's settings have come.
const UNKNOWN: usize = STREAMS + 1;
/// How long these may take, and how often they are looked at meanwhile.
const SETTINGS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);

/// The connections to one target.
#[derive(Default)]
pub(crate) struct SharedConnections {
    open: Mutex<Open>,
    /// Held while one is being opened: many requests that come at once share it.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Open {
    closed: bool,
    connections: Vec<Shared>,
}

#[derive(Clone)]
struct Shared {
    sender: SendRequest<RequestBody>,
    usage: Arc<Usage>,
}

struct Usage {
    /// Streams that are open or about to be.
    streams: AtomicUsize,
    /// How many the target lets be open.
    most: AtomicUsize,
    /// The target's settings allow them.
    takes_websockets: AtomicBool,
    opened: Instant,
    /// When the last stream ended, in milliseconds after `opened`.
    last: AtomicU64,
}

impl Usage {
    fn new() -> Self {
        let (streams, most) = (AtomicUsize::new(0), AtomicUsize::new(UNKNOWN));
        let (takes_websockets, last) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { streams, most, takes_websockets, opened: Instant::now(), last }
    }

    /// Whether the target's settings have not come, and may still come.
    fn awaits_settings(&self) -> bool {
        self.most.load(Ordering::Acquire) == UNKNOWN && self.opened.elapsed() < SETTINGS
    }

    fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// How long it has not been used, if it is not now.
    fn unused(&self) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        (self.streams() == 0).then(|| self.opened.elapsed().saturating_sub(last))
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        self.usage.streams() < self.usage.most.load(Ordering::Relaxed).min(STREAMS)
    }
}

/// A place on a connection for one stream, until it is dropped.
pub(crate) struct Lease {
    shared: Shared,
    /// Whether the connection was there before.
    pub reused: bool,
}

impl Lease {
    fn new(shared: &Shared, reused: bool) -> Self {
        shared.usage.streams.fetch_add(1, Ordering::Relaxed);
        Self { shared: shared.clone(), reused }
    }

    pub fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.shared.sender
    }

    /// Returns whether the target takes WebSockets, once its settings are known.
    pub async fn takes_websockets(&self) -> bool {
        let Shared { sender, usage } = &self.shared;
        while usage.awaits_settings() && !sender.is_closed() {
            tokio::time::sleep(LOOK).await;
        }
        usage.takes_websockets.load(Ordering::Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let usage = &self.shared.usage;
        let now = u64::try_from(usage.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        usage.last.store(now, Ordering::Relaxed);
        usage.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharedConnections {
    /// Returns a place on a connection that has room, or on a new one; on one opened after `after`
    /// if that is given.
    pub async fn lease(
        &self,
        address: SocketAddr,
        limits: &Limits,
        after: Option<Instant>,
    ) -> Result<Lease, ConnectError> {
        if let Some(lease) = self.find(after) {
            return Ok(lease);
        }
        let _turn = self.opening.lock().await;
        if let Some(lease) = self.find(after) {
            return Ok(lease);
        }
        let shared = connect(address, limits).await?;
        let lease = Lease::new(&shared, false);
        let mut open = self.lock();
        if !open.closed {
            open.connections.push(shared);
        }
        Ok(lease)
    }

    fn find(&self, after: Option<Instant>) -> Option<Lease> {
        let mut open = self.lock();
        open.connections.retain(|shared| !shared.sender.is_closed());
        let new_enough = |shared: &&Shared| after.is_none_or(|after| shared.usage.opened > after);
        let candidates = open.connections.iter().filter(new_enough);
        let least = candidates.min_by_key(|shared| shared.usage.streams())?;
        // With the most connections open, more streams wait for their turn on them.
        let full = open.connections.len() >= CONNECTIONS;
        (least.has_room() || full).then(|| Lease::new(least, true))
    }

    /// Drops the connections that have ended, and those that were not used for longer than `limit`.
    pub fn sweep(&self, limit: Duration) {
        self.lock().connections.retain(|shared| {
            let used = shared.usage.unused().is_none_or(|unused| unused <= limit);
            used && !shared.sender.is_closed()
        });
    }

    /// Takes no more streams; those that are open go on.
    pub fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        open.connections = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(address: SocketAddr, limits: &Limits) -> Result<Shared, ConnectError> {
    let stream = open(address, limits.connect).await?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(ANSWER_HEAD)
        .initial_max_send_streams(UNKNOWN)
        .keep_alive_interval(ASK_AFTER)
        .keep_alive_while_idle(false);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) =
        handshake.map_err(|error| ConnectError::Refused(io::Error::other(error)))?;
    let usage = Arc::new(Usage::new());
    let shared = Shared { sender, usage: Arc::clone(&usage) };
    let mut connection = Box::pin(connection);
    let mut looks = tokio::time::interval(LOOK);
    // Errors reach the requests through `sender`; there is nobody else to tell.
    tokio::spawn(poll_fn(move |cx| {
        let ended = connection.as_mut().poll(cx).map(drop);
        let takes_websockets = connection.is_extended_connect_protocol_enabled();
        usage.takes_websockets.store(takes_websockets, Ordering::Relaxed);
        usage.most.store(connection.current_max_send_streams(), Ordering::Release);
        // Another task of hyper's reads the settings, and tells nobody.
        while usage.awaits_settings() && looks.poll_tick(cx).is_ready() {}
        ended
    }));
    Ok(shared)
}

/// Makes a request of HTTP/1.1 one of h2c.
pub(crate) fn to_h2c<B>(request: &mut Request<B>) {
    let path = request.uri().path_and_query().cloned();
    let host = request.headers_mut().remove(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = path;
    if authority.is_some() {
        (uri.scheme, uri.authority) = (Some(Scheme::HTTP), authority);
    }
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("http2-settings"),
    ] {
        headers.remove(name);
    }
    // The router passes trailers on; servers of gRPC want to be told.
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_its_host_as_authority() {
        let mut request = Request::builder()
            .method("POST")
            .uri("/a?b")
            .header("host", "a.example:81")
            .header("transfer-encoding", "chunked")
            .header("connection", "upgrade")
            .header("upgrade", "x")
            .header("x", "y")
            .body(())
            .unwrap();
        to_h2c(&mut request);
        assert_eq!(request.uri(), "http://a.example:81/a?b");
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x", "te"]);
        let mut request =
            Request::builder().method("OPTIONS").uri("*").header("host", "a.b").body(()).unwrap();
        to_h2c(&mut request);
        assert_eq!(request.uri().authority().unwrap(), "a.b");
    }
}
