//! Automatic certificates from a real authority (Debian's pebble), which looks names up at the
//! server's own name server.

use crate::support::start_own;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::pebble::{Looks, Pebble};
use windlass_testkit::server::{TestServer, free_port};
use windlass_testkit::{wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(90);
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// A server whose zone is example.test, and an authority that asks it.
struct World {
    server: Arc<TestServer>,
    authority: Pebble,
    looks: Looks,
}

/// Starts the server; the authority is started by the test. `None` where one of them cannot be.
fn start(settings: &[(&str, &str)]) -> Option<World> {
    let authority = Pebble::prepare()?;
    let name_server = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (listen, bundle) = (name_server.to_string(), authority.ca_bundle().display().to_string());
    let directory = authority.directory();
    let own = [
        ("domain", "apps.example.test"),
        ("public-addresses", "127.0.0.1"),
        ("dns-zone", "example.test"),
        ("dns-listen", &listen),
        ("acme-email", "me@example.test"),
        ("acme-directory", &directory),
        ("acme-ca-bundle", &bundle),
        ("acme-name-server", &listen),
    ];
    let server = start_own(&[&own, settings].concat())?;
    let looks = Looks {
        http_port: server.http().port(),
        tls_port: server.https().port(),
        name_server,
        validity: LONG,
    };
    Some(World { server, authority, looks })
}

/// What the API says of a domain's automatic certificate.
fn status(app: &TestApp, host: &str) -> (String, String) {
    let domains = app.json(&["domains"]);
    let domain = domains.as_array().unwrap().iter().find(|domain| domain["hostname"] == host);
    let domain = domain.unwrap_or_else(|| panic!("{host} is not in {domains}"));
    let text = |key: &str| domain[key].as_str().unwrap_or_default().to_owned();
    (text("acm_status"), text("acm_status_reason"))
}

#[track_caller]
fn wait_issued(app: &TestApp, host: &str) {
    wait_until(&format!("a certificate for {host}"), LIMIT, || {
        status(app, host).0 == "cert issued"
    });
}

/// Returns the reason once a certificate has failed with these words.
#[track_caller]
fn wait_failing(app: &TestApp, host: &str, words: &str) -> String {
    wait_for(&format!("{host} to fail with {words:?}"), LIMIT, || {
        let (status, reason) = status(app, host);
        (status == "failing" && reason.contains(words)).then_some(reason)
    })
}

impl World {
    /// Gets a page over TLS as a browser that trusts the authority; returns the certificates.
    #[track_caller]
    fn certificates(&self, host: &str) -> String {
        let port = self.server.https().port();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{certs}"])
            .arg("--cacert")
            .arg(self.authority.root())
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .arg(format!("https://{host}:{port}/"));
        command::run(&mut curl, b"").success()
    }
}

#[test]
fn names_get_certificates_by_http_and_dns_and_new_ones_in_time() {
    let Some(mut world) = start(&[]) else { return };
    world.looks.validity = Duration::from_secs(45);
    world.authority.start(world.looks);
    let app = TestApp::create(&world.server, "acme");
    let _ = app.cli(&["domains:add", "www.example.test"]).success();
    let own = format!("{}.apps.example.test", app.name);
    wait_issued(&app, "www.example.test");
    wait_issued(&app, &own);
    let (first, of_wildcard) = (world.certificates("www.example.test"), world.certificates(&own));
    assert!(of_wildcard.contains("BEGIN CERTIFICATE") && of_wildcard != first);
    let log = world.authority.log();
    assert!(log.contains("Attempting to validate w/ HTTP: http://www.example.test"), "{log}");
    assert!(!log.contains("validate w/ HTTP: http://apps.example.test"), "a wildcard by HTTP?");
    // Two thirds of its life later.
    wait_until("another certificate", LIMIT, || world.certificates("www.example.test") != first);
    wait_until("another wildcard certificate", LIMIT, || world.certificates(&own) != of_wildcard);
    let shown = app.cli(&["certs:auto"]).success();
    assert!(shown.contains("Automatic certificates: on") && shown.contains("issued"), "{shown}");
    let said = app.cli(&["logs"]).success();
    assert!(said.contains("Certificate for www.example.test issued, valid until"), "{said}");
}

#[test]
fn names_get_certificates_by_a_handshake() {
    let Some(mut world) = start(&[("acme-challenges", "tls-alpn-01")]) else { return };
    world.authority.start(world.looks);
    let app = TestApp::create(&world.server, "alpn");
    let _ = app.cli(&["domains:add", "www.example.test"]).success();
    wait_issued(&app, "www.example.test");
    assert!(world.certificates("www.example.test").contains("BEGIN CERTIFICATE"));
    let log = world.authority.log();
    assert!(!log.contains("validate w/ HTTP"), "{log}");
    // A name that leaves takes its certificate along.
    let _ = app.cli(&["domains:remove", "www.example.test"]).success();
    wait_until("its certificate to go", LIMIT, || {
        !app.cli(&["certs"]).success().contains("www.example.test")
    });
}

#[test]
fn failures_are_shown_and_got_over() {
    let Some(mut world) = start(&[]) else { return };
    let app = TestApp::create(&world.server, "failing");
    let host = "www.example.test";
    let _ = app.cli(&["domains:add", host]).success();
    let _ = wait_failing(&app, host, "was not reached");
    // A name of somebody else's is not asked for at all.
    let _ = app.cli(&["domains:add", "www.elsewhere.test"]).success();
    let _ = wait_failing(&app, "www.elsewhere.test", "cannot be looked up");

    // It looks where nobody answers.
    let nowhere = Looks { http_port: free_port(), tls_port: free_port(), ..world.looks };
    world.authority.start(nowhere);
    let _ = app.cli(&["certs:auto:refresh"]).success();
    let reason = wait_failing(&app, host, "did not find the name proved (http-01)");
    assert!(reason.contains("refused"), "{reason}");
    let shown = app.cli(&["certs:auto"]).success();
    assert!(shown.contains(&reason), "{shown}");
    let said = app.cli(&["logs"]).success();
    assert!(said.contains("No certificate for www.example.test yet"), "{said}");

    // It comes back right, with all its accounts lost, and the router is killed meanwhile.
    world.authority.start(world.looks);
    let router = world.server.router_pid().expect("there is a router");
    let _ = app.cli(&["certs:auto:refresh"]).success();
    let _ = nix::sys::signal::kill(Pid::from_raw(router.cast_signed()), Signal::SIGKILL);
    wait_issued(&app, host);
    assert!(world.certificates(host).contains("BEGIN CERTIFICATE"));
    assert!(!world.authority.log().contains("elsewhere"), "nobody else's name was asked for");

    // Switched off, nothing more is asked for; the certificate stays.
    let _ = app.cli(&["certs:auto:disable"]).success();
    let _ = app.cli(&["domains:add", "more.example.test"]).success();
    let shown = app.cli(&["certs:auto"]);
    assert!(shown.everything().contains("Automatic certificates: off"), "{shown}");
    assert!(world.certificates(host).contains("BEGIN CERTIFICATE"));
    let _ = app.cli(&["certs:auto:enable"]).success();
    wait_issued(&app, "more.example.test");
}

#[test]
fn the_zone_is_shown_checked_and_answered_while_the_server_is_away() {
    let Some(world) = start(&[]) else { return };
    let server = &world.server;
    let shown = server.cli(&["dns"]).success();
    for words in ["ns1.example.test", "127.0.0.1", "NS", &world.looks.name_server.to_string()] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    // A name server that is asked in vain for some seconds counts as one that does not answer.
    wait_until("the zone to be right", LIMIT, || {
        let checked = server.cli(&["dns:check"]);
        checked.status.success() && checked.stdout.matches("ok  ").count() == 3
    });
    assert_eq!(dig(&world, "any.name.example.test", "A"), "127.0.0.1");
    server.stop(Signal::SIGKILL);
    assert_eq!(dig(&world, "any.name.example.test", "A"), "127.0.0.1");
    server.start_again();
    assert_eq!(dig(&world, "example.test", "NS"), "ns1.example.test.");
    assert_eq!(dig(&world, "www.example.org", "A"), "", "it is nobody's resolver");
}

/// Asks the zone's name server.
fn dig(world: &World, name: &str, kind: &str) -> String {
    let (address, port) =
        (world.looks.name_server.ip().to_string(), world.looks.name_server.port().to_string());
    let mut dig = Command::new("dig");
    dig.args([&format!("@{address}"), "-p", &port, "+short", "+tries=5", name, kind]);
    command::run(&mut dig, b"").success().trim().to_owned()
}
