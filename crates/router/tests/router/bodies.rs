//! Bodies are streamed both ways, never collected.

use crate::support::*;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A body whose pieces come from a channel.
struct Pieces(mpsc::Receiver<&'static str>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_sent_events_arrive_one_by_one() {
    let router = TestRouter::start().await;
    let (pieces, receiver) = mpsc::channel(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let backend = Backend::start(move |_| {
        let body = Pieces(receiver.lock().unwrap().take().unwrap()).boxed();
        async move {
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    })
    .await;
    router.upsert(&router.route("events", &[&backend])).await;
    let mut client = connect(router.address).await;
    let mut response = client.send_request(request("events.test", "/")).await.unwrap();
    for piece in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        // The next piece exists only after the one before has arrived.
        pieces.send(piece).await.unwrap();
        let frame = response.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(pieces);
    assert!(response.frame().await.is_none());
    let log = router.log_lines("events", 1).await;
    assert!(log[0].contains("status=200 bytes=27 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_arrive_piece_by_piece() {
    let router = TestRouter::start().await;
    let (seen, mut arrived) = mpsc::channel(8);
    let backend = Backend::start(move |mut request: http::Request<hyper::body::Incoming>| {
        let seen = seen.clone();
        async move {
            let mut length = 0;
            while let Some(frame) = request.body_mut().frame().await {
                let data = frame.unwrap().into_data().unwrap();
                length += data.len();
                seen.send(data).await.unwrap();
            }
            Response::new(full(length.to_string()))
        }
    })
    .await;
    router.upsert(&router.route("upload", &[&backend])).await;
    // GET with a body is unusual, but a request like any other.
    for method in ["POST", "GET"] {
        let mut stream = TcpStream::connect(router.address).await.unwrap();
        let head = format!(
            "{method} / HTTP/1.1\r\nhost: upload.test\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for piece in ["first", "second"] {
            stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
            assert_eq!(arrived.recv().await.unwrap(), piece);
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        read_until(&mut stream, "\r\n\r\n11").await;
    }
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: upload.test\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    assert_eq!(arrived.recv().await.unwrap(), "abc");
    read_until(&mut stream, "\r\n\r\n3").await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_holds_the_target_back() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 1024;
    let router = TestRouter::start().await;
    let produced = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&produced);
    let backend = Backend::start(move |_| {
        let counter = Arc::clone(&counter);
        async move {
            let piece = Bytes::from(vec![b'x'; PIECE]);
            let frames = (0..PIECES).map(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Frame::data(piece.clone()))
            });
            Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames))))
        }
    })
    .await;
    router.upsert(&router.route("large", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: large.test\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    let mut before = usize::MAX;
    while before != produced.load(Ordering::SeqCst) {
        before = produced.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(before < PIECES / 2, "{before} of {PIECES} pieces were taken without a reader");
    let mut buffer = vec![0; 1 << 20];
    while stream.read(&mut buffer).await.unwrap() > 0 {}
    let log = router.log_lines("large", 1).await;
    assert!(log[0].contains(&format!("bytes={} ", PIECE * PIECES)), "{}", log[0]);
    router.stop().await;
}
