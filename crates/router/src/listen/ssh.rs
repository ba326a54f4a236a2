//! SSH on the plain port: Heroku's CLI insists on port 80 for `ps:exec`. What begins with SSH is
//! passed on to the server as it is; here nobody is let in or refused.

use super::{Client, ClientIo};
use crate::last_time::LastTime;
use crate::policy::client_key;
use crate::run::{Phase, Router};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{copy, split};
use tokio::net::{TcpStream, UnixStream};

/// What a client that speaks it says first (RFC 4253, 4.2).
const GREETING: &[u8; 8] = b"SSH-2.0-";
/// Connections at once; further ones are closed.
const MAXIMUM: usize = 256;
/// Those of one client. `ps:socks` has one for each connection that it forwards.
const MAXIMUM_OF_CLIENT: usize = 64;

/// Returns whether a connection that begins with these bytes is one of SSH; `None` when there are
/// too few to say.
pub(super) fn is_greeting(start: &[u8]) -> Option<bool> {
    let common = start.len().min(GREETING.len());
    if start[..common] != GREETING[..common] {
        return Some(false);
    }
    (common == GREETING.len()).then_some(true)
}

/// The way to the server.
pub(crate) struct SshPassage {
    socket: PathBuf,
    inside: Mutex<HashMap<u128, usize>>,
}

impl SshPassage {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, inside: Mutex::default() }
    }

    /// Counts a connection in; `None` if there are too many.
    fn enter(&self, address: IpAddr) -> Option<Place<'_>> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let client = client_key(address);
        let of_client = inside.get(&client).copied().unwrap_or_default();
        if inside.values().sum::<usize>() >= MAXIMUM || of_client >= MAXIMUM_OF_CLIENT {
            return None;
        }
        inside.insert(client, of_client + 1);
        Some(Place { passage: self, client })
    }
}

/// A connection that was counted in; dropping it counts it out.
struct Place<'a> {
    passage: &'a SshPassage,
    client: u128,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inside = self.passage.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match inside.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(inside.remove(&self.client)),
        }
    }
}

/// Passes a connection on until one side has closed it, or the router ends.
pub(super) async fn serve(stream: TcpStream, client: Client, router: Arc<Router>) {
    let Some(passage) = &router.listening.ssh else { return };
    let address = client.address.to_str().unwrap_or_default();
    let Some(_place) = passage.enter(client.ip) else {
        return tracing::warn!(address, "too many SSH connections: another one is closed");
    };
    let server = UnixStream::connect(&passage.socket);
    let server = match tokio::time::timeout(router.limits.connect, server).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => return tracing::debug!(address, %error, "the server takes no SSH"),
        Err(_) => return tracing::warn!(address, "the server does not take SSH connections"),
    };
    let stalled = Arc::clone(&client.stalled);
    let stream = ClientIo::new(stream, Arc::<LastTime>::default(), router.limits.idle, stalled);
    let mut phase = router.phase.subscribe();
    tokio::select! {
        // Whether it is still wanted, server and client ask each other.
        ended = pass(stream, server) => if let Err(error) = ended {
            tracing::debug!(address, %error, "an SSH connection ended early");
        },
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
    }
}

/// Moves bytes until one side has closed: SSH has no half-closed connections.
async fn pass(client: ClientIo<TcpStream>, server: UnixStream) -> io::Result<u64> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    tokio::select! {
        up = copy(&mut from_client, &mut to_server) => up,
        down = copy(&mut from_server, &mut to_client) => down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_told_from_http() {
        for start in ["", "S", "SS", "SSH", "SSH-2.0"] {
            assert_eq!(is_greeting(start.as_bytes()), None, "{start}");
        }
        assert_eq!(is_greeting(b"SSH-2.0-"), Some(true));
        assert_eq!(is_greeting(b"SSH-2.0-ssh2js1.0\r\n"), Some(true));
        for start in ["G", "SEARCH / HTTP/1.1", "SUBSCRIBE", "SSH-1.5-", "ssh-2.0-", "PRI * "] {
            assert_eq!(is_greeting(start.as_bytes()), Some(false), "{start}");
        }
    }

    #[test]
    fn connections_are_counted_in_and_out() {
        let passage = SshPassage::new(PathBuf::new());
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let places: Vec<_> =
            (0..MAXIMUM_OF_CLIENT).map(|_| passage.enter(address(1)).unwrap()).collect();
        assert!(passage.enter(address(1)).is_none(), "one address has no more");
        let others: Vec<_> = (2..=4)
            .flat_map(|last| (0..MAXIMUM_OF_CLIENT).map(move |_| last))
            .map(|last| passage.enter(address(last)).unwrap())
            .collect();
        assert!(passage.enter(address(5)).is_none(), "nobody has");
        drop(places);
        assert!(passage.enter(address(5)).is_some());
        drop(others);
        assert!(passage.inside.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let passage = SshPassage::new(PathBuf::new());
        let address = |last: usize| format!("2001:db8::{last:x}").parse().unwrap();
        let _places: Vec<_> =
            (0..MAXIMUM_OF_CLIENT).map(|last| passage.enter(address(last)).unwrap()).collect();
        assert!(passage.enter(address(MAXIMUM_OF_CLIENT)).is_none());
        assert!(passage.enter("2001:db8:0:1::1".parse().unwrap()).is_some(), "another network");
    }
}
