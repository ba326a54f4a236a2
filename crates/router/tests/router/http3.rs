//! Clients of HTTP/3, and what they ask.

use crate::support::*;
use crate::{h2c, tls};
use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{Code, StreamError};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::CertificateDer;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use windlass_core::route::RouteCertificate;
use windlass_router::{Limits, RouterConfig};

pub type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A client connection.
pub struct Client {
    pub requests: SendRequest<h3_quinn::OpenStreams, Bytes>,
    pub connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

/// Connects without speaking HTTP.
pub async fn quic(
    address: SocketAddr,
    trusted: &[&CertificateDer<'static>],
    name: &str,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    quic_with(address, trusted, name, quinn::TransportConfig::default()).await
}

/// The same with limits of the client's.
pub async fn quic_with(
    address: SocketAddr,
    trusted: &[&CertificateDer<'static>],
    name: &str,
    transport: quinn::TransportConfig,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let config = tls::client(trusted, &[&rustls::version::TLS13], &[b"h3"]);
    let config = QuicClientConfig::try_from(config).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(config));
    config.transport_config(Arc::new(transport));
    let connection = endpoint.connect_with(config, address, name).unwrap().await?;
    Ok((endpoint, connection))
}

impl Client {
    pub async fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> Self {
        Self::to(address, &[trusted], "app.test").await.unwrap()
    }

    pub async fn to(
        address: SocketAddr,
        trusted: &[&CertificateDer<'static>],
        name: &str,
    ) -> Result<Self, quinn::ConnectionError> {
        let (endpoint, connection) = quic(address, trusted, name).await?;
        Ok(Self::over(endpoint, connection).await)
    }

    /// Begins to speak HTTP.
    pub async fn over(endpoint: quinn::Endpoint, connection: quinn::Connection) -> Self {
        let transport = h3_quinn::Connection::new(connection.clone());
        let (mut driver, requests) = h3::client::new(transport).await.unwrap();
        tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        Self { requests, connection, _endpoint: endpoint }
    }

    /// Sends the head of a request.
    pub async fn open(&self, request: Request<()>) -> Stream {
        self.requests.clone().send_request(request).await.unwrap()
    }

    /// Sends a request without a body and returns the answer.
    pub async fn send(&self, request: Request<()>) -> (StatusCode, HeaderMap, String) {
        let mut stream = self.open(request).await;
        stream.finish().await.unwrap();
        all(&mut stream).await.unwrap()
    }

    pub async fn get(&self, uri: &str) -> (StatusCode, HeaderMap, String) {
        self.send(get_request(uri)).await
    }
}

pub fn get_request(uri: &str) -> Request<()> {
    Request::builder().uri(uri).body(()).unwrap()
}

fn post_request(uri: &str) -> Request<()> {
    Request::builder().method(Method::POST).uri(uri).body(()).unwrap()
}

/// Reads the answer to its end.
pub async fn all(stream: &mut Stream) -> Result<(StatusCode, HeaderMap, String), StreamError> {
    let head = stream.recv_response().await?;
    let mut text = Vec::new();
    while let Some(piece) = piece(stream).await? {
        text.extend_from_slice(&piece);
    }
    Ok((head.status(), head.headers().clone(), String::from_utf8(text).unwrap()))
}

async fn piece(stream: &mut Stream) -> Result<Option<Bytes>, StreamError> {
    let piece = stream.recv_data().await?;
    Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
}

pub fn http3(config: &mut RouterConfig) {
    config.listen.http3 = true;
}

/// Starts a router that speaks HTTP/3, and a client of it.
pub async fn start(
    adjust: impl FnOnce(&mut Limits),
    backend: &Backend,
) -> (TestRouter, Client, CertificateDer<'static>) {
    let with = |config: &mut RouterConfig| {
        http3(config);
        adjust(&mut config.limits);
    };
    let (router, address) = tls::start(with).await;
    router.upsert(&router.route("app", &[backend])).await;
    let (certificate, der) = tls::certificate(&["app.test"]);
    tls::put(&router, vec![certificate]).await;
    let client = Client::connect(address, &der).await;
    (router, client, der)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_become_those_of_http_1_and_back() {
    let mirror = Backend::mirror().await;
    let (router, client, _) = start(|_| {}, &mirror).await;
    let port = router.status().await.https.unwrap().port();
    let request = Request::builder()
        .uri("https://app.test/a?b=c")
        .header("cookie", "one=1")
        .header("cookie", "two=2")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (status, headers, text) = client.send(request).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    for line in [
        "GET /a?b=c\n",
        "host: app.test\n",
        "cookie: one=1; two=2\n",
        "via: 3.0 windlass-router\n",
        "x-forwarded-proto: https\n",
        "x-forwarded-for: 127.0.0.1\n",
        &format!("x-forwarded-port: {port}\n"),
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    for name in ["te:", "connection:", "transfer-encoding:", "content-length:"] {
        assert!(!text.contains(name), "{name:?} in {text}");
    }
    assert_eq!(headers["via"], "1.1 windlass-router");
    assert_eq!(headers["alt-svc"], format!("h3=\":{port}\"; ma=86400"));
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("method=GET path=\"/a?b=c\" host=app.test "), "{}", log[0]);
    assert!(log[0].contains(" status=200 ") && log[0].contains(" protocol=https"), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_answers_itself_where_it_must() {
    let backend = Backend::says("hello").await;
    let (router, client, _) = start(|_| {}, &backend).await;
    let (status, headers, text) = client.get("https://nobody.test/").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(headers["content-length"], text.len().to_string());
    let (status, _, _) = client.get(&format!("https://app.test/{}", "x".repeat(9_000))).await;
    assert_eq!(status, StatusCode::URI_TOO_LONG);
    let tunnel = Request::builder().method(Method::CONNECT).uri("app.test:443").body(()).unwrap();
    let mut stream = client.open(tunnel).await;
    assert_eq!(all(&mut stream).await.unwrap().0, StatusCode::METHOD_NOT_ALLOWED);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_in_two_ways_is_reset() {
    let mirror = Backend::mirror().await;
    let (router, client, _) = start(|_| {}, &mirror).await;
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "x-secret"),
        ("te", "gzip"),
        // The end of the stream comes before that of the body.
        ("content-length", "5"),
        ("content-length", "+0"),
        ("content-length", "none"),
    ] {
        let mut request = get_request("https://app.test/");
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        let mut stream = client.open(request).await;
        // It may have been reset by then.
        let _ = stream.finish().await;
        let error = all(&mut stream).await.unwrap_err();
        assert!(is_reset(&error, Code::H3_MESSAGE_ERROR), "{name}: {error}");
    }
    // More than was said.
    let mut request = post_request("https://app.test/");
    request.headers_mut().insert("content-length", HeaderValue::from_static("5"));
    let mut stream = client.open(request).await;
    let _ = stream.send_data(Bytes::from_static(b"hello, GET / HTTP/1.1")).await;
    let _ = stream.finish().await;
    all(&mut stream).await.unwrap_err();
    // The connection goes on.
    assert_eq!(client.get("https://app.test/").await.0, StatusCode::OK);
    router.stop().await;
}

fn is_reset(error: &StreamError, wanted: Code) -> bool {
    matches!(error, StreamError::RemoteTerminate { code, .. } if *code == wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_not_modified_have_no_body() {
    let backend = Backend::without_bodies().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    for method in [Method::HEAD, Method::GET, Method::HEAD] {
        let mut request = get_request("https://app.test/");
        *request.method_mut() = method.clone();
        let (status, headers, text) = client.send(request).await;
        let wanted = if method == Method::HEAD { 200 } else { 304 };
        assert_eq!((status.as_u16(), text.as_str()), (wanted, ""));
        assert!(method == Method::GET || headers["content-length"] == "1234");
    }
    let mut head = get_request("https://nobody.test/");
    *head.method_mut() = Method::HEAD;
    let (status, _, text) = client.send(head).await;
    assert_eq!((status, text.as_str()), (StatusCode::NOT_FOUND, ""));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_stream_at_once_and_end_by_themselves() {
    let backend = Backend::says("other").await;
    let echo = h2c::echo().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    router.upsert(&h2c::route(&router, "echo", &[&echo])).await;
    let mut stream = client.open(post_request("https://echo.test/")).await;
    stream.send_data(Bytes::from_static(b"begin")).await.unwrap();
    let head = stream.recv_response().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(piece(&mut stream).await.unwrap().unwrap(), "begin");
    for number in 0..20 {
        let text = format!("piece {number}");
        stream.send_data(Bytes::from(text.clone())).await.unwrap();
        assert_eq!(piece(&mut stream).await.unwrap().unwrap(), text);
    }
    stream.finish().await.unwrap();
    assert_eq!(piece(&mut stream).await.unwrap(), None);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways() {
    let backend = Backend::says("other").await;
    let mirror = h2c::mirror().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    router.upsert(&h2c::route(&router, "mirror", &[&mirror])).await;
    let mut stream = client.open(post_request("https://mirror.test/")).await;
    stream.send_data(Bytes::from_static(b"hello")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("5"));
    stream.send_trailers(trailers).await.unwrap();
    stream.finish().await.unwrap();
    let (status, headers, text) = all(&mut stream).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("trailer: 5\n") && text.ends_with("hello"), "{text}");
    assert_eq!(headers["via"], "2.0 windlass-router");
    assert_eq!(stream.recv_trailers().await.unwrap().unwrap()["x-end"], "there");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_come_through_whole() {
    let backend = Backend::start(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::new(body).boxed())
    })
    .await;
    let (router, client, _) = start(|_| {}, &backend).await;
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    for says_length in [true, false] {
        let mut request = post_request("https://app.test/");
        if says_length {
            request.headers_mut().insert("content-length", HeaderValue::from(sent.len()));
        }
        let mut stream = client.open(request).await;
        for piece in sent.chunks(100_000) {
            stream.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        stream.finish().await.unwrap();
        let (status, headers, text) = all(&mut stream).await.unwrap();
        assert_eq!(headers["content-length"], "4000000");
        assert!(status == StatusCode::OK && text.into_bytes() == sent);
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_share_a_connection() {
    let backend = Backend::paths().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    let requests = (0..300).map(|number| {
        let client = &client;
        async move {
            let path = format!("/{number}");
            let (status, _, text) = client.get(&format!("https://app.test{path}")).await;
            assert_eq!((status, text), (StatusCode::OK, path));
        }
    });
    futures_util::future::join_all(requests).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_expects_it_is_told_to_go_on() {
    let mirror = Backend::mirror().await;
    let (router, client, _) = start(|_| {}, &mirror).await;
    let mut request = post_request("https://app.test/");
    request.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
    request.headers_mut().insert("content-length", HeaderValue::from_static("5"));
    let mut stream = client.open(request).await;
    let head = stream.recv_response().await.unwrap();
    assert_eq!(head.status(), StatusCode::CONTINUE);
    stream.send_data(Bytes::from_static(b"hello")).await.unwrap();
    stream.finish().await.unwrap();
    let (status, _, text) = all(&mut stream).await.unwrap();
    assert!(status == StatusCode::OK && text.ends_with("\n\nhello"), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_choose_their_certificate_as_soon_as_it_is_there() {
    let backend = Backend::says("hello").await;
    let (router, _, app) = start(|_| {}, &backend).await;
    let address = router.status().await.https.unwrap();
    let (other, other_der) = tls::certificate(&["other.test"]);
    let (again, again_der): (RouteCertificate, _) = tls::certificate(&["app.test"]);
    let trusted = [&app, &other_der, &again_der];
    let shown = async |name: &str| {
        let (_endpoint, connection) = quic(address, &trusted, name).await.ok()?;
        let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        Some(chain[0].clone())
    };
    assert_eq!(shown("app.test").await.as_ref(), Some(&app));
    assert_eq!(shown("other.test").await, None, "there is no certificate");
    tls::put(&router, vec![other, again]).await;
    assert_eq!(shown("other.test").await.as_ref(), Some(&other_der));
    assert_eq!(shown("app.test").await.as_ref(), Some(&again_der));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_over_tls_say_that_there_is_http_3() {
    for is_on in [true, false] {
        let adjust = |config: &mut RouterConfig| {
            config.listen.http3 = is_on;
            config.listen.https_public_port = Some(443);
        };
        let (router, address) = tls::start(adjust).await;
        let backend = Backend::says("hello").await;
        router.upsert(&router.route("app", &[&backend])).await;
        let (certificate, der) = tls::certificate(&["app.test"]);
        tls::put(&router, vec![certificate]).await;
        let said = is_on.then_some("h3=\":443\"; ma=86400");
        let alt_svc = |headers: &HeaderMap| {
            headers.get("alt-svc").map(|value| value.to_str().unwrap().to_owned())
        };
        let config = tls::client(&[&der], &tls::BOTH, &[b"http/1.1"]);
        let mut client =
            tls::speak(tls::handshake(address, &config, "app.test").await.unwrap()).await;
        for (host, accept) in [("app.test", "*/*"), ("nobody.test", "*/*"), ("app.test", "gzip")] {
            let mut request = request(host, "/");
            request.headers_mut().insert("accept-encoding", HeaderValue::from_static(accept));
            let (_, headers, _) = send(&mut client, request).await;
            assert_eq!(alt_svc(&headers).as_deref(), said, "{host}");
        }
        let config = tls::client(&[&der], &tls::BOTH, &[b"h2"]);
        let stream = tls::handshake(address, &config, "app.test").await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut requests = requests.ready().await.unwrap();
        let (answer, _) = requests.send_request(get_request("https://app.test/"), true).unwrap();
        assert_eq!(alt_svc(answer.await.unwrap().headers()).as_deref(), said);
        let (_, headers, _) = get(router.address, "app.test", "/").await;
        assert_eq!(alt_svc(&headers), None, "not without TLS");
        if !is_on {
            let udp = std::net::UdpSocket::bind(address);
            assert!(udp.is_ok(), "nobody listens for it");
        }
        router.stop().await;
    }
}
