//! WebSockets over HTTP/2 (RFC 8441) to apps of HTTP/1.1.

use crate::http2::{Client, all, ended};
use crate::support::*;
use crate::tunnel::echo_to_the_end;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use std::time::Duration;
use windlass_core::route::Availability;

/// Switches to a WebSocket whose frames it does not look at: echoes, and says `bye` once the client
/// has closed its side.
pub async fn echo() -> Backend {
    Backend::start(|mut request| async move {
        let headers = request.headers();
        assert_eq!(
            (request.method().as_str(), headers["upgrade"].as_bytes()),
            ("GET", &b"websocket"[..])
        );
        assert_eq!(headers["connection"], "upgrade");
        assert_eq!(headers["sec-websocket-version"], "13");
        assert_eq!(headers["sec-websocket-key"].len(), 24);
        tokio::spawn(echo_to_the_end(hyper::upgrade::on(&mut request)));
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", "whatever")
            .header("sec-websocket-protocol", "chat")
            .body(Empty::new().boxed())
            .unwrap()
    })
    .await
}

fn connect_request(protocol: &'static str) -> Request<()> {
    Request::builder()
        .method("CONNECT")
        .uri("http://chat.test/chat")
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

pub async fn open(client: &Client) -> (Response<RecvStream>, SendStream<Bytes>) {
    let mut requests = client.requests.clone().ready().await.unwrap();
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (response, send) = requests.send_request(connect_request("websocket"), false).unwrap();
    (response.await.unwrap(), send)
}

/// Reads until so many bytes have come.
pub async fn read(body: &mut RecvStream, length: usize) -> Vec<u8> {
    let mut seen = Vec::new();
    while seen.len() < length {
        let data = body.data().await.expect("more to come").unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        seen.extend_from_slice(&data);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_2_is_in_flight_until_both_sides_have_closed() {
    let router = TestRouter::start().await;
    let backend = echo().await;
    let mut route = router.route("chat", &[&backend]);
    router.upsert(&route).await;
    let client = Client::connect(router.address).await;
    let (response, mut send) = open(&client).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let mut body = response.into_body();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    send.send_data(Bytes::from(sent.clone()), false).unwrap();
    assert!(read(&mut body, sent.len()).await == sent);

    route.targets.clear();
    route.availability = Availability::Starting;
    router.upsert(&route).await;
    assert_eq!(router.drain(&backend.instance, 50).await, 1, "the tunnel counts");
    send.send_data(Bytes::from_static(b"still"), false).unwrap();
    assert_eq!(read(&mut body, 5).await, b"still");
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(read(&mut body, 3).await, b"bye", "the other direction outlives the first");
    ended(&mut body).await;
    assert_eq!(router.drain(&backend.instance, 60_000).await, 0);
    let log = router.log_lines("chat", 1).await;
    assert!(log[0].contains("method=GET path=\"/chat\" "), "{}", log[0]);
    assert!(
        log[0].contains("at=info ") && log[0].contains("status=101 bytes=1000008 "),
        "{}",
        log[0]
    );
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_it_ends_the_tunnel() {
    let router = TestRouter::start().await;
    let backend = echo().await;
    router.upsert(&router.route("chat", &[&backend])).await;
    let client = Client::connect(router.address).await;
    let (response, mut send) = open(&client).await;
    router.wait_in_flight(1).await;
    send.send_reset(Reason::CANCEL);
    drop(response);
    router.wait_in_flight(0).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_websocket_is_refused() {
    let router = TestRouter::start().await;
    let plain = Backend::says("plain").await;
    router.upsert(&router.route("chat", &[&plain])).await;
    let client = Client::connect(router.address).await;
    // A success would mean that the tunnel is there.
    let (response, _) = open(&client).await;
    let (status, _, text) = all(response).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("H17"), "{text}");
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, _) = requests.send_request(connect_request("connect-udp"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_waits_for_them_at_its_end() {
    let mut router = TestRouter::start().await;
    let backend = echo().await;
    router.upsert(&router.route("chat", &[&backend])).await;
    let client = Client::connect(router.address).await;
    let (response, mut send) = open(&client).await;
    let mut body = response.into_body();
    router.order_stop();
    while tokio::net::TcpStream::connect(router.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    send.send_data(Bytes::from_static(b"late"), false).unwrap();
    assert_eq!(read(&mut body, 4).await, b"late");
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(read(&mut body, 3).await, b"bye");
    router.stop().await;
}
