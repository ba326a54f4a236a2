//! Rendezvous and TLS on the API's port, as Heroku's clients use them.

use super::support::Server;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use windlass_wire::rendezvous::{GREETING, PROTOCOL};

const LIMIT: Duration = Duration::from_secs(120);

/// Shakes hands as `localhost`, and believes the server's own authority alone.
async fn connect(server: &Server, with_name: bool) -> TlsStream<TcpStream> {
    let authority = server.get("/certificate-authority").await.json();
    let root = authority["certificate"].as_str().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_sni = with_name;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// Starts a one-off; gives its secret.
async fn one_off(server: &Server) -> String {
    let body =
        json!({"command": "cat", "attach": true, "env": {"TERM": "xterm"}, "force_no_tty": true});
    let dyno = server.post("/apps/bibly/dynos", body).await;
    assert_eq!(dyno.status, 201, "{dyno:?}");
    let url = dyno.json()["attach_url"].as_str().unwrap().to_owned();
    let secret = url.strip_prefix(&format!("rendezvous://{}/", server.address));
    secret.expect("our host and port").to_owned()
}

async fn greeted(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut greeting = vec![0; GREETING.len()];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut greeting)).await.unwrap().unwrap();
    assert_eq!(greeting, GREETING);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_attach_without_naming_the_host() {
    let server = Server::start().await;
    server.deployed_app("bibly").await;
    for line_end in ["\r\n", ""] {
        let secret = one_off(&server).await;
        let mut stream = connect(&server, false).await;
        stream.write_all(format!("{secret}{line_end}").as_bytes()).await.unwrap();
        greeted(&mut stream).await;
        stream.write_all(b"hello\n\x04").await.unwrap();
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said);
        tokio::time::timeout(LIMIT, read).await.expect("it ends").unwrap();
        assert_eq!(said, b"hello\n", "the end of input is no output");

        // A secret works once, and who has none learns nothing.
        let mut stream = connect(&server, false).await;
        stream.write_all(format!("{secret}\r\n").as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said);
        tokio::time::timeout(LIMIT, read).await.expect("it ends").unwrap();
        assert_eq!(said, b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarder_upgrades() {
    let server = Server::start().await;
    server.deployed_app("bibly").await;
    let secret = one_off(&server).await;
    let path = format!("/rendezvous/{secret}");
    let plain = server.send_as_is(http::Method::GET, &path, &[], b"").await;
    assert_eq!(plain.status, 426, "{plain:?}");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    greeted(&mut stream).await;
    stream.write_all(b"over http\x04").await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut said)).await.expect("it ends").unwrap();
    assert_eq!(said, b"over http");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_port_speaks_https_and_urls_say_so() {
    let server = Server::start().await;
    server.app("bibly").await;
    let mut stream = connect(&server, true).await;
    let request = format!(
        "POST /apps/bibly/log-sessions HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
         Connection: close\r\nContent-Length: 0\r\n\r\n",
        server.address.port(),
        server.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let url = format!("https://localhost:{}/logs/", server.address.port());
    assert!(answer.contains(&url), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_before_the_private_authority() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::start_with(|settings| settings.api_certificate = Some((chain, key))).await;
    let shown = server.platform.own_certificates().unwrap();
    assert!(shown[0].chain_pem.contains(made.cert.pem().trim()), "the file's");
    assert!(shown.len() == 2 && shown[1].names.contains(&"localhost".to_owned()));
    assert!(shown[1].chain_pem.matches("BEGIN CERTIFICATE").count() == 2, "with its root");
}
