//! WebSockets over HTTP/3 (RFC 9220). No client library of ours can ask for one, so the streams are
//! written by hand.

use crate::http2_tunnel::echo;
use crate::http3::{Client, quic, quic_with, start};
use crate::support::*;
use h3::error::Code;
use quinn::{RecvStream, SendStream};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use windlass_core::route::{RouterCommand, RouterReply};

const CONNECT: u8 = 0xc0 | 15;
const GET: u8 = 0xc0 | 17;
/// Representations of QPACK: the answer's status.
const OK: u8 = 0xc0 | 25;

/// A request of this method for `/chat` at `app.test`, with `:protocol`.
fn head(method: u8, protocol: &str) -> Vec<u8> {
    // `https`, and names from the static table.
    let mut block = vec![0, 0, method, 0xc0 | 23, 0x51, 5];
    block.extend_from_slice(b"/chat\x50\x08app.test");
    for (name, value) in [(":protocol", protocol), ("sec-websocket-version", "13")] {
        // A name that stands here: its length in three bits, then the rest.
        block.extend_from_slice(&[0x27, u8::try_from(name.len() - 7).unwrap()]);
        block.extend_from_slice(name.as_bytes());
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value.as_bytes());
    }
    frame(1, &block)
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap() | 0x4000;
    [&[kind], length.to_be_bytes().as_slice(), payload].concat()
}

/// A stream with a request, and what has come of its answer.
struct Stream {
    send: SendStream,
    receive: RecvStream,
    unread: Vec<u8>,
}

impl Stream {
    async fn open(client: &Client, method: u8, protocol: &str) -> Self {
        let (mut send, receive) = client.connection.open_bi().await.unwrap();
        // In two pieces, of which the first ends in the middle of a name.
        let head = head(method, protocol);
        send.write_all(&head[..30]).await.unwrap();
        tokio::task::yield_now().await;
        send.write_all(&head[30..]).await.unwrap();
        Self { send, receive, unread: Vec::new() }
    }

