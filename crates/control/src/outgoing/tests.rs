use super::*;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn outgoing(allow_private: bool) -> Outgoing {
    Outgoing::new(OutgoingSettings { allow_private, ca_bundle: None })
}

/// Answers each connection with this text; returns the port and what was asked.
async fn answering(text: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("body!") {
                let mut buffer = [0; 4_096];
                let count = connection.read(&mut buffer).await.unwrap();
                if count == 0 {
                    break;
                }
                seen.extend(&buffer[..count]);
            }
            let _ = sender.send(String::from_utf8_lossy(&seen).into_owned());
            let _ = connection.write_all(text.as_bytes()).await;
        }
    });
    (port, asked)
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let (port, mut asked) = answering("").await;
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
        let url: OutgoingUrl = format!("http://{host}:{port}/").parse().unwrap();
        let error = outgoing(false).connect(&url).await.err().expect(host);
        let expected = matches!(error, ConnectError::Refused(Refused::Private(_)));
        // A resolver may know no such names at all.
        assert!(expected || matches!(error, ConnectError::NoAddress(..)), "{host}: {error}");
    }
    let url: OutgoingUrl = format!("http://0.0.0.0:{port}/").parse().unwrap();
    let error = outgoing(true).connect(&url).await.err().unwrap();
    assert!(matches!(error, ConnectError::Refused(Refused::Never(_))), "{error}");
    assert!(outgoing(false).check(&url).is_err(), "known without a look-up");
    assert!(asked.try_recv().is_err(), "nobody was connected to");
}

#[tokio::test]
async fn requests_carry_their_headers_and_redirects_are_not_followed() {
    let text = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nok";
    let (port, mut asked) = answering(text).await;
    let url: OutgoingUrl = format!("http://me:p%40ss@127.0.0.1:{port}/in?x=1").parse().unwrap();
    let mut connection = HttpConnection::open(&outgoing(true), &url).await.unwrap();
    let headers = [(hyper::header::CONTENT_TYPE, "text/x".to_owned())];
    let limit = Duration::from_secs(20);
    let status = connection.post(&url, &headers, Bytes::from("body!"), limit).await.unwrap();
    assert_eq!(status, 302);
    let asked = asked.recv().await.unwrap().to_lowercase();
    assert!(asked.starts_with("post /in?x=1 http/1.1\r\n"), "{asked}");
    for header in ["content-type: text/x", "authorization: basic bwu6cebzcw==", "content-length: 5"]
    {
        assert!(asked.contains(header), "{header} in {asked}");
    }
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url: OutgoingUrl = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let mut connection = HttpConnection::open(&outgoing(true), &url).await.unwrap();
    let limit = Duration::from_millis(50);
    let error = connection.post(&url, &[], Bytes::new(), limit).await.unwrap_err();
    assert!(matches!(error, SendError::TimedOut(_)), "{error}");
    assert!(!connection.is_usable());
    assert_eq!(error.class(), "timeout");
}
