//! The sockets, and how much one instance may ask of them.

use crate::answer::{self, Transport, Verdict};
use crate::clients::{Client, Clients};
use crate::upstream::{Upstream, read_message, write_message};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use windlass_core::route::AppRoute;

/// The routes in force.
pub type Routes = Arc<[Arc<AppRoute>]>;

/// Questions passed on and connections of one instance at a time; more get no answer, and clients
/// ask again.
const AT_ONCE: usize = 64;
/// The same of all instances.
const AT_ONCE_OF_ALL: usize = 2_048;
/// How long a TCP client may be silent.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// How often to look for a port that is free for both UDP and TCP.
const PORT_ATTEMPTS: usize = 20;
/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 128;
/// The pause after a socket failed, most likely for want of memory or file descriptors.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
/// The longest question that is read over UDP, in bytes.
pub(crate) const QUESTION_LIMIT: usize = 4_096;

/// Bound sockets, one for UDP and one for TCP at the same address.
pub struct Doors {
    udp: UdpSocket,
    tcp: TcpListener,
    address: SocketAddr,
}

impl Doors {
    /// Returns where they are.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the sockets once more, for another process that is to answer after this one.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn share(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.udp.try_clone()?.into(), self.tcp.try_clone()?.into()])
    }

    /// Binds to an address of this machine. Port 0 takes one that is free.
    ///
    /// # Errors
    /// When the port is taken, or the address is none of this machine's.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match Self::try_open(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
                other => return other,
            }
        }
    }

    fn try_open(address: SocketAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind(address)?;
        let address = udp.local_addr()?;
        let tcp = TcpListener::bind(address)?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self { udp, tcp, address })
    }

    pub(crate) fn into_tokio(self) -> io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
        let udp = tokio::net::UdpSocket::from_std(self.udp)?;
        Ok((udp, tokio::net::TcpListener::from_std(self.tcp)?))
    }

    /// Makes doors of what [`Doors::share`] returned elsewhere.
    ///
    /// # Errors
    /// When they are not sockets.
    pub fn from_shared([udp, tcp]: [OwnedFd; 2]) -> io::Result<Self> {
        let (udp, tcp) = (UdpSocket::from(udp), TcpListener::from(tcp));
        let address = udp.local_addr()?;
        Ok(Self { udp, tcp, address })
    }
}

/// Binds to an address that need not be there yet: that of instances' router comes with the first
/// of them. Port 0 takes one that is free.
///
/// # Errors
/// When the port is taken, or this machine lets nobody bind to addresses that it has not.
pub fn bind(address: SocketAddrV4) -> io::Result<Doors> {
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match try_bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            other => return other,
        }
    }
}

fn try_bind(address: SocketAddrV4) -> io::Result<Doors> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let udp = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    sockopt::set_ip_freebind(&udp, true)?;
    bind(&udp, &address)?;
    let udp = UdpSocket::from(udp);
    let address = SocketAddrV4::new(*address.ip(), udp.local_addr()?.port());
    let tcp = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_ip_freebind(&tcp, true)?;
    sockopt::set_socket_reuseaddr(&tcp, true)?;
    bind(&tcp, &address)?;
    listen(&tcp, BACKLOG)?;
    Ok(Doors { udp, tcp: TcpListener::from(tcp), address: address.into() })
}

/// What a name server answers from. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    clients: Clients,
    upstream: Upstream,
    routes: watch::Receiver<Routes>,
    under_way: UnderWay,
}

impl Server {
    #[must_use]
    pub fn new(clients: Clients, upstream: Upstream, routes: watch::Receiver<Routes>) -> Self {
        Self { clients, upstream, routes, under_way: UnderWay::default() }
    }

    /// Answers for ever.
    ///
    /// # Errors
    /// When the sockets cannot be used.
    pub async fn serve(self, doors: Doors) -> io::Result<()> {
        let udp = Arc::new(tokio::net::UdpSocket::from_std(doors.udp)?);
        let tcp = tokio::net::TcpListener::from_std(doors.tcp)?;
        tokio::join!(self.clone().serve_udp(udp), self.serve_tcp(tcp));
        Ok(())
    }

    async fn serve_udp(self, socket: Arc<tokio::net::UdpSocket>) {
        let mut buffer = vec![0; QUESTION_LIMIT];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // Mostly what the kernel tells of an earlier answer that did not arrive.
                Err(error) => {
                    tracing::debug!(%error, "a question for a name was not received");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let question = &buffer[..length];
            let Some(client) = self.clients.find(from.ip()) else { continue };
            match self.judge(question, Transport::Udp, client) {
                Verdict::Ignore => {}
                Verdict::Reply(reply) => {
                    // Whom it does not reach asks again.
                    let _ = socket.send_to(&reply, from).await;
                }
                Verdict::PassOn => {
                    let Some(turn) = self.under_way.enter(from.ip()) else { continue };
                    let (server, socket) = (self.clone(), socket.clone());
                    let question = question.to_vec();
                    tokio::spawn(async move {
                        let answer = server.upstream.ask(&question).await;
                        if let Some(answer) = answer.or_else(|| answer::failure(&question)) {
                            let _ = socket.send_to(&answer, from).await;
                        }
                        drop(turn);
                    });
                }
            }
        }
    }

    async fn serve_tcp(self, listener: tokio::net::TcpListener) {
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a question for a name");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(client) = self.clients.find(from.ip()) else { continue };
            let Some(turn) = self.under_way.enter(from.ip()) else { continue };
            let server = self.clone();
            tokio::spawn(async move {
                // An error ends the connection, which is all that can be said over it.
                let _ = server.converse(stream, client).await;
                drop(turn);
            });
        }
    }

    async fn converse(&self, mut stream: TcpStream, client: Client) -> io::Result<()> {
        loop {
            let question = tokio::time::timeout(SILENCE_LIMIT, read_message(&mut stream)).await?;
            let Some(question) = question? else { return Ok(()) };
            let reply = match self.judge(&question, Transport::Tcp, client) {
                Verdict::Reply(reply) => Some(reply),
                Verdict::PassOn => {
                    let answer = self.upstream.ask_tcp(&question).await;
                    answer.or_else(|| answer::failure(&question))
                }
                Verdict::Ignore => None,
            };
            let Some(reply) = reply else { return Ok(()) };
            tokio::time::timeout(SILENCE_LIMIT, write_message(&mut stream, &reply)).await??;
        }
    }

    fn judge(&self, question: &[u8], transport: Transport, client: Client) -> Verdict {
        let routes = self.routes.borrow().clone();
        answer::judge(question, transport, client, &routes)
    }
}

/// Counts what is under way for whom, so that one instance cannot take all.
#[derive(Clone, Default)]
struct UnderWay(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One question under way, until it is dropped.
struct Turn {
    counts: UnderWay,
    of: IpAddr,
}

impl UnderWay {
    /// Returns a turn, unless this address or all together have as many as they may.
    fn enter(&self, of: IpAddr) -> Option<Turn> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.get(&of).copied().unwrap_or(0);
        if own >= AT_ONCE || all >= AT_ONCE_OF_ALL {
            return None;
        }
        counts.insert(of, own + 1);
        Some(Turn { counts: self.clone(), of })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