    /// Reads so many bytes; fewer at the end of the stream.
    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            let Some(chunk) = self.receive.read_chunk(100_000, true).await.unwrap() else { break };
            self.unread.extend_from_slice(&chunk.bytes);
        }
        let rest = self.unread.split_off(length.min(self.unread.len()));
        std::mem::replace(&mut self.unread, rest)
    }

    /// Reads a number (RFC 9000, 16); `None` at the end of the stream.
    async fn number(&mut self) -> Option<usize> {
        let first = *self.take(1).await.first()?;
        let rest = self.take((1 << (first >> 6)) - 1).await;
        let begin = usize::from(first & 0x3f);
        Some(rest.iter().fold(begin, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Reads the next frame: its type and what it carries.
    async fn frame(&mut self) -> Option<(usize, Vec<u8>)> {
        let (kind, length) = (self.number().await?, self.number().await?);
        Some((kind, self.take(length).await))
    }

    /// Reads until so many bytes of data have come.
    async fn data(&mut self, length: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        while seen.len() < length {
            let (kind, payload) = self.frame().await.expect("more to come");
            assert_eq!(kind, 0);
            seen.extend_from_slice(&payload);
        }
        seen
    }

    async fn write(&mut self, data: &[u8]) {
        for piece in data.chunks(10_000) {
            self.send.write_all(&frame(0, piece)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_3_is_in_flight_until_both_sides_have_closed() {
    let backend = echo().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    let mut stream = Stream::open(&client, CONNECT, "websocket").await;
    let (kind, head) = stream.frame().await.unwrap();
    assert_eq!((kind, head[2]), (1, OK));
    let text = String::from_utf8_lossy(&head);
    assert!(!text.contains("upgrade") && !text.contains("accept"), "{text}");
    let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    // What comes back must be read meanwhile.
    let (mut send, mut receive) = (sent.chunks(30_000), Vec::new());
    while receive.len() < sent.len() {
        if let Some(piece) = send.next() {
            stream.write(piece).await;
        }
        receive.extend(stream.data(1).await);
    }
    assert!(receive == sent);

    let nothing = RouterCommand::Sync { routes: Vec::new() };
    assert_eq!(router.send(nothing).await, RouterReply::Applied);
    stream.write(b"still").await;
    assert_eq!(stream.data(5).await, b"still");
    assert_eq!(router.drain(&backend.instance, 50).await, 1, "the tunnel counts");
    stream.send.finish().unwrap();
    assert_eq!(stream.data(3).await, b"bye", "the other direction outlives the first");
    assert!(stream.frame().await.is_none(), "and ends properly");
    assert_eq!(router.drain(&backend.instance, 60_000).await, 0);
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("method=GET path=\"/chat\" "), "{}", log[0]);
    assert!(log[0].contains("at=info ") && log[0].contains("status=101 "), "{}", log[0]);
    assert!(log[0].contains(" bytes=300008 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_it_off_ends_the_tunnel() {
    let backend = echo().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    for stops in [false, true] {
        let mut stream = Stream::open(&client, CONNECT, "websocket").await;
        assert_eq!(stream.frame().await.unwrap().0, 1);
        router.wait_in_flight(1).await;
        let code = quinn::VarInt::from_u64(Code::H3_REQUEST_CANCELLED.value()).unwrap();
        if stops {
            stream.receive.stop(code).unwrap();
        } else {
            stream.send.reset(code).unwrap();
        }
        router.wait_in_flight(0).await;
    }
    let stream = Stream::open(&client, CONNECT, "websocket").await;
    router.wait_in_flight(1).await;
    client.connection.close(0_u8.into(), b"");
    router.wait_in_flight(0).await;
    drop(stream);
    router.stop().await;
}

/// Switches to a WebSocket, says this much, and is gone without having listened.
async fn says_and_goes(length: usize) -> Backend {
    Backend::raw(move |mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_has_said_arrives_though_it_listens_no_more() {
    // It fits into the router, and not into the client's window.
    let length = 40_000;
    let backend = says_and_goes(length).await;
    let (router, _client, der) = start(|_| {}, &backend).await;
    let mut narrow = quinn::TransportConfig::default();
    narrow.stream_receive_window(4_096_u32.into());
    let address = router.status().await.https.unwrap();
    let (endpoint, connection) = quic_with(address, &[&der], "app.test", narrow).await.unwrap();
    let client = Client::over(endpoint, connection).await;
    let mut stream = Stream::open(&client, CONNECT, "websocket").await;
    assert_eq!(stream.frame().await.unwrap().0, 1);
    let talking = async {
        while stream.send.write_all(&frame(0, b"are you there?")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), talking).await.expect("nobody listens");
    assert_eq!(stream.data(length).await.len(), length);
    assert!(stream.frame().await.is_none(), "and ends properly");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_websocket_is_refused() {
    let plain = Backend::says("plain").await;
    let (router, client, der) = start(|_| {}, &plain).await;
    // A success would mean that the tunnel is there.
    let mut stream = Stream::open(&client, CONNECT, "websocket").await;
    let (kind, head) = stream.frame().await.unwrap();
    assert!(kind == 1 && head[2] != OK, "{}", head.escape_ascii());
    let page = stream.frame().await.unwrap().1;
    assert!(String::from_utf8_lossy(&page).contains("H17"));
    // What `:protocol` does not belong to, or means nothing to anybody.
    for (method, protocol) in [(GET, "websocket"), (CONNECT, "chat")] {
        let mut stream = Stream::open(&client, method, protocol).await;
        let error = stream.receive.read_chunk(100, true).await.unwrap_err();
        let reset = quinn::ReadError::Reset(
            quinn::VarInt::from_u64(Code::H3_MESSAGE_ERROR.value()).unwrap(),
        );
        assert_eq!(error, reset, "{protocol}");
    }
    // The settings say that clients may ask.
    let address = router.status().await.https.unwrap();
    let (_endpoint, connection) = quic(address, &[&der], "app.test").await.unwrap();
    let mut control = connection.accept_uni().await.unwrap();
    let mut settings = Vec::new();
    while !settings.windows(2).any(|setting| setting == [8, 1]) {
        let chunk = control.read_chunk(1_000, true).await.unwrap().expect("it stays open");
        settings.extend_from_slice(&chunk.bytes);
        assert!(settings.len() < 100, "{settings:?}");
    }
    router.stop().await;
}
