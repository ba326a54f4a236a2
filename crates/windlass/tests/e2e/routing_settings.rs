//! Routing settings, from the command to the next request.

use crate::support::{own_server, python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::http::{Response, basic_credentials};

fn ask(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut connection = app.connect();
    connection.send(method, path, headers, body).unwrap();
    connection.receive().unwrap()
}

fn set(app: &TestApp, settings: &[&str]) -> String {
    app.cli(&[&["routing:set"], settings].concat()).success()
}

/// What the report says of a setting: its value and who set it.
fn reported(app: &TestApp, name: &str) -> (String, String) {
    let routing = app.json(&["routing"]);
    let settings = routing["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["name"] == name).unwrap();
    let text = |key: &str| found[key].as_str().unwrap_or("none").to_owned();
    (text("value"), text("source"))
}

#[test]
fn settings_hold_from_the_next_request_on_and_lose_none() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "settings", &python());
    let (version, processes) = (app.version(), app.json(&["ps"]));
    let load = app.load();
    let said = set(&app, &["response-header:X-Frame-Options=DENY", "max-body=1K", "sticky=on"]);
    assert!(said.contains("max-body") && !said.contains("rate-limit"), "{said}");
    let answer = app.get("/healthz");
    assert_eq!((answer.status, answer.header("x-frame-options")), (200, Some("DENY")));
    assert!(answer.header("set-cookie").unwrap().starts_with("windlass_instance="));
    assert_eq!(ask(&app, "POST", "/echo", &[], &[b'x'; 2_000]).status, 413);
    assert_eq!(ask(&app, "POST", "/echo", &[], &[b'x'; 1_000]).status, 200);
    for turn in 0..10 {
        let _ = set(&app, &[&format!("request-header:X-Turn={turn}")]);
        let seen = app.get("/headers").text();
        assert!(seen.contains(&format!("\"{turn}\"")), "{turn}: {seen}");
    }
    assert_eq!(reported(&app, "max-body"), ("1K".into(), "app".into()));
    assert_eq!(reported(&app, "idle-timeout"), ("55s".into(), "built-in".into()));
    let names = ["max-body", "sticky", "response-header:X-Frame-Options", "request-header:X-Turn"];
    let _ = app.cli(&[&["routing:unset"], &names[..]].concat()).success();
    let answer = app.get("/healthz");
    assert_eq!((answer.header("x-frame-options"), answer.header("set-cookie")), (None, None));
    load.stop().assert_nothing_lost();
    assert_eq!(
        (app.version(), app.json(&["ps"])),
        (version, processes),
        "neither a release nor a restart"
    );
    let wrong = app.cli(&["routing:set", "max-body=much"]);
    assert_eq!(wrong.code(), 5, "{wrong}");
    assert!(wrong.stderr.contains("give a size, for example 512K"), "{wrong}");
}

