//! SSH on the plain port: passed on to the server, and no trouble for HTTP.

use crate::support::*;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use windlass_core::route::SSH_SOCKET;
use windlass_router::RouterConfig;

fn config(adjust: impl FnOnce(&mut RouterConfig)) -> (TempDir, RouterConfig, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RouterConfig::new(
        "127.0.0.1:0".parse().unwrap(),
        folder.path().join("router.sock"),
        folder.path().join("routes.json"),
    );
    config.listen.ssh = true;
    adjust(&mut config);
    let socket = folder.path().join(SSH_SOCKET);
    (folder, config, socket)
}

/// A router, and the server's end: it greets, says back what it gets, and closes at `bye`.
async fn start(adjust: impl FnOnce(&mut RouterConfig)) -> TestRouter {
    let (folder, config, socket) = config(adjust);
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"SSH-2.0-server\r\n").await.unwrap();
                let mut piece = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    stream.write_all(&piece[..length]).await.unwrap();
                    if piece[..length].ends_with(b"bye") {
                        return;
                    }
                }
            });
        }
    });
    TestRouter::run(folder, config).await
}

async fn to_the_end(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut rest).await;
    String::from_utf8_lossy(&rest).into_owned()
}

/// Sends these pieces apart from each other, so that the router sees each by itself.
async fn send(stream: &mut TcpStream, pieces: &[&str]) {
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_is_passed_on_however_it_comes() {
    for h2c in [true, false] {
        let router = start(|config| config.listen.without_h2c = !h2c).await;
        for pieces in [
            &["SSH-2.0-client\r\n"][..],
            &["S", "S", "H", "-", "2.0-client\r\n"],
            &["SSH-2.0-", "x"],
        ] {
            let mut stream = TcpStream::connect(router.address).await.unwrap();
            send(&mut stream, pieces).await;
            send(&mut stream, &["bye"]).await;
            let said = to_the_end(stream).await;
            assert_eq!(said, format!("SSH-2.0-server\r\n{}bye", pieces.concat()), "h2c {h2c}");
        }
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beside_it_are_answered_however_they_come() {
    let mirror = Backend::mirror().await;
    for h2c in [true, false] {
        let router = start(|config| config.listen.without_h2c = !h2c).await;
        router.upsert(&router.route("mirror", &[&mirror])).await;
        let mut ssh = TcpStream::connect(router.address).await.unwrap();
        send(&mut ssh, &["SSH-2.0-client\r\n"]).await;
        let rest = "/ HTTP/1.1\r\nhost: mirror.test\r\nconnection: close\r\n\r\n";
        for method in [&["GET "][..], &["S", "EARCH "], &["S", "U", "BSCRIBE "], &["P", "OST "]] {
            let mut stream = TcpStream::connect(router.address).await.unwrap();
            send(&mut stream, method).await;
            send(&mut stream, &[rest]).await;
            let answer = to_the_end(stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{method:?}: {answer}");
        }
        send(&mut ssh, &["bye"]).await;
        assert!(to_the_end(ssh).await.ends_with("bye"));
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_off_it_is_a_bad_request() {
    let router = start(|config| config.listen.ssh = false).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    send(&mut stream, &["SSH-2.0-client\r\n\r\n"]).await;
    let said = to_the_end(stream).await;
    assert!(!said.contains("SSH-2.0-server"), "{said}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_the_connection_ends() {
    let (folder, config, _) = config(|_| {});
    let router = TestRouter::run(folder, config).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    send(&mut stream, &["SSH-2.0-client\r\n"]).await;
    assert_eq!(to_the_end(stream).await, "");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_through_a_proxy_that_says_who_its_client_is() {
    let router = start(|config| {
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.listen.proxy_protocol = true;
    })
    .await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    let header = "PROXY TCP4 203.0.113.7 198.51.100.2 56324 80\r\n";
    send(&mut stream, &[header, "SSH-2.0-client\r\n", "bye"]).await;
    assert_eq!(to_the_end(stream).await, "SSH-2.0-server\r\nSSH-2.0-client\r\nbye");
    router.stop().await;
}
