//! The socket of HTTP/3 and the connections that come to it.
//!
//! Two routers cannot read one socket: each would get packets for the other. The next router has
//! the socket from the hand-over on, but waits for its turn. Until then this one tells its clients
//! to send new requests elsewhere, answers those in flight, at most for [`Limits::shutdown`], and
//! refuses new connections, which clients then make over TCP.
//!
//! [`Limits::shutdown`]: crate::Limits::shutdown

use super::connection;
use crate::config::RouterError;
use crate::listen::Tls;
use crate::run::{CLOSING, Phase, Router};
use h3::error::Code;
use quinn::{
    Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use rustix::net::sockopt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// What a client may send on one stream, and on all of them together, before an app has read it.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What one connection may have under way to the client.
const SEND_WINDOW: u64 = 2 * 1024 * 1024;
/// Streams in one direction that a client may have open: its control stream, two of QPACK, and a
/// few that mean nothing.
const ONE_WAY_STREAMS: u32 = 16;
/// Connections that are begun at once before a client has to show that its address is its own, and
/// the most of them at all.
const CALM: usize = 128;
const MOST: usize = 4_096;
/// What of connections that nobody has looked at is kept in all, in bytes.
const UNSEEN: u64 = 8 * 1024 * 1024;
/// What the kernel may keep of packets, if it lets us.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;
/// How long until a port that is taken is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Whose turn it is to read the socket: that of the other end as long as this one is open.
pub(crate) struct Turn(UnixStream);

impl Turn {
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Waits until the router before this one reads no more.
    async fn begins(self) {
        let stream = self.0.set_nonblocking(true).map(|()| self.0);
        if let Ok(mut stream) = stream.and_then(tokio::net::UnixStream::from_std) {
            // Nothing is ever sent.
            let _ = stream.read(&mut [0]).await;
        }
    }
}

/// The socket, and whose turn it is to read it.
pub(crate) struct Door {
    socket: UdpSocket,
    /// The turn of the router before this one.
    before: Option<Turn>,
    /// Held as long as this one reads.
    reading: UnixStream,
    /// The other end, for the next router.
    next: Option<OwnedFd>,
}

impl Door {
    /// Binds `address`; while it is in use, tries again for `retry`.
    pub async fn bind(address: SocketAddr, retry: Duration) -> Result<Self, RouterError> {
        let give_up = Instant::now() + retry;
        let failed = |source| RouterError::ListenHttp3 { address, source };
        loop {
            match UdpSocket::bind(address) {
                Ok(socket) => return Self::new(socket, None).map_err(failed),
                Err(error)
                    if error.kind() != io::ErrorKind::AddrInUse || Instant::now() >= give_up =>
                {
                    return Err(failed(error));
                }
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Takes the socket of the router before this one, or another one where that is not `wanted`.
    pub async fn inherit(
        inherited: Option<(UdpSocket, Turn)>,
        wanted: SocketAddr,
        retry: Duration,
    ) -> Result<Self, RouterError> {
        let same = inherited
            .filter(|(socket, _)| socket.local_addr().is_ok_and(|address| address == wanted));
        let Some((socket, turn)) = same else { return Self::bind(wanted, retry).await };
        let failed = |source| RouterError::ListenHttp3 { address: wanted, source };
        Self::new(socket, Some(turn)).map_err(failed)
    }

    fn new(socket: UdpSocket, before: Option<Turn>) -> io::Result<Self> {
        // It works with less as well.
        let _ = sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
        let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER);
        let (reading, next) = UnixStream::pair()?;
        Ok(Self { socket, before, reading, next: Some(next.into()) })
    }

    /// Returns the socket once more and the turn, both for the next router.
    pub fn share(&mut self) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
        let socket = self.socket.as_fd().try_clone_to_owned()?;
        Ok(self.next.take().map(|next| (socket, next)))
    }

    /// Serves clients until the router ends, or has handed over and answered what is in flight.
    pub async fn serve(self, router: Arc<Router>) {
        let Self { socket, before, reading, .. } = self;
        if let Some(before) = before {
            let mut phase = router.phase.subscribe();
            tokio::select! {
                () = before.begins() => {}
                _ = phase.wait_for(|phase| matches!(phase, Phase::Draining | Phase::Closing)) => {}
            }
        }
        if *router.phase.borrow() == Phase::Serving {
            match open(socket, &router) {
                Ok(endpoint) => {
                    accept(&endpoint, &router).await;
                    end(&endpoint, &router).await;
                }
                Err(error) => tracing::error!(%error, "HTTP/3 is not served"),
            }
        }
        drop(reading);
    }
}

fn open(socket: UdpSocket, router: &Router) -> io::Result<Endpoint> {
    let config = server_config(&router.listening.tls, router)?;
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)
}

fn server_config(tls: &Tls, router: &Router) -> io::Result<ServerConfig> {
    let limits = &router.limits;
    let idle = limits.client_idle.try_into().map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits.streams_per_connection.into())
        .max_concurrent_uni_streams(ONE_WAY_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .max_idle_timeout(Some(idle))
        .datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(Arc::new(tls.quic_config()?));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(MOST)
        .incoming_buffer_size_total(UNSEEN);
    Ok(config)
}

/// What becomes of a connection that a client begins.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Accept,
    /// The client is to come again and show that it gets what is sent to its address.
    Retry,
    Refuse,
}