#[test]
fn an_app_can_ask_for_a_password_and_for_networks() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "private", &python());
    let _ = set(&app, &["basic-auth=ann:se:cret bob:other"]);
    let refused = app.get("/healthz");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic "));
    for (user, password, status) in [("ann", "se:cret", 200), ("bob", "wrong", 401)] {
        let header = basic_credentials(user, password);
        let answer = ask(&app, "GET", "/healthz", &[("authorization", &header)], b"");
        assert_eq!(answer.status, status, "{user}");
    }
    assert_eq!(reported(&app, "basic-auth").0, "ann,bob");
    let table = server.data_directory().join("router-table.json");
    let table = std::fs::read_to_string(table).unwrap();
    assert!(table.contains("pbkdf2") && !table.contains("se:cret"), "no password in clear");
    let _ = app.cli(&["routing:unset", "basic-auth"]).success();
    assert_eq!(app.get("/healthz").status, 200);
    let _ = set(&app, &["deny=127.0.0.0/8,::1"]);
    assert_eq!(app.get("/healthz").status, 403);
    let _ = set(&app, &["deny=10.0.0.0/8", "allow=127.0.0.0/8", "rate-limit=1/h", "rate-burst=3"]);
    let statuses: Vec<u16> = (0..4).map(|_| app.get("/healthz").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn domains_lead_to_others_and_apps_share_a_host() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "site", &python());
    let api = TestApp::deployed(&server, "api", &python());
    let (bare, www) = (format!("{}.example", app.name), format!("www.{}.example", app.name));
    let early = app.cli(&["domains:redirect", &bare, &www]);
    assert!(early.stderr.contains("windlass domains:add"), "{early}");
    for domain in [&bare, &www] {
        let _ = app.cli(&["domains:add", domain]).success();
    }
    let _ = app.cli(&["domains:redirect", &bare, &www]).success();
    let answer = server.get(&bare, "/headers?x=1");
    let expected = format!("http://{www}/headers?x=1");
    assert_eq!((answer.status, answer.header("location")), (301, Some(expected.as_str())));
    assert!(app.cli(&["domains"]).success().contains(&format!("leads to {www}")));

    let _ = set(&api, &[&format!("path={www}/api"), "strip-path=on"]);
    let seen = server.get(&www, "/api/headers").text();
    assert!(seen.contains("\"/api\""), "X-Forwarded-Prefix: {seen}");
    api.wait_for_log("path=\"/api/headers\"");
    assert_eq!(server.get(&www, "/headers").status, 200);
    let foreign = api.cli(&["routing:set", "path=nobody.example.org/api"]);
    assert!(foreign.stderr.contains("is no host of your apps"), "{foreign}");

    let _ = app.cli(&["routing:set", "https=redirect"]).success();
    let answer = server.get(&www, "/headers");
    let location = answer.header("location").unwrap();
    assert_eq!(answer.status, 301);
    assert!(location.starts_with("https://") && location.ends_with("/headers"), "{location}");
    let _ = app.cli(&["domains:remove", &www]).success();
    assert_eq!(server.get(&www, "/api/headers").status, 404, "its paths go with a host");
}

#[test]
fn own_pages_compression_and_no_log() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "pages", &python());
    let page = server.data_directory().join(format!("{}.html", app.name));
    std::fs::write(&page, "<!doctype html><h1>We are painting</h1>").unwrap();
    let _ = app.cli(&["routing:page", "maintenance", page.to_str().unwrap()]).success();
    std::fs::remove_file(&page).unwrap();
    let _ = app.cli(&["maintenance:on"]).success();
    let answer = app.get("/");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, "<!doctype html><h1>We are painting</h1>")
    );
    let _ = app.cli(&["routing:page", "maintenance", "--remove"]).success();
    assert!(app.get("/").text().contains("Offline for maintenance"));
    let _ = app.cli(&["maintenance:off"]).success();

    let _ = set(&app, &["compression=gzip", "access-log=off"]);
    let large = ask(
        &app,
        "GET",
        "/headers?quiet",
        &[("accept-encoding", "gzip"), ("x-long", &"x".repeat(4_000))],
        b"",
    );
    assert_eq!(large.header("content-encoding"), Some("gzip"));
    assert!(large.body.len() < 2_000, "{}", large.body.len());
    let _ = app.cli(&["routing:unset", "access-log"]).success();
    let _ = app.get("/headers?heard");
    app.wait_for_log("path=\"/headers?heard\"");
    assert!(!app.logs().contains("/headers?quiet"), "requests were not logged");
}

#[test]
fn the_server_has_defaults_for_all_apps() {
    let server =
        own_server!(&[("routing-defaults", "response-header:X-Platform=ours max-body=2K")]);
    let app = TestApp::deployed(&server, "defaults", &python());
    assert_eq!(app.get("/healthz").header("x-platform"), Some("ours"));
    assert_eq!(reported(&app, "max-body"), ("2K".into(), "server".into()));
    let _ = set(&app, &["max-body=1M"]);
    assert_eq!(ask(&app, "POST", "/echo", &[], &[b'x'; 4_000]).status, 200);
    let _ = app.cli(&["routing:unset", "max-body"]).success();
    assert_eq!(ask(&app, "POST", "/echo", &[], &[b'x'; 4_000]).status, 413);
}
