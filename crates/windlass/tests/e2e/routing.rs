//! Requests through the router to apps.

use crate::support::{python, shared_server};
use std::time::{Duration, Instant};
use windlass_testkit::app::TestApp;
use windlass_testkit::http::{self, Connection};
use windlass_testkit::{wait_until, websocket};

#[test]
fn hosts_that_nobody_has_get_a_clean_page() {
    let server = shared_server!();
    let page = server.get("no-such-app.localhost", "/");
    assert_eq!(page.status, 404);
    assert!(page.text().contains("There's nothing here, yet."), "{}", page.text());
    let app = TestApp::create(&server, "blank");
    let page = app.get("/");
    assert!(page.text().contains("Ready for its first deploy"), "{}", page.text());
}

#[test]
fn custom_domains_are_served_until_they_are_removed() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "domain", &python());
    let host = format!("www.{}.example", app.name);
    assert_eq!(server.get(&host, "/").status, 404);
    let _ = app.cli(&["domains:add", &host]).success();
    assert_eq!(server.get(&host, "/healthz").text(), "ok\n", "served when the command returns");
    assert_eq!(server.get(&host.to_uppercase(), "/healthz").status, 200);
    let other = TestApp::create(&server, "other");
    let taken = other.cli(&["domains:add", &host]);
    assert_eq!(taken.code(), 5, "{taken}");
    assert!(app.cli(&["domains"]).success().contains(&host));
    let _ = app.cli(&["domains:remove", &host]).success();
    assert_eq!(server.get(&host, "/").status, 404);
}

#[test]
fn maintenance_and_a_new_name() {
    let server = shared_server!();
    let mut app = TestApp::deployed(&server, "maintenance", &python());
    let _ = app.cli(&["maintenance:on"]).success();
    let page = app.get("/");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("maintenance"), "{}", page.text());
    let _ = app.cli(&["maintenance:off"]).success();
    assert_eq!(app.get("/healthz").status, 200);

    let (old, new) = (app.host(), server.unused_name("renamed"));
    let _ = app.cli(&["rename", &new]).success();
    app.name = new;
    assert_eq!(app.get("/healthz").status, 200);
    assert_eq!(server.get(&old, "/").status, 404);
}

#[test]
fn an_app_sees_who_asked() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "headers", &python());
    let mut connection = app.connect();
    connection
        .send(
            "GET",
            "/headers",
            &[("x-own", "kept"), ("x-request-id", "from-the-client-0123456789")],
            b"",
        )
        .unwrap();
    let seen: serde_json::Value =
        serde_json::from_str(&connection.receive().unwrap().text()).unwrap();
    let seen: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    let header = |name: &str| {
        seen.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    };
    assert_eq!(header("host"), app.host());
    assert_eq!(header("x-own"), "kept");
    assert_eq!(header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("x-request-id"), "from-the-client-0123456789");
}

#[test]
fn bodies_go_through_whole_in_both_directions() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "bodies", &python());
    let body: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut connection = app.connect();
    let echoed = connection.request("POST", "/echo", &body).unwrap();
    assert_eq!(echoed.status, 200);
    assert!(echoed.body == body, "{} bytes came back", echoed.body.len());
    let large = connection.request("GET", "/bytes?n=3000000", b"").unwrap();
    assert_eq!(large.body.len(), 3_000_000, "on the same connection");
}

#[test]
fn a_stream_arrives_piece_by_piece() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "stream", &python());
    let mut connection = app.connect();
    connection.send("GET", "/events?n=3&ms=2000", &[], b"").unwrap();
    let started = Instant::now();
    assert_eq!(
        connection.receive_head().unwrap().header("content-type"),
        Some("text/event-stream")
    );
    let first = connection.receive_chunk().unwrap();
    let first_after = started.elapsed();
    assert!(String::from_utf8_lossy(&first).contains("data: event 1"));
    while !connection.receive_chunk().unwrap().is_empty() {}
    assert!(
        first_after + Duration::from_millis(600) < started.elapsed(),
        "the first event waited for the last"
    );
}

#[test]
fn a_websocket_echoes_and_lives_through_a_swap() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "socket", &python());
    let mut connection = app.connect();
    websocket::upgrade(&mut connection, "/ws").unwrap();
    assert_eq!(websocket::echo(&mut connection, "hello").unwrap(), "hello");
    let _ = app.cli(&["config:set", "SWAP=1"]).success();
    assert_eq!(websocket::echo(&mut connection, "still there").unwrap(), "still there");
}

#[test]
fn an_app_that_breaks_off_gets_herokus_codes() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "broken", &python());
    let hung_up = app.get("/hangup");
    assert_eq!(hung_up.status, 503);
    let garbage = app.get("/garbage");
    assert!((502..=503).contains(&garbage.status), "{garbage:?}");
    app.wait_for_log("code=H13");
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn many_requests_share_one_connection() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "keep", &python());
    let mut connection = app.connect();
    for _ in 0..100 {
        assert_eq!(connection.request("GET", "/healthz", b"").unwrap().status, 200);
    }
    let mut raw = Connection::open(server.http(), &app.host()).unwrap();
    raw.write(b"this is not HTTP\r\n\r\n").unwrap();
    assert_eq!(raw.receive().unwrap().status, 400);
    assert_eq!(http::get(server.http(), &app.host(), "/healthz").unwrap().status, 200);
}

#[test]
fn requests_are_in_the_owners_metrics() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "counted", &python());
    let before = app.get("/healthz");
    assert_eq!(before.status, 200);
    let api = server.api();
    let metrics = |token: &str| {
        let mut connection = Connection::open(api, &api.to_string()).unwrap();
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        connection.send("GET", "/metrics", &headers, b"").unwrap();
        connection.receive().unwrap()
    };
    assert_eq!(metrics("wl-wrong").status, 401);
    let wanted = format!(
        "windlass_router_app_requests_total{{app=\"{}\",dyno=\"web.1\",status=\"2xx\"}} 1\n",
        app.name
    );
    wait_until("the request is counted", Duration::from_secs(20), || {
        let answer = metrics(server.token());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().contains(&wanted)
    });
}
