//! What the proxies stand before: nginx with small answers from memory, and threads of our own for
//! what is large or slow.

use super::super::{BenchError, Result};
use super::peers::nginx_configuration;
use super::process::{Cores, Process, free_address};
use rustix::net::{RecvFlags, recv};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Of the two small answers, in bytes.
pub const SMALL: usize = 100;
pub const MEDIUM: usize = 10_000;
/// Of a download and an upload.
pub const LARGE: u64 = 1 << 30;
/// How many bytes are dropped at once.
const CHUNK: usize = 1 << 20;

/// nginx that answers `/small` and `/medium`.
pub struct Backend {
    pub address: SocketAddr,
    _process: Process,
}

impl Backend {
    pub fn start(directory: &Path, cores: &Cores) -> Result<Self> {
        let at = directory.join("backend");
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(&at)?;
            std::fs::write(at.join("small"), "s".repeat(SMALL))?;
            std::fs::write(at.join("medium"), "m".repeat(MEDIUM))
        };
        write().map_err(BenchError::io(at.display().to_string()))?;
        let address = free_address()?;
        let inner = format!(
            "access_log off;
    default_type text/plain;
    open_file_cache max=10 inactive=1h;
    open_file_cache_valid 1h;
    server {{
        listen {address} backlog=4096;
        location / {{ root {at}; }}
        location = /small {{ return 200 {}; }}
    }}",
            "s".repeat(SMALL),
            at = at.display()
        );
        let file = at.join("configuration");
        std::fs::write(&file, nginx_configuration(1, &inner, &at))
            .map_err(BenchError::io(file.display().to_string()))?;
        let (prefix, file) = (at.display().to_string(), file.display().to_string());
        let arguments = ["nginx", "-p", &prefix, "-c", &file, "-e", "error.log"];
        let log = at.join("output.log");
        let mut process = Process::start("backend", &cores.others, &arguments, &[], &log)?;
        process.until_open(address)?;
        Ok(Self { address, _process: process })
    }
}

/// Returns a request without a body.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

/// Starts threads that answer `/download` with a gigabyte, `POST /upload` once they have read all
/// of it, and `/slow` and `/long` late. They end with the process.
pub fn start_threads(directory: &Path) -> Result<SocketAddr> {
    let path = directory.join("large");
    let made = File::create(&path).and_then(|file| file.set_len(LARGE));
    made.map_err(BenchError::io(path.display().to_string()))?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(BenchError::io("a free port"))?;
    let address = listener.local_addr().map_err(BenchError::io("a free port"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let path = path.clone();
            // Whoever goes away before the end is the proxy's concern.
            std::thread::spawn(move || drop(serve(stream, &path)));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream, large: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some((path, length)) = read_request(&mut stream)? {
        discard(&mut stream, length)?;
        match path.as_str() {
            "/download" => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
                stream.get_mut().write_all(head.as_bytes())?;
                io::copy(&mut File::open(large)?.take(LARGE), stream.get_mut())?;
                continue;
            }
            "/slow" => std::thread::sleep(Duration::from_millis(500)),
            "/long" => std::thread::sleep(Duration::from_secs(3)),
            _ => {}
        }
        let port = stream.get_ref().local_addr()?.port();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{port:05}");
        stream.get_mut().write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Returns the path and the length of the body, or nothing at the end of the connection.
fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<(String, u64)>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            return Ok(Some((path, length)));
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

/// Reads so many bytes and drops them without copying them.
pub fn discard(stream: &mut BufReader<TcpStream>, length: u64) -> io::Result<()> {
    let buffered = stream.buffer().len().min(usize::try_from(length).unwrap_or(usize::MAX));
    stream.consume(buffered);
    let mut left = length - buffered as u64;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let most = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        let (_, received) = recv(stream.get_ref(), &mut buffer[..most], RecvFlags::TRUNC)?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= received as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_to_its_end() {
        let directory = tempfile();
        let address = start_threads(&directory).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let body = vec![7; 3_000_000];
        let head = format!("POST /upload HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        stream.write_all(&get("x", "/fast")).unwrap();
        let wanted = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{:05}", address.port());
        let mut answers = vec![0; 2 * wanted.len()];
        stream.read_exact(&mut answers).unwrap();
        assert_eq!(String::from_utf8(answers).unwrap(), wanted.repeat(2));
        std::fs::remove_dir_all(directory).unwrap();
    }

    fn tempfile() -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("windlass-xtask-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}
