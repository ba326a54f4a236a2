//! The server's zone, and automatic certificates.

use super::*;
use crate::test_support::{Machine, Server};

fn zone() -> Value {
    json!({
        "name": "apps.example.com", "name_server": "ns1.apps.example.com",
        "listen": "192.0.2.1:53", "addresses": ["192.0.2.1"],
        "parent_records": [
            {"name": "apps.example.com", "type": "NS", "value": "ns1.apps.example.com"},
            {"name": "ns1.apps.example.com", "type": "A", "value": "192.0.2.1"},
        ],
    })
}

#[test]
fn what_to_delegate_is_printed() {
    let server = Server::start();
    server.on("GET /dns-zone", 200, zone());
    let ended = Machine::using(&server).run("dns");
    assert_eq!(
        ended.stdout,
        "=== apps.example.com\n\n\
         Every host name in it leads to 192.0.2.1.\n\
         It is answered at 192.0.2.1:53.\n\
         \n\
         Set in the zone above apps.example.com:\n\
         \n\
         Name                  Type  Value\n\
         apps.example.com      NS    ns1.apps.example.com\n\
         ns1.apps.example.com  A     192.0.2.1\n"
    );
    assert_eq!(ended.stderr, "Then look at it with `windlass dns:check`.\n");
}

#[test]
fn a_zone_that_does_not_work_is_a_failure() {
    let server = Server::start();
    let checks = |ok: bool| {
        json!([
            {"name": "answers", "ok": true, "detail": "it answers"},
            {"name": "delegated", "ok": ok, "detail": "by whom"},
        ])
    };
    server.on("POST /dns-zone/actions/check", 200, checks(true));
    let ended = Machine::using(&server).run("dns:check");
    assert_eq!(ended.stdout, "ok  answers: it answers\nok  delegated: by whom\n");
    assert_eq!(ended.result, Ok(0));
    let server = Server::start();
    server.on("POST /dns-zone/actions/check", 200, checks(false));
    let ended = Machine::using(&server).run("dns:check");
    assert!(ended.stdout.contains("no  delegated: by whom"), "{}", ended.stdout);
    assert_eq!(ended.result.unwrap_err().kind.exit_code(), 1);
    let server = Server::start();
    server.on("GET /dns-zone", 404, error("not_found", "Couldn't find that zone."));
    let ended = Machine::using(&server).run("dns");
    let error = ended.result.unwrap_err();
    assert!(error.message.contains("dns.zone"), "{error}");
    assert_eq!(error.kind.exit_code(), 4);
}

#[test]
fn automatic_certificates_are_shown_with_their_reasons() {
    let server = Server::start();
    let mut own = domain("bibly.apps.example.com", "heroku", None);
    own["acm_status"] = json!("cert issued");
    let mut failing = domain("www.x.org", "custom", Some("bibly.apps.example.com"));
    failing["acm_status"] = json!("failing");
    failing["acm_status_reason"] = json!("www.x.org has no address yet.");
    let waiting = domain("new.x.org", "custom", Some("bibly.apps.example.com"));
    let mut its_app = app("bibly", "http://localhost");
    its_app["acm"] = json!(true);
    server.on("GET /apps/bibly", 200, its_app).on(
        "GET /apps/bibly/domains",
        200,
        json!([own, failing, waiting]),
    );
    assert_eq!(
        Machine::using(&server).run("certs:auto").stdout,
        "=== bibly Automatic certificates: on\n\n\
         Domain                  Status                Reason\n\
         bibly.apps.example.com  issued\n\
         www.x.org               failing, tried again  www.x.org has no address yet.\n\
         new.x.org               waiting\n"
    );
}

#[test]
fn automatic_certificates_are_switched() {
    let server = Server::start();
    let its_app = app("bibly", "http://localhost");
    server
        .on("POST /apps/bibly/acm", 201, its_app.clone())
        .on("PATCH /apps/bibly/acm", 200, its_app.clone())
        .on("DELETE /apps/bibly/acm", 200, its_app);
    let machine = Machine::using(&server);
    assert!(machine.run("certs:auto:enable").stderr.contains("bibly... done"));
    assert_eq!(machine.run("certs:auto:refresh").result, Ok(0));
    assert_eq!(server.body("PATCH /apps/bibly/acm")["acm_refresh"], true);
    assert_eq!(machine.run("certs:auto:disable").result, Ok(0));
}
