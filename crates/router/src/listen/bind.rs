//! Listening sockets.

use crate::config::RouterError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 4_096;

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
