//! The host's name servers, for all names that are not ours.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long one name server may take to answer before the next is asked.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// As many servers of a `resolv.conf` as the C library uses.
const SERVERS: usize = 3;
/// How often all of them are asked.
const ROUNDS: usize = 2;
/// The port of name servers.
const PORT: u16 = 53;

/// Name servers that look up names for others.
#[derive(Clone, Debug)]
pub struct Upstream(Servers);

#[derive(Clone, Debug)]
enum Servers {
    /// As a `resolv.conf` names them, at this port. The file is read at each question, since
    /// networks change while servers run.
    Named(PathBuf, u16),
    One(SocketAddr),
}

impl Upstream {
    #[must_use]
    pub fn new(resolv_conf: PathBuf) -> Self {
        Self(Servers::Named(resolv_conf, PORT))
    }

    /// Asks this one only.
    #[must_use]
    pub fn of(server: SocketAddr) -> Self {
        Self(Servers::One(server))
    }

    /// The same with name servers that listen on another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        match self.0 {
            Servers::Named(resolv_conf, _) => Self(Servers::Named(resolv_conf, port)),
            Servers::One(server) => Self::of(SocketAddr::new(server.ip(), port)),
        }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        match &self.0 {
            Servers::Named(resolv_conf, port) => {
                let servers = name_servers(resolv_conf).into_iter();
                servers.map(|address| SocketAddr::new(address, *port)).collect()
            }
            Servers::One(server) => vec![*server],
        }
    }

    /// Returns the first answer of a name server over UDP; `None` if none gave one.
    pub(crate) async fn ask(&self, question: &[u8]) -> Option<Vec<u8>> {
        let servers = self.servers();
        for server in (0..ROUNDS).flat_map(|_| &servers) {
            match tokio::time::timeout(ANSWER_LIMIT, ask_udp(*server, question)).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a name server was not reached"),
                Err(_) => tracing::debug!(%server, "a name server gave no answer"),
            }
        }
        None
    }

    /// The same over TCP.
    pub(crate) async fn ask_tcp(&self, question: &[u8]) -> Option<Vec<u8>> {
        for server in self.servers() {
            match tokio::time::timeout(ANSWER_LIMIT, ask_tcp(server, question)).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a name server was not reached"),
                Err(_) => tracing::debug!(%server, "a name server gave no answer"),
            }
        }
        None
    }
}

/// Asks from a socket of its own: its port is as hard to guess as its question's number.
async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 65_535];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if is_answer(question, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

/// Whether it has the question's number and is marked as an answer.
fn is_answer(question: &[u8], answer: &[u8]) -> bool {
    const ANSWER_BIT: u8 = 0x80;
    answer.len() >= 12 && answer[..2] == question[..2] && answer[2] & ANSWER_BIT != 0
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, question).await?;
    let answer = read_message(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if is_answer(question, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Reads a message with its length before it; `None` at the end.
pub(crate) async fn read_message(
    stream: &mut (impl AsyncReadExt + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

pub(crate) async fn write_message(
    stream: &mut (impl AsyncWriteExt + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}

/// Returns the name servers of a `resolv.conf`.
fn name_servers(resolv_conf: &Path) -> Vec<IpAddr> {
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    named.take(SERVERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_servers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        let text = "search a.b\nnameserver 10.0.0.1\n nameserver\t::1 # mine\nnameserver x\n#nameserver 10.0.0.9\nnameservers 10.0.0.8\n";
        std::fs::write(&path, text).unwrap();
        let expected: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(name_servers(&path), expected);
        assert_eq!(name_servers(&directory.path().join("none")), Vec::<IpAddr>::new());
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let question = [7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let mut answer = question;
        assert!(!is_answer(&question, &answer), "the question itself");
        answer[2] = 0x81;
        assert!(is_answer(&question, &answer));
        assert!(!is_answer(&question, &answer[..11]));
        answer[1] = 9;
        assert!(!is_answer(&question, &answer));
    }
}
