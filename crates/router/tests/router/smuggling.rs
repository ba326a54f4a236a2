//! Messages that can be read in two ways are refused, or made clear before anybody else sees them.

use crate::support::*;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_core::route::AppRoute;
use windlass_core::routing_settings::RoutingSettings;

/// The status of the only answer, which must be the last.
async fn status(router: &TestRouter, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    // The router may answer and close before it has taken all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "still open after {:?}: {answer}", String::from_utf8_lossy(request));
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert_eq!(answer.matches("\r\ncontent-length: ").count(), 1, "{answer}");
    answer[9..12].to_owned()
}

const HOST: &str = "host: mirror.test\r\n";

/// Each with the status that refuses it. None may reach a target.
const REFUSED: &[(&str, &str)] = &[
    // The length of the body.
    ("POST / HTTP/1.1\r\nHOSTcontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: 3\r\ncontent-length: 3\r\n\r\nabc", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: 3, 3\r\n\r\nabc", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: +3\r\n\r\nabc", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: -3\r\n\r\nabc", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: 0x3\r\n\r\nabc", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: 3 4\r\n\r\nabc", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: \r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length: 99999999999999999999\r\n\r\n", "400"),
    (
        "POST / HTTP/1.1\r\nHOSTcontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHOSTtransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHOSTtransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHOSTtransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        "400",
    ),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: identity\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding:\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.0\r\nHOSTtransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding: chu\x00nked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTtransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHOSTcontent-length:\r\n 3\r\n\r\nabc", "400"),
    ("GET / HTTP/1.1\r\nHOSTcontent-length: 3\r\nx: y\r\ncontent-length: 0\r\n\r\nabc", "400"),
    // What a client waits for before it sends its body.
    ("POST / HTTP/1.1\r\nHOSTexpect: x 100-continue\r\ncontent-length: 3\r\n\r\n", "417"),
    ("POST / HTTP/1.1\r\nHOSTexpect: 100-continue, x\r\ncontent-length: 3\r\n\r\n", "417"),
    (
        "POST / HTTP/1.1\r\nHOSTexpect: 100-continue\r\nexpect: x\r\ncontent-length: 3\r\n\r\n",
        "417",
    ),
    ("POST / HTTP/1.1\r\nHOSTexpect:\r\n 100-continue\r\ncontent-length: 3\r\n\r\n", "400"),
    // How lines are written.
    ("GET /\rx HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.1\rHOST\r\n\r\n", "400"),
    ("\rGET / HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: y\r\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: y\r\n\r\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx\rcontent-length: 3\r\n\r\nabc", "400"),
    ("GET / HTTP/1.1\r\nhost : mirror.test\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx\u{a0}: y\r\n\r\n", "400"),
    ("GET / HTTP/1.1\nHOST\r\n", "400"),
    ("GET / HTTP/1.1\r\nhost: mirror.test\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: y\n\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: y\r\n\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: a\rb\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: y\r\n folded\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: y\r\n\tfolded\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\n first: line\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTcontent-length : 3\r\n\r\nabc", "400"),
    ("GET / HTTP/1.1\r\nHOSTtransfer-encoding\t: chunked\r\n\r\n0\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx\0y: z\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: a\0b\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTx: a\x7fb\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTno colon\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOST: empty\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTcontent(length): 3\r\n\r\n", "400"),
    // The request line.
    ("GET  / HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET /  HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET / x HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET /\r\nHOST\r\n", "400"),
    (" GET / HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET\t/ HTTP/1.1\r\nHOST\r\n", "400"),
    ("G(T / HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.2\r\nHOST\r\n", "505"),
    ("GET / HTTP/2.0\r\nHOST\r\n", "505"),
    ("GET / HTTP/0.9\r\nHOST\r\n", "505"),
    ("GET / HTTP/1.10\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.1x\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.1 \r\nHOST\r\n", "400"),
    ("GET / HTTP/01.1\r\nHOST\r\n", "400"),
    ("GET / http/1.1\r\nHOST\r\n", "400"),
    ("GET path HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET * HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET /#part HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET ftp://mirror.test/ HTTP/1.1\r\nHOST\r\n", "400"),
    ("CONNECT mirror.test:443 HTTP/1.1\r\nHOST\r\n", "405"),
    // The host.
    ("GET / HTTP/1.1\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSThost: mirror.test\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHOSTHost: other.test\r\n\r\n", "400"),
    ("GET http://mirror.test/ HTTP/1.1\r\nHOSThost: other.test\r\n\r\n", "400"),
    ("GET http://mirror.test/ HTTP/1.1\r\n\r\n", "400"),
    ("GET http:///x HTTP/1.1\r\nHOST\r\n", "400"),
    ("GET / HTTP/1.1\r\nhost: mirror.test/x\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nhost: a@mirror.test\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nhost: mirror.test:80:80\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nhost: mirror.test, other.test\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nhost:\r\n\r\n", "400"),
    // What is no HTTP.
    ("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03", "400"),
    ("\r\n\r\n\n", "400"),
];

