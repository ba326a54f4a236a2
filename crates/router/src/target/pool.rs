//! Unused connections to one target.

use crate::proxy::body::RequestBody;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long nothing may be heard of the first attempt to connect; twice as long of each further one.
///
/// Where a listener's backlog is full (that of Python's `http.server` has 5 places), the kernel
/// drops the attempt without a word and asks again only after 1 s, then after 3 s. Targets are so
/// near that an answer which is not there by now does not come.
const PATIENCE: Duration = Duration::from_millis(50);

/// One connection to a target, for one request at a time.
pub(crate) type Connection = SendRequest<RequestBody>;

/// The unused connections to one target, the one used last at the end.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    closed: bool,
    connections: Vec<(Connection, Instant)>,
}

impl Pool {
    /// Returns a living connection that has been unused for less than `maximum_age`.
    pub fn take(&self, maximum_age: Duration) -> Option<Connection> {
        let mut idle = self.lock();
        if idle.connections.is_empty() {
            return None;
        }
        let now = Instant::now();
        for at in (0..idle.connections.len()).rev() {
            let (connection, since) = &idle.connections[at];
            if connection.is_closed() {
                idle.connections.remove(at);
            } else if now.duration_since(*since) > maximum_age {
                return None;
            } else if connection.is_ready() {
                return Some(idle.connections.remove(at).0);
            }
            // Else its task has yet to see the end of the last exchange: it stays for later.
        }
        None
    }

    /// Keeps a connection for later, at most `limit` of them, none once the pool is closed.
    pub fn put(&self, connection: Connection, limit: usize) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.lock();
        if !idle.closed && idle.connections.len() < limit {
            idle.connections.push((connection, Instant::now()));
        }
    }

    /// Drops the dead connections and those unused for longer than `maximum_age`.
    pub fn sweep(&self, maximum_age: Duration) {
        let mut idle = self.lock();
        idle.connections.retain(|(connection, since)| {
            !connection.is_closed() && since.elapsed() <= maximum_age
        });
        if idle.connections.is_empty() {
            idle.connections = Vec::new();
        }
    }

    /// Drops all connections and takes none any more.
    pub fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        idle.connections = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A target could not be reached.
pub(crate) enum ConnectError {
    TimedOut,
    Refused(io::Error),
}

/// Opens a connection; `upgrades` when the request on it may turn into a tunnel.
pub(crate) async fn connect(
    address: SocketAddr,
    timeout: Duration,
    upgrades: bool,
) -> Result<Connection, ConnectError> {
    let stream = open(address, timeout).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) =
        handshake.map_err(|error| ConnectError::Refused(io::Error::other(error)))?;
    // Errors reach the request through `sender`; there is nobody else to tell.
    if upgrades {
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
    } else {
        tokio::spawn(async move { drop(connection.await) });
    }
    Ok(sender)
}

/// Connects; gives up an attempt of which nothing is heard for another, for as long as it is polled.
async fn connect_soon(address: SocketAddr) -> io::Result<TcpStream> {
    let mut patience = PATIENCE;
    loop {
        match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(outcome) => return outcome,
            Err(_) => patience *= 2,
        }
    }
}

/// Opens a connection on which nothing was said yet.
pub(crate) async fn open(
    address: SocketAddr,
    timeout: Duration,
) -> Result<TcpStream, ConnectError> {
    let stream = match tokio::time::timeout(timeout, connect_soon(address)).await {
        Err(_) => return Err(ConnectError::TimedOut),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(ConnectError::TimedOut);
        }
        Ok(Err(error)) => return Err(ConnectError::Refused(error)),
        Ok(Ok(stream)) => stream,
    };
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
