//! As much of an HTTP client as the demo needs: GET over the loopback, strict about broken answers.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// Whether the server takes another request on this connection.
    pub keeps_alive: bool,
}

pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks once. `headers` are whole lines, each with its end. Any answer that is cut short or
    /// cannot be understood is an error.
    pub fn get(&mut self, host: &str, path: &str, headers: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let status_line = self.line()?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| broken(&format!("{status_line:?} is no status line")))?;
        let (mut length, mut chunked, mut keeps_alive) = (None, false, true);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(broken(&format!("{line:?} is no header")));
            };
            let value = value.trim().to_ascii_lowercase();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse::<usize>().ok(),
                "transfer-encoding" => chunked = value == "chunked",
                "connection" => keeps_alive = value != "close",
                _ => {}
            }
        }
        let body = match (chunked, length) {
            (true, _) => self.chunks()?,
            (false, Some(length)) => self.exactly(length)?,
            (false, None) => return Err(broken("it does not say how long it is")),
        };
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), keeps_alive })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.by_ref().take(16 * 1024).read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None if line.is_empty() => Err(Error::new(ErrorKind::UnexpectedEof, "no answer")),
            None => Err(broken(&format!("{line:?} has no end"))),
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let length = usize::from_str_radix(size.trim(), 16)
                .map_err(|_| broken(&format!("{size:?} is no chunk size")))?;
            body.extend(self.exactly(length)?);
            if !self.line()?.is_empty() {
                return Err(broken("a chunk is longer than it says"));
            }
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

fn broken(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("a broken answer: {why}"))
}

/// Asks once, on a connection of its own.
pub fn get(address: SocketAddr, host: &str, path: &str, headers: &str) -> io::Result<Answer> {
    Connection::open(address)?.get(host, path, &format!("Connection: close\r\n{headers}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered(answer: &'static str) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let answer = get(address, "bibly.localhost", "/", "X: y\r\n");
        let request = server.join().unwrap();
        assert!(request.starts_with("GET / HTTP/1.1\r\nHost: bibly.localhost\r\n"), "{request}");
        answer
    }

    #[test]
    fn whole_answers_are_read() {
        let plain = answered("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((plain.status, plain.body.as_str(), plain.keeps_alive), (404, "no", true));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                       3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let chunked = answered(chunked).unwrap();
        assert_eq!((chunked.body.as_str(), chunked.keeps_alive), ("abcde", false));
    }

    #[test]
    fn answers_cut_short_are_errors() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Len",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "garbage\r\n\r\n",
        ] {
            assert!(answered(answer).is_err(), "{answer:?}");
        }
    }
}
