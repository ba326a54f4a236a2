//! Upgrades become tunnels.

use crate::support::*;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_core::route::{Availability, RouterCommand, RouterReply};

const UPGRADE: &[u8] =
    b"GET /chat HTTP/1.1\r\nhost: chat.test\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n";

/// Switches to a protocol that echoes, and says `bye` once the client has closed its side.
pub async fn echo() -> Backend {
    Backend::start(|mut request| async move {
        if request.headers().get("upgrade").is_none_or(|protocol| protocol != "echo") {
            return Response::new(full("no upgrade"));
        }
        tokio::spawn(echo_to_the_end(hyper::upgrade::on(&mut request)));
        let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        switching
            .header("connection", "upgrade")
            .header("upgrade", "echo")
            .body(Empty::new().boxed())
            .unwrap()
    })
    .await
}

/// Echoes what comes through a tunnel, and says `bye` once the other side has closed.
pub async fn echo_to_the_end(upgrade: hyper::upgrade::OnUpgrade) {
    let mut io = TokioIo::new(upgrade.await.unwrap());
    let mut buffer = [0; 64 * 1024];
    loop {
        match io.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => io.write_all(&buffer[..length]).await.unwrap(),
            Err(_) => return,
        }
    }
    io.write_all(b"bye").await.unwrap();
    io.shutdown().await.unwrap();
}

async fn open(router: &TestRouter) -> TcpStream {
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(UPGRADE).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(
        head.contains("upgrade: echo\r\n") && head.contains("connection: upgrade\r\n"),
        "{head}"
    );
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_is_in_flight_until_both_sides_have_closed() {
    let router = TestRouter::start().await;
    let backend = echo().await;
    let mut route = router.route("chat", &[&backend]);
    router.upsert(&route).await;
    let mut stream = open(&router).await;
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(read_until(&mut stream, "hello").await, "hello");

    route.targets.clear();
    route.availability = Availability::Starting;
    router.upsert(&route).await;
    assert_eq!(router.drain(&backend.instance, 50).await, 1, "the tunnel counts");
    stream.write_all(b"still").await.unwrap();
    assert_eq!(read_until(&mut stream, "still").await, "still");
    let draining = RouterCommand::Drain { instance: backend.instance.clone(), timeout_ms: 60_000 };
    let client = router.client.clone();
    let draining = tokio::spawn(async move { client.send(draining).await.unwrap() });

    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye", "the other direction outlives the first");
    assert_eq!(draining.await.unwrap(), RouterReply::Drained { in_flight: 0 });
    let log = router.log_lines("chat", 1).await;
    assert!(log[0].contains("path=\"/chat\" ") && log[0].contains("dyno=web.1 "), "{}", log[0]);
    assert!(log[0].contains("at=info ") && log[0].contains("status=101 bytes=13 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_may_decline_the_upgrade() {
    let router = TestRouter::start().await;
    let backend = Backend::says("plain").await;
    router.upsert(&router.route("chat", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(UPGRADE).await.unwrap();
        let text = read_until(&mut stream, "plain").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_tunnel_is_closed() {
    let router =
        TestRouter::with(|limits| limits.idle = std::time::Duration::from_millis(100)).await;
    let backend = echo().await;
    router.upsert(&router.route("chat", &[&backend])).await;
    let mut stream = open(&router).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let log = router.log_lines("chat", 1).await;
    assert!(log[0].contains("at=error code=H15 desc=\"Idle connection\" "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_waits_for_tunnels_at_its_end() {
    let mut router = TestRouter::start().await;
    let backend = echo().await;
    router.upsert(&router.route("chat", &[&backend])).await;
    let mut stream = open(&router).await;
    router.order_stop();
    while TcpStream::connect(router.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"late").await.unwrap();
    assert_eq!(read_until(&mut stream, "late").await, "late");
    stream.shutdown().await.unwrap();
    assert_eq!(read_until(&mut stream, "bye").await, "bye");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_is_cut_off() {
    let router =
        TestRouter::with(|limits| limits.shutdown = std::time::Duration::from_millis(50)).await;
    let backend = echo().await;
    router.upsert(&router.route("chat", &[&backend])).await;
    let mut stream = open(&router).await;
    let (folder, _) = router.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let log = std::fs::read_to_string(folder.path().join("chat.log")).unwrap();
    assert!(log.contains("at=error code=H24 desc=\"Forced close\" "), "{log}");
}
