//! Opening the upgraded connection and moving bytes over it without blocking.

use crate::client::unreachable;
use crate::error::{CliError, Result};
use crate::tls::{self, Trust};
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use ureq::http::Uri;
use windlass_wire::ErrorBody;

const PROTOCOL: &str = "windlass-attach";
const LIMIT: Duration = Duration::from_secs(15);
const LONGEST_HEAD: usize = 16 * 1024;

/// An upgraded connection, plain or over TLS; reads and writes do not block.
pub struct Connection {
    socket: TcpStream,
    tls: Option<Box<rustls::ClientConnection>>,
    /// Received and not yet looked at.
    pub received: Vec<u8>,
    /// To be sent as soon as the socket takes it.
    pub to_send: Vec<u8>,
}

impl Connection {
    /// Connects to an attach URL and upgrades. Each step takes at most 15 seconds.
    pub fn open(url: &str, trust: &Trust) -> Result<Connection> {
        let target = Target::parse(url)?;
        let socket = target.connect(url)?;
        let tls = match target.tls {
            true => Some(Box::new(target.start_tls(trust)?)),
            false => None,
        };
        let mut connection = Connection { socket, tls, received: Vec::new(), to_send: Vec::new() };
        connection.upgrade(&target).map_err(|error| broken(url, &error))??;
        // TLS may have decrypted more than the head; polling would not tell.
        let nonblocking = connection.socket.set_nonblocking(true);
        nonblocking.and_then(|()| connection.receive()).map_err(|error| broken(url, &error))?;
        Ok(connection)
    }

    fn upgrade(&mut self, target: &Target) -> io::Result<Result<()>> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\
             User-Agent: windlass/{}\r\n\r\n",
            target.path,
            target.authority,
            env!("CARGO_PKG_VERSION")
        );
        self.blocking_write(request.as_bytes())?;
        let mut head = Vec::new();
        let end = loop {
            if let Some(end) = find(&head, b"\r\n\r\n") {
                break end;
            }
            if head.len() > LONGEST_HEAD || self.blocking_read(&mut head)? == 0 {
                return Ok(Err(CliError::general(
                    "The server gave no usable answer to the attach request.",
                )));
            }
        };
        let rest = head.split_off(end + 4);
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.split(' ').nth(1) == Some("101") {
            self.received = rest;
            return Ok(Ok(()));
        }
        Ok(Err(self.refusal(&head, rest)))
    }

    /// The error in an answer other than 101; its body is read as far as it comes.
    fn refusal(&mut self, head: &str, mut body: Vec<u8>) -> CliError {
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let wanted = name.eq_ignore_ascii_case("content-length");
            wanted.then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.unwrap_or(LONGEST_HEAD).min(LONGEST_HEAD);
        while body.len() < length && matches!(self.blocking_read(&mut body), Ok(1..)) {}
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => CliError::refused(body.message),
            Err(_) => {
                let status = head.lines().next().unwrap_or_default();
                CliError::general(format!("The server refused to attach: {status}"))
            }
        }
    }

    fn blocking_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(tls) => {
                let mut stream = rustls::Stream::new(tls.as_mut(), &mut self.socket);
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    fn blocking_read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let count = match &mut self.tls {
            None => self.socket.read(&mut bytes)?,
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.socket).read(&mut bytes)?,
        };
        into.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// For polling.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether something waits for the socket to take it.
    pub fn wants_write(&self) -> bool {
        !self.to_send.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Reads what is there. `false` once the other side has closed.
    pub fn receive(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => receive_plain(&mut self.socket, &mut self.received),
            Some(tls) => receive_tls(tls, &mut self.socket, &mut self.received),
        }
    }

    /// Sends as much as the socket takes.
    pub fn send(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            while !self.to_send.is_empty() {
                match self.socket.write(&self.to_send) {
                    Ok(count) => drop(self.to_send.drain(..count)),
                    Err(error) => return would_block_is_fine(error),
                }
            }
            return Ok(());
        };
        loop {
            if !self.to_send.is_empty() {
                let count = tls.writer().write(&self.to_send)?;
                self.to_send.drain(..count);
            }
            if !tls.wants_write() {
                return Ok(());
            }
            if let Err(error) = tls.write_tls(&mut self.socket) {
                return would_block_is_fine(error);
            }
        }
    }
}

fn would_block_is_fine(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

fn receive_plain(socket: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 32 * 1024];
    match socket.read(&mut bytes) {
        Ok(count) => {
            received.extend_from_slice(&bytes[..count]);
            Ok(count > 0)
        }
        Err(error) => would_block_is_fine(error).map(|()| true),
    }
}

fn receive_tls(
    tls: &mut rustls::ClientConnection,
    socket: &mut TcpStream,
    received: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut open = match tls.read_tls(socket) {
        Ok(count) => count > 0,
        Err(error) => would_block_is_fine(error).map(|()| true)?,
    };
    let state = tls.process_new_packets().map_err(io::Error::other)?;
    open &= !state.peer_has_closed();
    let mut plain = vec![0; state.plaintext_bytes_to_read()];
    tls.reader().read_exact(&mut plain)?;
    received.append(&mut plain);
    Ok(open)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn broken(url: &str, error: &io::Error) -> CliError {
    if error.kind() == io::ErrorKind::InvalidData {
        return tls::error(host_part(url), error);
    }
    let at = host_part(url);
    CliError::general(format!("The connection to {at} broke: {error}"))
}

/// Connects to the machine that a URL names; gives the host's name too.
pub fn connect_to(url: &str) -> Result<(String, TcpStream)> {
    let target = Target::parse(url)?;
    let socket = target.connect(url)?;
    Ok((target.host, socket))
}

/// A URL without its path, which holds a secret.
fn host_part(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    &url[..end]
}

struct Target {
    tls: bool,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Target> {
        let unusable = || {
            let at = host_part(url);
            CliError::general(format!(
                "The server's attach URL at {at} cannot be used by this client."
            ))
            .hint("Are server and client of the same version?")
        };
        let uri: Uri = url.parse().map_err(|_| unusable())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unusable()),
        };
        let authority = uri.authority().ok_or_else(unusable)?;
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Target {
            tls,
            authority: authority.to_string(),
            host: host.to_owned(),
            port,
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    fn connect(&self, url: &str) -> Result<TcpStream> {
        let at = host_part(url);
        let addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| unreachable(at, &error.to_string()))?;
        let mut last = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, LIMIT).and_then(prepared) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or("no address".to_owned(), |error| error.to_string());
        Err(unreachable(at, &why))
    }

    fn start_tls(&self, trust: &Trust) -> Result<rustls::ClientConnection> {
        let failed = |error: &(dyn std::error::Error + 'static)| tls::error(&self.authority, error);
        let name = rustls::pki_types::ServerName::try_from(self.host.clone())
            .map_err(|error| failed(&error))?;
        rustls::ClientConnection::new(tls::for_connections(trust)?, name)
            .map_err(|error| failed(&error))
    }
}

fn prepared(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    // An idle shell must notice a server that is gone.
    sockopt::set_socket_keepalive(&socket, true)?;
    Ok(socket)
}
