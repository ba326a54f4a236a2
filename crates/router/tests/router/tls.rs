//! Requests over TLS: whose certificate is shown, and that no change of it loses any.

use crate::hand_over::next;
use crate::support::*;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use windlass_core::challenges::{AlpnCertificate, Challenges};
use windlass_core::route::{RouteCertificate, RouterCommand, RouterReply};
use windlass_router::RouterConfig;

/// Starts a router that listens for TLS too; returns where.
pub async fn start(adjust: impl FnOnce(&mut RouterConfig)) -> (TestRouter, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RouterConfig::new(
        "127.0.0.1:0".parse().unwrap(),
        folder.path().join("router.sock"),
        folder.path().join("routes.json"),
    );
    config.listen.https = Some("127.0.0.1:0".parse().unwrap());
    adjust(&mut config);
    let router = TestRouter::run(folder, config).await;
    let https = router.status().await.https.unwrap();
    (router, https)
}

pub fn certificate(hosts: &[&str]) -> (RouteCertificate, CertificateDer<'static>) {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(hosts.clone()).unwrap();
    let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
    let sent = RouteCertificate { hosts, is_default: false, chain_pem, key_pem };
    (sent, made.cert.der().clone())
}

pub async fn put(router: &TestRouter, certificates: Vec<RouteCertificate>) {
    let reply = router.send(RouterCommand::Certificates { certificates }).await;
    assert_eq!(reply, RouterReply::Applied);
}