/// Bodies in the chunked coding. A target may see the head, but never the end of the body.
const BAD_CHUNKS: &[&str] = &[
    "zz\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    "+3\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3 \r\nabc\r\n0\r\n\r\n",
    "3\nabc\n0\n\n",
    "3\rabc\r0\r\r",
    "3\r\nabc\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\t\r\nabc\r\n0\r\n\r\n",
    "0000000000000003\r\nabc\r\n0\r\n\r\n",
    "3\r\nabcXX0\r\n\r\n",
    "3\r\nabc\r\r\n0\r\n\r\n",
    "3\r\r\nabc\r\n0\r\n\r\n",
    "3;a\nb\r\nabc\r\n0\r\n\r\n",
    "3;\nx\r\nabc\r\n0\r\n\r\n",
    "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n",
    "3;\0\r\nabc\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nx y: z\r\n\r\n",
    "3\r\nabc\r\n0\r\nx: y\n\r\n",
    "3\r\nabc\r\n0\r\n folded: y\r\n\r\n",
];

type Seen = Arc<Mutex<Vec<u8>>>;

/// A target that says nothing, and what it has seen.
async fn listener() -> (Backend, Seen) {
    let seen = Seen::default();
    let saw = Arc::clone(&seen);
    let backend = Backend::raw(move |mut stream| {
        let saw = Arc::clone(&saw);
        async move {
            let mut bytes = vec![0; 4096];
            while let Ok(length) = stream.read(&mut bytes).await
                && length > 0
            {
                saw.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        }
    });
    (backend.await, seen)
}

/// Returns what was seen since the last time.
fn take(seen: &Seen) -> String {
    String::from_utf8_lossy(&std::mem::take(&mut *seen.lock().unwrap())).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_can_be_read_in_two_ways_reach_nobody() {
    let router = TestRouter::start().await;
    let (backend, seen) = listener().await;
    router.upsert(&router.route("mirror", &[&backend])).await;
    for (request, expected) in REFUSED {
        let request = request.replace("HOST", HOST);
        assert_eq!(status(&router, request.as_bytes()).await, *expected, "{request:?}");
    }
    assert_eq!(take(&seen), "");
    for chunks in BAD_CHUNKS {
        let head = format!("POST / HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n");
        let request = head + chunks;
        assert_eq!(status(&router, request.as_bytes()).await, "400", "{chunks:?}");
        let seen = take(&seen);
        assert!(!seen.ends_with("0\r\n\r\n"), "{chunks:?}: {seen:?}");
    }
    let expecting = REFUSED.iter().filter(|(_, status)| *status == "417").count();
    let lines = router.log_lines("mirror", expecting + BAD_CHUNKS.len()).await;
    assert!(lines.iter().all(|line| line.contains("code=H26")));
    let of_chunks = lines.iter().filter(|line| line.contains("bad chunk"));
    assert_eq!(of_chunks.count(), BAD_CHUNKS.len());
    router.stop().await;
}

/// What comes on a connection after a request for an app whose answers are compressed.
async fn after_another(router: &TestRouter, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: zipped.test\r\n\r\n").await.unwrap();
    read_until(&mut stream, "as it is").await;
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let limit = Duration::from_secs(20);
    let read = tokio::time::timeout(limit, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "still open after {:?}", String::from_utf8_lossy(request));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_so_after_a_compressed_answer_too() {
    let router = TestRouter::start().await;
    let (backend, seen) = listener().await;
    router.upsert(&router.route("mirror", &[&backend])).await;
    let plain = Backend::says("as it is").await;
    let mut settings = RoutingSettings::default();
    settings.set("compression", Some("gzip")).unwrap();
    let zipped = router.route("zipped", &[&plain]);
    router.upsert(&AppRoute { settings: Some(Box::new(settings)), ..zipped }).await;
    for (request, _) in REFUSED {
        let request = request.replace("HOST", HOST);
        let answer = after_another(&router, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{request:?}: {answer}");
        assert_eq!(take(&seen), "", "{request:?}");
    }
    for chunks in BAD_CHUNKS {
        let head = format!("POST / HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n");
        let answer = after_another(&router, (head + chunks).as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{chunks:?}: {answer}");
        assert!(!take(&seen).ends_with("0\r\n\r\n"), "{chunks:?}");
    }
    // And a protocol in which others' requests would come is asked for in vain.
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("other", &[&mirror])).await;
    let upgrade = "GET / HTTP/1.1\r\nhost: other.test\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\nconnection: close, upgrade, http2-settings\r\n\r\n";
    let answer = after_another(&router, upgrade.as_bytes()).await;
    assert!(answer.contains("GET /\n") && !answer.contains("upgrade"), "{answer}");
    router.stop().await;
}

/// Each with what the target gets instead: all of it is clear.
const CLEARED: &[(&str, &[&str], &[&str])] = &[
    (
        "GET http://mirror.test/x HTTP/1.1\r\nhost: other.test\r\nconnection: close\r\n\r\n",
        &["GET /x\n", "host: mirror.test\n"],
        &["other.test"],
    ),
    (
        "POST / HTTP/1.1\r\nHOSTcontent-length: 003\r\nconnection: close, content-length, host\r\n\r\nabc",
        &["content-length: 3\n", "host: mirror.test\n", "\n\nabc"],
        &[],
    ),
    (
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: Chunked\r\nconnection: close, transfer-encoding\r\n\r\n003;x=y\r\nabc\r\n0\r\nhost: evil\r\n\r\n",
        &["transfer-encoding: chunked\n", "\n\nabc"],
        &["evil"],
    ),
    (
        "GET / HTTP/1.1\r\nHOSTx-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\nx-request-start: 1\r\nproxy-authorization: x\r\nconnection: close\r\n\r\n",
        &["x-forwarded-proto: http\n"],
        &["x-forwarded-proto: https", "x-request-start: 1\n", "proxy-authorization"],
    ),
    (
        "GET / HTTP/1.1\r\nHOSTupgrade: h2c\r\nhttp2-settings: AAA\r\nconnection: close, upgrade, http2-settings\r\n\r\n",
        &["GET /\n"],
        &["upgrade", "http2-settings"],
    ),
    // To many programs `_` in a name is `-`.
    (
        "POST / HTTP/1.1\r\nHOSTcontent-length: 3\r\nContent_Length: 0\r\ntransfer_encoding: chunked\r\nX_Forwarded-For: 6.6.6.6\r\nx-forwarded_proto: https\r\nx_mine: kept\r\nconnection: close\r\n\r\nabc",
        &["content-length: 3\n", "x_mine: kept\n", "\n\nabc"],
        &["content_length", "transfer_encoding", "6.6.6.6", "https"],
    ),
    (
        "GET / HTTP/1.1\r\nHOSTconnection: close, x-forwarded-for, x-request-id, via\r\n\r\n",
        &["x-forwarded-for: 127.0.0.1\n", "x-request-id: ", "via: 1.1 windlass-router\n"],
        &[],
    ),
    // A GET may have a body, which is no second request.
    (
        "GET / HTTP/1.1\r\nHOSTcontent-length: 3\r\nconnection: close\r\n\r\nabc",
        &["content-length: 3\n", "\n\nabc"],
        &[],
    ),
    // Empty lines before a request are no part of it.
    ("\r\n\r\nGET /later HTTP/1.1\r\nHOSTconnection: close\r\n\r\n", &["GET /later\n"], &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_gets_is_clear() {
    let router = TestRouter::start().await;
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    for (request, present, absent) in CLEARED {
        let request = request.replace("HOST", HOST);
        let answer = raw(router.address, &request).await;
        let mirrored = answer.split_once("\r\n\r\n").unwrap().1;
        for text in *present {
            assert!(mirrored.contains(text), "{request:?}: no {text:?} in {mirrored}");
        }
        for text in *absent {
            assert!(!mirrored.contains(text), "{request:?}: {text:?} in {mirrored}");
        }
    }
    router.stop().await;
}

/// Answers of targets that are not clear, each with the code that the client gets.
const BAD_ANSWERS: &[(&str, &str)] = &[
    ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na", "H17"),
    ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "H17"),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "H17"),
    ("HTTP/1.1 200 OK\ncontent-length: 0\n\n", "H17"),
    ("HTTP/1.1 200 OK\r\nx: y\r\n folded\r\ncontent-length: 0\r\n\r\n", "H17"),
    ("HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: 0\r\n\r\n", "H17"),
    ("HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", "H17"),
    ("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "H17"),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "H17"),
    ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "H17"),
    ("HTTP/2 200\r\n\r\n", "H17"),
    ("SSH-2.0-OpenSSH\r\n", "H13"),
    ("HTTP/1.1 200 OK\r\ncontent-len", "H13"),
    ("", "H13"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_clear_are_replaced() {
    let router = TestRouter::start().await;
    let backend = Backend::raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        let at: usize = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        stream.write_all(BAD_ANSWERS[at].0.as_bytes()).await.unwrap();
    })
    .await;
    router.upsert(&router.route("bad", &[&backend])).await;
    for (at, (answer, code)) in BAD_ANSWERS.iter().enumerate() {
        let (status, _, text) = get(router.address, "bad.test", &format!("/{at}")).await;
        assert_eq!(status, 503, "{answer:?}");
        assert!(text.contains(code), "{answer:?}: {text}");
    }
    router.stop().await;
}
