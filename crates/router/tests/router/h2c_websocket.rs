//! WebSockets to apps that speak HTTP/2 without TLS (RFC 8441).

use crate::h2c;
use crate::http2::{Client, all, ended};
use crate::http2_tunnel::{open, read};
use crate::support::*;
use crate::tunnel::echo_to_the_end;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use windlass_core::route::Availability;

const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nhost: chat.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Takes WebSockets at `/chat`, whose frames it does not look at: echoes, and says `bye` once the
/// client has closed its side.
async fn echo() -> Backend {
    Backend::raw(|stream| {
        let service = service_fn(|mut request: http::Request<hyper::body::Incoming>| async move {
            let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
            assert_eq!((request.method().as_str(), protocol), ("CONNECT", Some("websocket")));
            let headers = request.headers();
            assert_eq!(headers["sec-websocket-version"], "13");
            for name in ["sec-websocket-key", "upgrade", "connection", "host"] {
                assert!(!headers.contains_key(name), "{name}");
            }
            assert_eq!(request.uri().authority().unwrap(), "chat.test");
            if request.uri().path() != "/chat" {
                let refusal = Response::builder().status(StatusCode::FORBIDDEN);
                return Ok::<_, Infallible>(refusal.body(full("not here")).unwrap());
            }
            tokio::spawn(echo_to_the_end(hyper::upgrade::on(&mut request)));
            let begun = Response::builder().header("sec-websocket-protocol", "chat");
            Ok(begun.body(Empty::new().boxed()).unwrap())
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(stream), service);
        async move { drop(connection.await) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http_1_has_a_websocket_with_an_app_of_http_2() {
    let router = TestRouter::start().await;
    let backend = echo().await;
    let mut route = h2c::route(&router, "chat", &[&backend]);
    router.upsert(&route).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    // What follows at once is not lost.
    stream.write_all(&[UPGRADE, b"early"].concat()).await.unwrap();
    let head = read_until(&mut stream, "early").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    for line in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-protocol: chat\r\n",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    route.targets.clear();
    route.availability = Availability::Starting;
    router.upsert(&route).await;
    assert_eq!(router.drain(&backend.instance, 50).await, 1, "the tunnel counts");
    stream.write_all(b"still").await.unwrap();
    assert_eq!(read_until(&mut stream, "still").await, "still");
    stream.shutdown().await.unwrap();
    assert_eq!(read_until(&mut stream, "bye").await, "bye", "one direction outlives the other");
    assert_eq!(router.drain(&backend.instance, 60_000).await, 0);
    let log = router.log_lines("chat", 1).await;
    assert!(log[0].contains("method=GET path=\"/chat\" "), "{}", log[0]);
    assert!(log[0].contains("at=info ") && log[0].contains("status=101 bytes=13 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http_2_has_one_too() {
    let router = TestRouter::start().await;
    let backend = echo().await;
    router.upsert(&h2c::route(&router, "chat", &[&backend])).await;
    let client = Client::connect(router.address).await;
    for _ in 0..3 {
        let (response, mut send) = open(&client).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        let mut body = response.into_body();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        send.send_data(Bytes::from(sent.clone()), false).unwrap();
        assert!(read(&mut body, sent.len()).await == sent);
        send.send_data(Bytes::new(), true).unwrap();
        assert_eq!(read(&mut body, 3).await, b"bye");
        ended(&mut body).await;
    }
    assert_eq!(backend.connections(), 1, "they share a connection");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_the_apps_or_a_clear_one_of_the_router() {
    let router = TestRouter::start().await;
    let (takes, takes_none) = (echo().await, h2c::mirror().await);
    let mut route = h2c::route(&router, "chat", &[&takes]);
    router.upsert(&route).await;
    let elsewhere = String::from_utf8(UPGRADE.to_vec()).unwrap().replace("/chat", "/other");
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(elsewhere.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "not here").await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    // The connection goes on with HTTP.
    stream.write_all(UPGRADE).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    // An app whose settings do not allow it is not asked.
    route.targets = targets(&[&takes_none]);
    router.upsert(&route).await;
    let client = Client::connect(router.address).await;
    for _ in 0..8 {
        let (response, _send) = open(&client).await;
        let (status, _, text) = all(response).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert!(text.contains("takes no WebSockets"), "{text}");
    }
    assert_eq!(get(router.address, "chat.test", "/").await.0, StatusCode::OK, "it is not ejected");
    router.stop().await;
}
