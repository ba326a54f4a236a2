//! TCP settings of accepted connections.

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// A silent peer is probed after this many seconds …
const IDLE_SECONDS: u32 = 30;
/// … then as often as this, …
const INTERVAL_SECONDS: u32 = 10;
/// … and given up after this many probes.
const PROBES: u32 = 3;

/// Sends small pieces at once, and notices within a minute when the other machine is gone: a
/// build may be silent for long, and must not go on for nobody.
pub(crate) fn prepare(connection: &TcpStream) {
    let set = || -> std::io::Result<()> {
        connection.set_nodelay(true)?;
        setsockopt(connection, sockopt::KeepAlive, &true)?;
        setsockopt(connection, sockopt::TcpKeepIdle, &IDLE_SECONDS)?;
        setsockopt(connection, sockopt::TcpKeepInterval, &INTERVAL_SECONDS)?;
        setsockopt(connection, sockopt::TcpKeepCount, &PROBES)?;
        Ok(())
    };
    if let Err(error) = set() {
        // It works without, only less promptly.
        tracing::debug!(%error, "a connection could not be tuned");
    }
}
