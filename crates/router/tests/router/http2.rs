//! Clients of HTTP/2.

use crate::support::*;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use windlass_router::{Limits, RouterConfig};

/// A client connection; its task ends with how the connection ended.
pub struct Client {
    pub requests: SendRequest<Bytes>,
    pub ended: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &mut h2::client::Builder::new()).await
    }

    pub async fn with(address: SocketAddr, builder: &mut h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, ended: tokio::spawn(connection) }
    }

    /// Sends a request without a body and returns the answer's head and its body.
    pub async fn open(&mut self, request: Request<()>) -> Response<RecvStream> {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        response.await.unwrap()
    }

    pub async fn get(&mut self, uri: &str) -> (StatusCode, HeaderMap, String) {
        all(self.open(get_request(uri)).await).await
    }
}

pub fn get_request(uri: &str) -> Request<()> {
    Request::builder().uri(uri).body(()).unwrap()
}

/// Reads the answer to its end.
pub async fn all(response: Response<RecvStream>) -> (StatusCode, HeaderMap, String) {
    let (head, mut body) = response.into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    (head.status, head.headers, String::from_utf8(text).unwrap())
}

/// Waits for the end of the data, which may be an empty piece.
pub async fn ended(body: &mut RecvStream) {
    while let Some(data) = body.data().await {
        assert_eq!(data.unwrap().len(), 0);
    }
}

