//! Accepts client connections and speaks HTTP/1 on them.

use crate::config::RouterError;
use crate::proxy;
use crate::run::{Phase, Router};
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 4_096;
/// The pause after `accept` failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the requests of one client connection share.
pub(crate) struct Client {
    /// The client's address, for X-Forwarded-For.
    pub address: HeaderValue,
    /// `http` or `https`
    pub scheme: &'static str,
    /// The port that the client connected to.
    pub port: HeaderValue,
    /// The client has stopped reading for too long.
    pub stalled: Arc<AtomicBool>,
    _permit: OwnedSemaphorePermit,
}

/// Listens on `address`; while it is in use, tries again for `retry`. A port that an earlier
/// router left in TIME_WAIT is free at once.
pub(crate) async fn bind(address: SocketAddr, retry: Duration) -> Result<TcpListener, RouterError> {
    let give_up = Instant::now() + retry;
    loop {
        match try_bind(address) {
            Ok(listener) => return Ok(listener),
            Err(source)
                if source.kind() != io::ErrorKind::AddrInUse || Instant::now() >= give_up =>
            {
                return Err(RouterError::Listen { address, source });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the router stops serving.
pub(crate) async fn accept(listener: TcpListener, router: Arc<Router>) {
    let mut phase = router.phase.subscribe();
    let port = HeaderValue::from(router.http.port());
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(router.limits.client_idle)
        .max_header_size(router.limits.request_head)
        .max_buf_size(router.limits.request_head);
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
        let stalled = Arc::new(AtomicBool::new(false));
        let client = Client {
            address: address_header(peer.ip()),
            scheme: "http",
            port: port.clone(),
            stalled: Arc::clone(&stalled),
            _permit: permit,
        };
        let io =
            ClientIo { io: TokioIo::new(stream), stall: None, limit: router.limits.idle, stalled };
        tokio::spawn(serve(io, client, Arc::clone(&router), builder.clone()));
    }
}

fn address_header(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_canonical().to_string())
        .unwrap_or(HeaderValue::from_static("unknown"))
}

/// Serves one connection, of whatever transport, to its end.
async fn serve<I>(io: I, client: Client, router: Arc<Router>, builder: http1::Builder)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let mut phase = router.phase.subscribe();
    let client = Arc::new(client);
    let service = service_fn(move |request| {
        let (router, client) = (Arc::clone(&router), Arc::clone(&client));
        async move {
            let mut answer = proxy::handle(Arc::clone(&router), client, request).await?;
            // The client's next connection is the next router's. One without a request stays: it
            // could be sending one just now.
            if *router.phase.borrow() == Phase::HandedOver
                && answer.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, proxy::BrokenOff>(answer)
        }
    });
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    loop {
        let changed = tokio::select! {
            biased;
            // Errors are the client's doing, and known to the exchange that they end.
            _ = connection.as_mut() => return,
            changed = phase.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        match *phase.borrow_and_update() {
            Phase::Serving | Phase::HandedOver => {}
            Phase::Draining => connection.as_mut().graceful_shutdown(),
            Phase::Closing => return,
        }
    }
}

/// A client's socket whose writes fail once the client has not read for `limit`.
struct ClientIo<I> {
    io: I,
    stall: Option<Pin<Box<Sleep>>>,
    limit: Duration,
    stalled: Arc<AtomicBool>,
}

impl<I> ClientIo<I> {
    /// Watches the time while a write makes no progress.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.limit;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if stall.as_mut().poll(cx).is_ready() {
            self.stalled.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<I: Read + Unpin> Read for ClientIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: Write + Unpin> Write for ClientIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
