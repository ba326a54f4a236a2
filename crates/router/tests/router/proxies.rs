//! Proxies in front of the router: whom it believes, and the PROXY protocol.

use crate::support::*;
use std::net::SocketAddr;
use windlass_router::RouterConfig;

async fn start(trusted: &[&str], proxy_protocol: bool) -> TestRouter {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RouterConfig::new(
        "127.0.0.1:0".parse().unwrap(),
        folder.path().join("router.sock"),
        folder.path().join("routes.json"),
    );
    config.listen.trusted_proxies = trusted.iter().map(|text| text.parse().unwrap()).collect();
    config.listen.proxy_protocol = proxy_protocol;
    TestRouter::run(folder, config).await
}

const HEADERS: &str =
    "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-port: 8443\r\n";

/// Sends this before a request, and returns what the app saw.
async fn seen(address: SocketAddr, before: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET / HTTP/1.1\r\nhost: mirror.test\r\n{HEADERS}connection: close\r\n\r\n");
    stream.write_all(&[before, request.as_bytes()].concat()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trusted_proxies_are_believed() {
    let mirror = Backend::mirror().await;
    for (trusted, expected) in [
        (&["127.0.0.0/8"][..], ["203.0.113.9, 127.0.0.1", "https", "8443"]),
        (&["10.0.0.0/8"], ["127.0.0.1", "http", ""]),
    ] {
        let router = start(trusted, false).await;
        router.upsert(&router.route("mirror", &[&mirror])).await;
        let own = router.address.port().to_string();
        let [address, scheme, port] = expected;
        let port = if port.is_empty() { own.as_str() } else { port };
        let text = seen(router.address, b"").await;
        let lines = [
            format!("x-forwarded-for: {address}"),
            format!("x-forwarded-proto: {scheme}"),
            format!("x-forwarded-port: {port}"),
        ];
        assert_lines(&text, &lines.each_ref().map(String::as_str));
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_says_who_the_client_is() {
    let mirror = Backend::mirror().await;
    let router = start(&["127.0.0.0/8"], true).await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([198, 51, 100, 7, 192, 0, 2, 1, 0xdc, 0x04, 0x01, 0xbb]);
    for header in [b"PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n".to_vec(), binary] {
        let text = seen(router.address, &header).await;
        // The client is nobody to be believed.
        let lines = ["x-forwarded-for: 198.51.100.7", "x-forwarded-port: 443"];
        assert_lines(&text, &lines);
        assert_lines(&text, &["x-forwarded-proto: http"]);
    }
    let unknown = seen(router.address, b"PROXY UNKNOWN\r\n").await;
    assert_lines(&unknown, &["x-forwarded-for: 203.0.113.9, 127.0.0.1"]);
    for wrong in [b"".as_slice(), b"PROXY TCP4 nonsense\r\n"] {
        assert_eq!(seen(router.address, wrong).await, "", "it had no good header");
    }
    router.stop().await;
    // Others do not send one, and cannot say who they are by it.
    let router = start(&["10.0.0.0/8"], true).await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    assert_lines(&seen(router.address, b"").await, &["x-forwarded-for: 127.0.0.1"]);
    let forged = seen(router.address, b"PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n").await;
    assert!(!forged.starts_with("HTTP/1.1 200") && !forged.contains("198.51.100.7"), "{forged}");
    router.stop().await;
}
