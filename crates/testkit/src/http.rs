//! A small HTTP/1.1 client whose connections and bytes tests can see.

use crate::schema;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer, or a piece of one, may take.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the first header of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Returns the value of an `Authorization` header.
#[must_use]
pub fn basic_credentials(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// One connection to a server, as if it were `host`.
pub struct Connection {
    reader: BufReader<TcpStream>,
    host: String,
    /// Methods and paths that were sent to the API and not answered yet; `None` elsewhere.
    asked: Option<VecDeque<(String, String)>>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Connection {
    pub fn open(address: SocketAddr, host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream), host: host.to_owned(), asked: None })
    }

    /// Opens a connection to a server's API, whose answers are checked against its schema.
    pub fn open_api(address: SocketAddr) -> io::Result<Self> {
        let connection = Self::open(address, &address.to_string())?;
        Ok(Self { asked: Some(VecDeque::new()), ..connection })
    }

    /// Sends a request without waiting for the answer.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        if let Some(asked) = &mut self.asked {
            asked.push_back((method.to_owned(), path.to_owned()));
        }
        self.write(&message)
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads exactly so many bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.reader.read_exact(buffer)
    }

    /// Reads a line without its end.
    pub fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Reads the head of an answer; its body is empty.
    pub fn receive_head(&mut self) -> io::Result<Response> {
        let line = self.read_line()?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| invalid(&format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(Response { status, headers, body: Vec::new() });
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads one chunk of a chunked body; empty at the end.
    pub fn receive_chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.read_line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a bad chunk size"))?;
        let mut chunk = vec![0; size];
        self.reader.read_exact(&mut chunk)?;
        while !self.read_line()?.is_empty() {}
        Ok(chunk)
    }

    /// Reads a whole answer.
    pub fn receive(&mut self) -> io::Result<Response> {
        let mut response = self.receive_head()?;
        let length =
            response.header("content-length").and_then(|value| value.parse::<usize>().ok());
        if response.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            loop {
                let chunk = self.receive_chunk()?;
                if chunk.is_empty() {
                    break;
                }
                response.body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = length {
            response.body = vec![0; length];
            self.reader.read_exact(&mut response.body)?;
        } else if !matches!(response.status, 100..=199 | 204 | 304) {
            self.reader.read_to_end(&mut response.body)?;
        }
        if let Some((method, path)) = self.asked.as_mut().and_then(VecDeque::pop_front) {
            schema::check(schema::Exchange {
                method: &method,
                path: &path,
                status: response.status,
                content_type: response.header("content-type"),
                body: &response.body,
            });
        }
        Ok(response)
    }

    /// Sends a request and reads its answer.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        self.send(method, path, &[], body)?;
        self.receive()
    }
}

/// Gets a page over a connection of its own.
pub fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<Response> {
    let mut connection = Connection::open(address, host)?;
    connection.send("GET", path, &[("connection", "close")], b"")?;
    connection.receive()
}