fn admit(is_validated: bool, may_open: bool, beginning: usize) -> Admission {
    if !may_open || beginning >= MOST {
        Admission::Refuse
    } else if !is_validated && beginning >= CALM {
        Admission::Retry
    } else {
        Admission::Accept
    }
}

/// Accepts connections until the router stops serving.
async fn accept(endpoint: &Endpoint, router: &Arc<Router>) {
    let mut phase = router.phase.subscribe();
    let beginning = Arc::new(AtomicUsize::new(0));
    loop {
        let incoming = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let permit = Arc::clone(&router.connections).try_acquire_owned();
        let begun = beginning.load(Ordering::Relaxed);
        match (admit(incoming.remote_address_validated(), permit.is_ok(), begun), permit) {
            (Admission::Accept, Ok(permit)) => {
                begin(incoming, permit, Beginning::one_more(&beginning), router);
            }
            // Who has shown it cannot be asked again, and was accepted.
            (Admission::Retry, _) => drop(incoming.retry()),
            _ => incoming.refuse(),
        }
    }
}

fn begin(
    incoming: Incoming,
    permit: OwnedSemaphorePermit,
    beginning: Beginning,
    router: &Arc<Router>,
) {
    let serving = Arc::clone(router);
    // Accepted there, it is served on that thread.
    router.workers.spawn(async move {
        let Some(connection) = connection::begin(incoming, &serving).await else { return };
        drop(beginning);
        connection::serve(connection, permit, serving).await;
    });
}

/// Counts a connection until its handshake is over.
struct Beginning(Arc<AtomicUsize>);

impl Beginning {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until no connection is left, which have their own reasons to end by now, and takes no
/// other one.
async fn end(endpoint: &Endpoint, router: &Router) {
    let mut phase = router.phase.subscribe();
    let refuse = async {
        while let Some(incoming) = endpoint.accept().await {
            incoming.refuse();
        }
    };
    tokio::select! {
        () = refuse => {}
        () = endpoint.wait_idle() => {}
        () = tokio::time::sleep(router.limits.shutdown) => {
            tracing::warn!("requests over HTTP/3 are still in flight: cutting them off");
        }
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
    }
    endpoint.close(VarInt::from_u64(Code::H3_NO_ERROR.value()).unwrap_or_default(), b"");
    let _ = tokio::time::timeout(CLOSING, endpoint.wait_idle()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_to_show_its_address_and_is_refused_at_last() {
        assert_eq!(admit(false, true, 0), Admission::Accept);
        assert_eq!(admit(false, true, CALM), Admission::Retry);
        assert_eq!(admit(true, true, CALM), Admission::Accept);
        assert_eq!(admit(true, true, MOST), Admission::Refuse);
        assert_eq!(admit(true, false, 0), Admission::Refuse, "there are too many connections");
    }

    #[tokio::test]
    async fn the_next_one_waits_for_its_turn() {
        let mut first = Door::bind("127.0.0.1:0".parse().unwrap(), Duration::ZERO).await.unwrap();
        let address = first.socket.local_addr().unwrap();
        let (socket, turn) = first.share().unwrap().unwrap();
        let passed = Some((socket.into(), Turn::from_fd(turn)));
        let mut next = Door::inherit(passed, address, Duration::ZERO).await.unwrap();
        assert_eq!(next.socket.local_addr().unwrap(), address);
        let mut waiting = Box::pin(next.before.take().unwrap().begins());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first.reading);
        waiting.await;
    }
}
