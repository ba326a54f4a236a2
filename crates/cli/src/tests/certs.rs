use super::*;
use crate::test_support::{Machine, Server};

fn endpoint(name: &str, origin: &str, expires_at: &str, hosts: &[&str]) -> Value {
    json!({
        "id": U, "name": name, "display_name": null, "app": reference("bibly"), "domains": [U],
        "certificate_chain": "PEM", "hosts": hosts, "created_at": T, "updated_at": T,
        "ssl_cert": {
            "id": U, "acm": origin == "acme", "ca_signed?": true, "self_signed?": false,
            "cert_domains": ["www.example.com"], "issuer": "/CN=Middle", "subject": "/CN=www",
            "starts_at": T, "expires_at": expires_at, "origin": origin,
        },
    })
}

fn with_endpoints(all: Value) -> Server {
    let server = Server::start();
    server.on("GET /apps/bibly/sni-endpoints?with_platform=true", 200, all);
    server
}

const OVER: &str = "2020-01-02T03:04:05Z";

#[test]
fn certificates_are_listed_with_their_end() {
    let server = with_endpoints(json!([
        endpoint("www-example-com-1a2b3c", "imported", OVER, &["www.example.com"]),
        endpoint("bibly-localhost-4d5e6f", "private", OVER, &[]),
    ]));
    assert_eq!(
        Machine::using(&server).run("certs").stdout,
        "=== bibly Certificates\n\n\
         Name                    Origin    Names            Shown for        Expires\n\
         www-example-com-1a2b3c  imported  www.example.com  www.example.com  expired on 2020/01/02\n\
         bibly-localhost-4d5e6f  private   www.example.com  no host          expired on 2020/01/02\n"
    );
    let ended = Machine::using(&with_endpoints(json!([]))).run("certs");
    assert!(ended.stderr.contains("windlass certs:add CRT KEY"), "{}", ended.stderr);
}

#[test]
fn a_certificate_is_added_with_what_the_server_says_of_it() {
    let server = Server::start();
    let mut answer = endpoint("www-example-com-1a2b3c", "imported", OVER, &["www.example.com"]);
    answer["warnings"] = json!(["the chain ends with the certificate itself"]);
    server.on("POST /apps/bibly/sni-endpoints", 201, answer);
    let machine = Machine::using(&server);
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, "the chain").unwrap();
    std::fs::write(&key, "the key").unwrap();
    let ended = machine.run(&format!("certs:add {} {}", chain.display(), key.display()));
    assert!(ended.stderr.contains("Adding a certificate to ⬢ bibly... done"), "{}", ended.stderr);
    assert!(ended.stderr.contains("▸    the chain ends with the certificate itself"));
    assert!(ended.stdout.contains("Shown for:  www.example.com"), "{}", ended.stdout);
    let body = server.body("POST /apps/bibly/sni-endpoints");
    assert_eq!(body, json!({"certificate_chain": "the chain", "private_key": "the key"}));
    let missing = machine.run(&format!("certs:add {} nothing.pem", chain.display())).error();
    assert!(missing.message.contains("nothing.pem"), "{}", missing.message);
}

#[test]
fn the_only_certificate_needs_no_name() {
    let server = Server::start();
    let one = endpoint("one", "imported", OVER, &[]);
    let private = endpoint("private", "private", OVER, &[]);
    server.on("GET /apps/bibly/sni-endpoints?with_platform=true", 200, json!([private, one])).on(
        "DELETE /apps/bibly/sni-endpoints/one",
        200,
        "{}",
    );
    let machine = Machine::using(&server);
    let ended = machine.run("certs:remove");
    assert_eq!(ended.stderr, "Removing one from ⬢ bibly... done\n");
    let two = endpoint("two", "acme", OVER, &[]);
    let error = Machine::using(&with_endpoints(json!([one, two]))).run("certs:info").error();
    assert!(error.message.contains("more than one"), "{}", error.message);
    let shown = Machine::using(&with_endpoints(json!([private]))).run("certs:info");
    assert!(shown.stdout.contains("whoever has run `windlass trust`"), "{}", shown.stdout);
    let error = Machine::using(&with_endpoints(json!([]))).run("certs:info").error();
    assert!(error.message.contains("has no certificate"), "{}", error.message);
}

#[test]
fn the_authority_is_printed() {
    let server = Server::start();
    let authority = json!({
        "certificate": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "fingerprint": "0123456789abcdef", "expires_at": T, "permitted": ["localhost"],
    });
    server.on("GET /certificate-authority", 200, authority);
    assert_eq!(
        Machine::using(&server).run("trust --print").stdout,
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
    );
}