pub static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// A client that trusts these certificates and keeps its sessions.
pub fn client(
    trusted: &[&CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

pub async fn handshake(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

pub async fn speak(stream: TlsStream<TcpStream>) -> SendRequest<Full<Bytes>> {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn shown(stream: &TlsStream<TcpStream>) -> &CertificateDer<'static> {
    &stream.get_ref().1.peer_certificates().unwrap()[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_choose_their_certificate_in_both_versions() {
    let (router, https) = start(|_| {}).await;
    let (exact, exact_der) = certificate(&["www.example.com"]);
    let (wildcard, wildcard_der) = certificate(&["*.example.com", "example.com"]);
    let (mut default, default_der) = certificate(&["apps.test", "unknown.test"]);
    default.hosts.pop();
    put(&router, vec![wildcard.clone(), exact.clone()]).await;
    let trusted = [&exact_der, &wildcard_der, &default_der];
    for version in BOTH {
        let config = client(&trusted, &[version], &[b"http/1.1"]);
        for (name, expected) in [
            ("www.example.com", &exact_der),
            ("api.example.com", &wildcard_der),
            ("example.com", &wildcard_der),
        ] {
            let stream = handshake(https, &config, name).await.unwrap();
            assert_eq!(shown(&stream), expected, "{name}");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        }
        for name in ["a.b.example.com", "unknown.test"] {
            let error = handshake(https, &config, name).await.unwrap_err().to_string();
            assert!(error.contains("UnrecognisedName"), "{name}: {error}");
        }
    }
    default.is_default = true;
    put(&router, vec![default, exact, wildcard]).await;
    let config = client(&trusted, &BOTH, &[b"h2", b"http/1.1"]);
    let stream = handshake(https, &config, "unknown.test").await.unwrap();
    assert_eq!(shown(&stream), &default_der);
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_see_that_a_request_came_over_tls() {
    let (router, https) = start(|_| {}).await;
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    let (sent, der) = certificate(&["mirror.test"]);
    put(&router, vec![sent]).await;
    for version in BOTH {
        let config = client(&[&der], &[version], &[]);
        let mut client = speak(handshake(https, &config, "mirror.test").await.unwrap()).await;
        let (status, _, text) = send(&mut client, request("mirror.test", "/a")).await;
        assert_eq!(status, 200);
        let port = format!("x-forwarded-port: {}", https.port());
        for line in ["GET /a", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https", &port] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
        // The end is said, so that nobody can cut an answer short.
        let mut stream = handshake(https, &config, "mirror.test").await.unwrap();
        let last = b"GET /b HTTP/1.1\r\nhost: mirror.test\r\nconnection: close\r\n\r\n";
        stream.write_all(last).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_resumed_and_by_the_next_router_too() {
    let (router, https) = start(|_| {}).await;
    let app = Backend::says("hello").await;
    router.upsert(&router.route("app", &[&app])).await;
    let (sent, der) = certificate(&["app.test"]);
    put(&router, vec![sent]).await;
    let configs = BOTH.map(|version| client(&[&der], &[version], &[b"http/1.1"]));
    let kind = async |config: &Arc<ClientConfig>| {
        let stream = handshake(https, config, "app.test").await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        // Tickets of version 1.3 come with the first answer.
        let answer = send(&mut speak(stream).await, request("app.test", "/")).await;
        assert_eq!(answer.2, "hello");
        kind.unwrap()
    };
    for config in &configs {
        assert_eq!(kind(config).await, HandshakeKind::Full);
        assert_eq!(kind(config).await, HandshakeKind::Resumed);
    }
    let config = RouterConfig { listen: router.status().await.listen, ..router.config.clone() };
    let (client, stop) = next(&config).await;
    let Ok(RouterReply::Status(status)) = client.send(RouterCommand::Status).await else {
        panic!("no status")
    };
    assert_eq!(status.https, Some(https));
    for config in &configs {
        assert_eq!(kind(config).await, HandshakeKind::Resumed);
    }
    stop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_and_a_hand_over_under_load_lose_nothing() {
    let (router, https) = start(|_| {}).await;
    let app = Backend::says("hello").await;
    router.upsert(&router.route("app", &[&app])).await;
    let made: Vec<_> = (0..4).map(|_| certificate(&["app.test"])).collect();
    put(&router, vec![made[0].0.clone()]).await;
    let trusted: Vec<&CertificateDer<'static>> = made.iter().map(|(_, der)| der).collect();
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = (0..4).map(|_| {
        let config = client(&trusted, &BOTH, &[b"http/1.1"]);
        let (over, done) = (Arc::clone(&over), Arc::clone(&done));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let stream = handshake(https, &config, "app.test").await.unwrap();
                let mut client = speak(stream).await;
                for _ in 0..3 {
                    let (status, headers, text) = send(&mut client, request("app.test", "/")).await;
                    assert_eq!((status.as_u16(), text.as_str()), (200, "hello"));
                    done.fetch_add(1, Ordering::Relaxed);
                    if headers.get("connection").is_some_and(|value| value == "close") {
                        break;
                    }
                }
            }
        })
    });
    let load: Vec<_> = load.collect();
    for round in 1..=40 {
        put(&router, vec![made[round % made.len()].0.clone()]).await;
    }
    let config = RouterConfig { listen: router.status().await.listen, ..router.config.clone() };
    let (client, stop) = next(&config).await;
    let before = done.load(Ordering::Relaxed);
    for round in 1..=10 {
        let certificates = vec![made[round % made.len()].0.clone()];
        let reply = client.send(RouterCommand::Certificates { certificates }).await;
        assert_eq!(reply.unwrap(), RouterReply::Applied);
    }
    while done.load(Ordering::Relaxed) < before + 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    over.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    stop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_survive_a_restart_and_a_bad_one_changes_nothing() {
    let (router, https) = start(|_| {}).await;
    let (good, der) = certificate(&["app.test"]);
    let (other, _) = certificate(&["other.test"]);
    put(&router, vec![good.clone()]).await;
    let wrong = RouteCertificate { key_pem: good.key_pem.clone(), ..other };
    let certificates = vec![wrong];
    let RouterReply::Failed { message } =
        router.send(RouterCommand::Certificates { certificates }).await
    else {
        panic!("a key that does not belong to it was taken")
    };
    assert!(message.starts_with("the certificate for other.test cannot be used"), "{message}");
    let config = client(&[&der], &BOTH, &[]);
    handshake(https, &config, "app.test").await.unwrap();
    let file = router.config.certificates_file.clone();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (folder, config_before) = router.stop().await;
    let again = TestRouter::run(folder, config_before).await;
    let https = again.status().await.https.unwrap();
    handshake(https, &config, "app.test").await.unwrap();
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_authority_sees_its_challenge() {
    let (router, https) = start(|_| {}).await;
    let (usual, usual_der) = certificate(&["app.test"]);
    let (challenge, challenge_der) = certificate(&["app.test"]);
    put(&router, vec![usual]).await;
    let shown_to_it =
        AlpnCertificate { certificate_pem: challenge.chain_pem, key_pem: challenge.key_pem };
    let alpn = BTreeMap::from([("app.test".to_owned(), shown_to_it)]);
    let challenges = Challenges { alpn, ..Challenges::default() };
    let reply = router.send(RouterCommand::Challenges { challenges }).await;
    assert_eq!(reply, RouterReply::Applied);
    let trusted = [&usual_der, &challenge_der];
    let authority = client(&trusted, &BOTH, &[b"acme-tls/1"]);
    let stream = handshake(https, &authority, "app.test").await.unwrap();
    assert_eq!(shown(&stream), &challenge_der);
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"acme-tls/1".as_slice()));
    let visitor = client(&trusted, &BOTH, &[b"http/1.1", b"acme-tls/1"]);
    assert_eq!(shown(&handshake(https, &visitor, "app.test").await.unwrap()), &usual_der);
    let error = handshake(https, &authority, "other.test").await.unwrap_err().to_string();
    assert!(error.contains("UnrecognisedName"), "{error}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_nothing_is_let_go() {
    let (router, https) =
        start(|config| config.limits.handshake = Duration::from_millis(1_000)).await;
    let (sent, _) = certificate(&["app.test"]);
    put(&router, vec![sent]).await;
    for begin in [b"".as_slice(), b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(https).await.unwrap();
        stream.write_all(begin).await.unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it is let go");
        let is_told = String::from_utf8_lossy(&rest).contains("https://");
        assert_eq!(is_told, begin.starts_with(b"GET"));
    }
    router.stop().await;
}
