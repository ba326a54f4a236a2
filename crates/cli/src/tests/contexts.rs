//! Several servers, and those with a certificate of their own.

use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// A chain and the key of its first certificate.
type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// An authority that signs certificates for one host.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A new certificate for a name that no test server has.
    fn sign(&self) -> Shown {
        let params = rcgen::CertificateParams::new(vec!["paas.example".to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![leaf.der().clone(), self.certificate.der().clone()], key)
    }

    fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.certificate.der());
        let pairs: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

/// Answers every request with the account, over TLS, showing what `shown` holds. It lives as long
/// as the tests do.
fn secure_server(shown: Arc<Mutex<Shown>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let (chain, key) = {
                let shown = shown.lock().unwrap();
                (shown.0.clone(), shown.1.clone_key())
            };
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
            let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut request = Vec::new();
            let mut byte = [0];
            // Clients that only look at the certificate send nothing.
            while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                request.push(byte[0]);
            }
            let body = account().to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
            connection.send_close_notify();
            let _ = connection.complete_io(&mut socket);
        }
    });
    format!("https://{address}")
}

#[test]
fn a_certificate_is_looked_at_once_and_believed_from_then_on() {
    let authority = Authority::new();
    let shown = Arc::new(Mutex::new(authority.sign()));
    let url = secure_server(shown.clone());
    let machine = Machine::bare();
    let login = format!("login {url} --token t");

    // In a pipe nobody is asked, but what would have to be said is.
    let error = machine.run(&login).error();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.hint.unwrap().contains(&authority.fingerprint()));
    let wrong = machine.run(&format!("{login} --fingerprint {}", "00:".repeat(32)));
    assert!(wrong.error().hint.unwrap().contains(&authority.fingerprint()));
    let digits = authority.fingerprint().replace(':', "").to_lowercase();
    machine.run(&format!("{login} --fingerprint {digits}")).result.unwrap();
    assert_eq!(machine.run("whoami").stdout, "owner@example.com\n");
    let listed: Value = serde_json::from_str(&machine.run("contexts --json").stdout).unwrap();
    assert_eq!(listed[0]["fingerprint"], authority.fingerprint());

    // It was renewed by the same authority.
    *shown.lock().unwrap() = authority.sign();
    assert_eq!(machine.run("whoami").stdout, "owner@example.com\n");

    // Somebody else answers.
    let other = Authority::new();
    *shown.lock().unwrap() = other.sign();
    let error = machine.run("whoami").error();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("not the one that you trusted"), "{error}");
    machine.run(&login).result.unwrap_err();
    // The server's owner says that it is so.
    machine.run(&format!("{login} --fingerprint {}", other.fingerprint())).result.unwrap();
    assert_eq!(machine.run("whoami").stdout, "owner@example.com\n");
}

#[test]
fn a_person_is_asked() {
    let authority = Authority::new();
    let url = secure_server(Arc::new(Mutex::new(authority.sign())));
    let mut machine = Machine::bare();
    machine.stdin_terminal = true;
    machine.input = "n\n".to_owned();
    let ended = machine.run(&format!("login {url} --token t"));
    assert!(ended.stderr.contains(&authority.fingerprint()), "{}", ended.stderr);
    assert_eq!(ended.error().kind, ErrorKind::Refused);
    machine.input = "y\n".to_owned();
    machine.run(&format!("login {url} --token t")).result.unwrap();
    machine.input.clear();
    machine.run(&format!("login {url} --token t")).result.unwrap();
    assert_eq!(machine.run("whoami").stdout, "owner@example.com\n");
}

#[test]
fn logins_are_told_apart_by_name() {
    let (first, second) = (Server::start(), Server::start());
    for server in [&first, &second] {
        server.on("GET /account", 200, account());
    }
    let mut machine = Machine::bare();
    machine.run(&format!("login {} --token one --name prod", first.url())).result.unwrap();
    machine.run(&format!("login {} --token two --name lab", second.url())).result.unwrap();
    let sent = |server: &Server| server.requests().pop().unwrap().headers["authorization"].clone();
    machine.run("whoami --context prod").result.unwrap();
    assert_eq!(sent(&first), "Bearer one");
    machine.set("WINDLASS_CONTEXT", "prod");
    assert_eq!(machine.run("auth:token").stdout, "one\n");
    machine.set("WINDLASS_CONTEXT", "");
    assert_eq!(machine.run("auth:token").stdout, "two\n");
    machine.run("contexts:use prod").result.unwrap();
    assert_eq!(machine.run("auth:token").stdout, "one\n");
    assert_eq!(machine.run("auth:token --context nobody").error().kind, ErrorKind::NotFound);

    let listed = machine.run("contexts").stdout;
    let current: Vec<&str> = listed.lines().filter(|line| line.starts_with('*')).collect();
    assert!(current.len() == 1 && current[0].contains("prod"), "{listed}");
    // A name is of one server, and stays with a new login.
    machine.run(&format!("login {} --token three --name lab", first.url())).result.unwrap();
    machine.run(&format!("login {} --token four", first.url())).result.unwrap();
    assert_eq!(machine.run("auth:token --context lab").stdout, "four\n");
}
