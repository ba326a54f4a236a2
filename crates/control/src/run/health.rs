//! When a web instance counts as up: it answers.
//!
//! Heroku takes an open port for it. But the commonest Python server opens its port first and loads
//! the app afterwards: an app that cannot be loaded would count as up, replace one that works, and
//! die. So the port must also give an answer to `GET /`, whatever its status. An app that takes its
//! time over `/` is up when it has kept the connection for [`PATIENCE`]. One that speaks nothing but
//! HTTP/2 (gRPC) is up when it says so.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept open this long without an answer is one that the app works on: the
/// time after which the router would give up on a request (H12).
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How a client of HTTP/2 begins: the preface, and settings of which it changes none.
const HTTP2_BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Where a frame of HTTP/2 says its type, and that of settings.
const HTTP2_TYPE: usize = 3;
const HTTP2_SETTINGS: u8 = 4;

/// Returns once the instance answers. Tried often at first, for apps that boot fast.
pub(super) async fn answers(address: SocketAddr, host: &str) {
    let mut pause = Duration::from_millis(4);
    while !answers_once(address, host).await {
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_millis(100));
    }
}

async fn answers_once(address: SocketAddr, host: &str) -> bool {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
    let Ok(Ok(mut stream)) = connecting.await else { return false };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Windlass-Check\r\nAccept: */*\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
    );
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut first = [0u8; 1];
    match tokio::time::timeout(PATIENCE, stream.read(&mut first)).await {
        Ok(Ok(read)) if read > 0 => true,
        Ok(_) => speaks_http2(address).await,
        Err(_) => true,
    }
}

/// Whether a server that closes connections of HTTP/1.1 answers to HTTP/2.
async fn speaks_http2(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(HTTP2_BEGINNING).await?;
        let mut frame = [0u8; 9];
        stream.read_exact(&mut frame).await?;
        Ok::<_, std::io::Error>(frame[HTTP2_TYPE] == HTTP2_SETTINGS)
    };
    matches!(tokio::time::timeout(CONNECT_TIMEOUT, asked).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Accepts connections: closes the first `refused` ones, answers the next.
    async fn server(refused: usize) -> (SocketAddr, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut asked = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0u8; 1024];
                let read = stream.read(&mut buffer).await.unwrap();
                if buffer.starts_with(b"PRI") {
                    continue;
                }
                asked += 1;
                if asked > refused {
                    assert!(
                        buffer[..read].starts_with(b"GET / HTTP/1.1\r\nHost: bibly.localhost\r\n")
                    );
                    stream.write_all(b"HTTP/1.1 500 Oh\r\n\r\n").await.unwrap();
                    return asked - 1;
                }
            }
        });
        (address, serving)
    }

    #[tokio::test]
    async fn any_answer_will_do_but_an_open_port_will_not() {
        let (address, serving) = server(3).await;
        answers(address, "bibly.localhost").await;
        assert_eq!(serving.await.unwrap(), 3, "connections that were closed without an answer");
    }

    #[tokio::test]
    async fn a_server_of_http_2_alone_is_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0u8; 24];
                stream.read_exact(&mut buffer).await.unwrap();
                if buffer.starts_with(b"PRI * HTTP/2.0\r\n") {
                    stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
                }
            }
        });
        let up = tokio::time::timeout(Duration::from_secs(20), answers(address, "bibly.localhost"));
        up.await.unwrap();
        serving.abort();
    }

    #[tokio::test]
    async fn nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let waiting = tokio::time::timeout(Duration::from_millis(100), answers(address, "x"));
        assert!(waiting.await.is_err());
    }
}