async fn router_with(adjust: impl FnOnce(&mut Limits), backend: &Backend) -> TestRouter {
    let router = TestRouter::with(adjust).await;
    router.upsert(&router.route("app", &[backend])).await;
    router
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_become_those_of_http_1_and_back() {
    let mirror = Backend::mirror().await;
    let router = router_with(|_| {}, &mirror).await;
    let mut client = Client::connect(router.address).await;
    let request = Request::builder()
        .uri("http://app.test/a?b=c")
        .header("cookie", "one=1")
        .header("cookie", "two=2")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (status, headers, text) = all(client.open(request).await).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    for line in [
        "GET /a?b=c\n",
        "host: app.test\n",
        "cookie: one=1; two=2\n",
        "via: 2.0 windlass-router\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-for: 127.0.0.1\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    for name in ["te:", "connection:", "transfer-encoding:"] {
        assert!(!text.contains(name), "{name:?} in {text}");
    }
    assert_eq!(headers["via"], "1.1 windlass-router");
    assert!(!headers.contains_key("connection") && !headers.contains_key("transfer-encoding"));
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("method=GET path=\"/a?b=c\" host=app.test "), "{}", log[0]);
    assert!(log[0].contains("at=info ") && log[0].contains(" status=200 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_share_a_connection() {
    let backend = Backend::paths().await;
    let router = router_with(|_| {}, &backend).await;
    let client = Client::connect(router.address).await;
    let answers = (0..100).map(|number| {
        let mut requests = client.requests.clone();
        async move {
            let request = get_request(&format!("http://app.test/{number}"));
            let (response, _) = requests.send_request(request, true).unwrap();
            assert_eq!(all(response.await.unwrap()).await.2, format!("/{number}"));
        }
    });
    futures_util::future::join_all(answers).await;
    assert_eq!(router.log_lines("app", 100).await.len(), 100);
    assert_eq!(router.status().await.in_flight, 0);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_answers_itself_where_it_must() {
    let mirror = Backend::mirror().await;
    let router = router_with(|_| {}, &mirror).await;
    let mut client = Client::connect(router.address).await;
    let (status, headers, text) = client.get("http://nobody.test/").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(headers["content-length"], text.len().to_string().as_str());
    let connect = Request::builder().method("CONNECT").uri("app.test:443").body(()).unwrap();
    assert_eq!(client.open(connect).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let long = "x".repeat(9_000);
    let request = Request::builder().uri("http://app.test/").header("x", &long).body(()).unwrap();
    assert_eq!(client.open(request).await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let mut request = get_request("http://app.test/");
    for number in 0..10 {
        request.headers_mut().insert(
            http::HeaderName::try_from(format!("x-{number}")).unwrap(),
            long.parse().unwrap(),
        );
    }
    assert_eq!(client.open(request).await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let head = Request::builder().method("HEAD").uri("http://nobody.test/").body(()).unwrap();
    let (status, headers, text) = all(client.open(head).await).await;
    assert_eq!((status, text.as_str()), (StatusCode::NOT_FOUND, ""));
    assert_ne!(headers["content-length"], "0");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_in_two_ways_is_reset() {
    let mirror = Backend::mirror().await;
    let router = router_with(|_| {}, &mirror).await;
    let client = Client::connect(router.address).await;
    for (header, values, body) in [
        ("host", &["other.test"][..], ""),
        ("content-length", &["3"], "four"),
        ("content-length", &["4", "4"], "four"),
        ("content-length", &["x"], "four"),
    ] {
        let mut request =
            Request::builder().method(Method::POST).uri("http://app.test/").body(()).unwrap();
        for value in values {
            request.headers_mut().append(header, value.parse().unwrap());
        }
        let mut requests = client.requests.clone().ready().await.unwrap();
        let (response, mut send) = requests.send_request(request, false).unwrap();
        let _ = send.send_data(Bytes::from(body), true);
        let error = response.await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR), "{header}: {values:?}");
    }
    for (method, path) in [("GET", "?query"), ("GET", "*")] {
        let path = http::uri::PathAndQuery::from_static(path);
        let uri = http::Uri::builder().scheme("http").authority("app.test").path_and_query(path);
        let request = Request::builder().method(method).uri(uri.build().unwrap()).body(()).unwrap();
        let mut requests = client.requests.clone().ready().await.unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        let error = response.await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR), "{method}");
    }
    assert_eq!(client.requests.clone().ready().await.map(drop).ok(), Some(()));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_not_modified_have_no_body() {
    let backend = Backend::without_bodies().await;
    let router = router_with(|_| {}, &backend).await;
    let mut client = Client::connect(router.address).await;
    for method in ["HEAD", "GET", "HEAD"] {
        let request = Request::builder().method(method).uri("http://app.test/").body(()).unwrap();
        let (status, headers, text) = all(client.open(request).await).await;
        let wanted = if method == "HEAD" { 200 } else { 304 };
        assert_eq!((status.as_u16(), text.as_str()), (wanted, ""));
        assert!(method == "GET" || headers["content-length"] == "1234");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_expects_it_is_told_to_go_on() {
    let mirror = Backend::mirror().await;
    let router = router_with(|_| {}, &mirror).await;
    let client = Client::connect(router.address).await;
    let request = Request::builder()
        .method("POST")
        .uri("http://app.test/")
        .header("expect", "100-continue")
        .header("content-length", "5")
        .body(())
        .unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (mut response, mut send) = requests.send_request(request, false).unwrap();
    let go_on = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
    assert_eq!(go_on.unwrap().unwrap().status(), StatusCode::CONTINUE);
    send.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let (status, _, text) = all(response.await.unwrap()).await;
    assert!(status == StatusCode::OK && text.ends_with("\n\nhello"), "{text}");
    assert!(!text.contains("expect:"), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_of_unknown_length_reach_apps_in_chunks() {
    let mirror = Backend::mirror().await;
    let router = router_with(|_| {}, &mirror).await;
    let client = Client::connect(router.address).await;
    let request = Request::builder().method("PUT").uri("http://app.test/").body(()).unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut send) = requests.send_request(request, false).unwrap();
    for piece in ["one ", "", "two"] {
        send.send_data(Bytes::from(piece), false).unwrap();
        tokio::task::yield_now().await;
    }
    send.send_data(Bytes::new(), true).unwrap();
    let (status, _, text) = all(response.await.unwrap()).await;
    assert!(status == StatusCode::OK && text.ends_with("\n\none two"), "{text}");
    assert!(text.contains("transfer-encoding: chunked\n"), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_come_through_whole() {
    let backend = Backend::start(|request| async move {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    let router = router_with(|_| {}, &backend).await;
    let client = Client::connect(router.address).await;
    let sent: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8 & 0x7f).collect();
    let request = Request::builder()
        .method("POST")
        .uri("http://app.test/")
        .header("content-length", sent.len())
        .body(())
        .unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut send) = requests.send_request(request, false).unwrap();
    // Beyond the windows: what does not fit waits in the client.
    send.send_data(Bytes::from(sent.clone()), true).unwrap();
    let (status, _, text) = all(response.await.unwrap()).await;
    assert!(status == StatusCode::OK && text.into_bytes() == sent);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_taken_back_is_over_at_once() {
    let (backend, _gate) = Backend::held().await;
    let router = router_with(|_| {}, &backend).await;
    let client = Client::connect(router.address).await;
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut send) =
        requests.send_request(get_request("http://app.test/"), true).unwrap();
    router.wait_in_flight(1).await;
    send.send_reset(Reason::CANCEL);
    drop(response);
    router.wait_in_flight(0).await;
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("code=H27 ") && log[0].contains(" status=499 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_back_everything_is_sent_away() {
    let backend = Backend::start(|_| std::future::pending()).await;
    let router = router_with(|_| {}, &backend).await;
    let client = Client::connect(router.address).await;
    for _ in 0..2_000 {
        let Ok(mut requests) = client.requests.clone().ready().await else { break };
        let Ok((_, mut send)) = requests.send_request(get_request("http://app.test/"), true) else {
            break;
        };
        tokio::task::yield_now().await;
        send.send_reset(Reason::CANCEL);
    }
    let error = client.ended.await.unwrap().unwrap_err();
    // What it still sends may meet a closed connection before it has read why.
    let is_told = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
    assert!(is_told || error.is_io(), "{error}");
    // Others are served.
    let mut other = Client::connect(router.address).await;
    assert_eq!(other.get("http://nobody.test/").await.0, StatusCode::NOT_FOUND);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_opens_no_window_is_given_up() {
    let backend = Backend::start(|_| async { Response::new(full(vec![b'x'; 1_000_000])) }).await;
    let adjust = |limits: &mut Limits| limits.idle = Duration::from_millis(300);
    let router = router_with(adjust, &backend).await;
    let mut windows = h2::client::Builder::new();
    windows.initial_connection_window_size(1_000_000);
    let mut client = Client::with(router.address, &mut windows).await;
    // It reads nothing, so that nothing is released.
    let response = client.open(get_request("http://app.test/")).await;
    router.wait_in_flight(0).await;
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("code=H28 "), "{}", log[0]);
    // Its other streams have their own windows.
    assert_eq!(client.get("http://nobody.test/").await.0, StatusCode::NOT_FOUND);
    drop(response);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_its_answers_unread_is_given_up() {
    let backend = Backend::says("little").await;
    let adjust = |limits: &mut Limits| limits.idle = Duration::from_millis(300);
    let router = router_with(adjust, &backend).await;
    let mut windows = h2::client::Builder::new();
    windows.initial_window_size(0);
    let mut client = Client::with(router.address, &mut windows).await;
    let response = client.open(get_request("http://app.test/")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let ended = tokio::time::timeout(Duration::from_secs(20), client.ended).await;
    let _ = ended.expect("closed").unwrap();
    let text = tokio::time::timeout(Duration::from_secs(20), response.into_body().data()).await;
    assert!(!matches!(text.expect("an end"), Some(Ok(_))), "nothing was let through");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_limit_are_refused() {
    let backend = Backend::start(|_| std::future::pending()).await;
    let router = router_with(|limits| limits.streams_per_connection = 2, &backend).await;
    // As one that does not hear of the limit.
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for number in [1, 3, 5] {
        // GET, http, /, :authority: all of the request in one frame.
        let head = b"\x82\x86\x84\x41\x08app.test";
        sent.extend_from_slice(&[0, 0, head.len() as u8, 1, 5, 0, 0, 0, number]);
        sent.extend_from_slice(head);
    }
    stream.write_all(&sent).await.unwrap();
    let refused = loop {
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.unwrap();
        let mut payload = vec![0; usize::from(frame[1]) * 256 + usize::from(frame[2])];
        stream.read_exact(&mut payload).await.unwrap();
        // RST_STREAM
        if frame[3] == 3 {
            break (frame[8], payload[3]);
        }
    };
    let refused_stream = u32::from(Reason::REFUSED_STREAM) as u8;
    assert_eq!(refused, (5, refused_stream));
    router.wait_in_flight(2).await;
    drop(stream);
    router.wait_in_flight(0).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_without_tls_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let mut config =
        RouterConfig::new("127.0.0.1:0".parse().unwrap(), path("router.sock"), path("routes.json"));
    config.listen.without_h2c = true;
    let router = TestRouter::run(folder, config).await;
    let answer = raw(router.address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert_eq!(get(router.address, "nobody.test", "/").await.0, StatusCode::NOT_FOUND);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_told_to_go() {
    let mirror = Backend::mirror().await;
    let adjust = |limits: &mut Limits| limits.client_idle = Duration::from_millis(1_000);
    let router = router_with(adjust, &mirror).await;
    let mut client = Client::connect(router.address).await;
    assert_eq!(client.get("http://app.test/").await.0, StatusCode::OK);
    let ended = tokio::time::timeout(Duration::from_secs(20), client.ended).await;
    ended.expect("closed").unwrap().expect("with GOAWAY and without an error");
    // One that never begins is closed as well.
    let mut silent = TcpStream::connect(router.address).await.unwrap();
    let mut rest = Vec::new();
    let read = silent.read_to_end(&mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("closed");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_ends_with_its_streams() {
    let backend = Backend::start(|_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Response::new(full("done"))
    })
    .await;
    let mut router = router_with(|_| {}, &backend).await;
    let mut client = Client::connect(router.address).await;
    let mut idle = Client::connect(router.address).await;
    assert_eq!(idle.get("http://nobody.test/").await.0, StatusCode::NOT_FOUND);
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, _) = requests.send_request(get_request("http://app.test/"), true).unwrap();
    router.wait_in_flight(1).await;
    router.order_stop();
    assert_eq!(all(response.await.unwrap()).await.2, "done");
    drop(requests);
    client.requests = idle.requests;
    for ended in [client.ended, idle.ended] {
        ended.await.unwrap().expect("a GOAWAY, no error");
    }
    router.stop().await;
}

/// Sends requests one after the other, on a new connection when the router says so, and returns how
/// many were answered.
async fn load(address: SocketAddr, stop: Arc<AtomicBool>) -> usize {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let client = Client::connect(address).await;
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut requests) = client.requests.clone().ready().await else { break };
            let sent = requests.send_request(get_request("http://app.test/"), true);
            let Ok((response, _)) = sent else { break };
            match response.await {
                Ok(response) => assert_eq!(all(response).await.2, "ok"),
                // What comes after the last stream that GOAWAY names has reached nobody.
                Err(error) => {
                    assert!(error.is_go_away(), "{error}");
                    break;
                }
            }
            done += 1;
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_the_router_is_replaced() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let backend = Backend::start(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Response::new(full("ok"))
        }
    })
    .await;
    let router = router_with(|_| {}, &backend).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (0..8).map(|_| tokio::spawn(load(router.address, Arc::clone(&stop)))).collect();
    let mut routers = Vec::new();
    for round in 1..=3 {
        while seen.load(Ordering::Relaxed) < round * 200 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        routers.push(crate::hand_over::next(&router.config).await);
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), router.ended()).await;
    ended.expect("its connections were told to go");
    while seen.load(Ordering::Relaxed) < 800 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for client in clients {
        done += client.await.unwrap();
    }
    assert_eq!(done, seen.load(Ordering::Relaxed), "each was answered, and none sent twice");
}
