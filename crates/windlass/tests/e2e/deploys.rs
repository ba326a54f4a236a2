//! Swaps of releases under load: nothing may be lost.

use crate::support::{python, python_version, shared_server};
use windlass_testkit::app::TestApp;

#[test]
fn a_second_push_loses_no_request() {
    let server = shared_server!();
    let repository = python_version("one");
    let app = TestApp::deployed(&server, "swap", &repository);
    let load = app.load();
    repository.change("VERSION", "two\n");
    let _ = app.push(&repository).success();
    assert_eq!(app.get("/").text(), "Hello from web.1, two\n", "served once the push is over");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_config_change_makes_a_release_and_loses_no_request() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "config", &python());
    let load = app.load();

    let _ = app.cli(&["config:set", "COLOUR=green", "SHAPE=round and so on"]).success();

    assert_eq!(app.version(), 3);
    let environment: serde_json::Value = serde_json::from_str(&app.get("/env").text()).unwrap();
    assert_eq!(
        (&environment["COLOUR"], &environment["SHAPE"]),
        (&"green".into(), &"round and so on".into())
    );
    assert_eq!(environment["DYNO"], "web.1");
    assert_eq!(app.cli(&["config:get", "COLOUR"]).success(), "green\n");
    let _ = app.cli(&["config:unset", "COLOUR"]).success();
    assert_eq!(app.json(&["config"]), serde_json::json!({"SHAPE": "round and so on"}));
    load.wait_for(20);
    load.stop().assert_nothing_lost();
}

#[test]
fn a_rollback_brings_code_and_config_back_without_a_loss() {
    let server = shared_server!();
    let repository = python_version("one");
    let app = TestApp::deployed(&server, "rollback", &repository);
    let _ = app.cli(&["config:set", "COLOUR=green"]).success();
    repository.change("VERSION", "two\n");
    let _ = app.push(&repository).success();
    assert!(app.get("/").text().ends_with("two\n"));
    let load = app.load();

    let _ = app.cli(&["rollback", "v2"]).success();

    assert!(app.get("/").text().ends_with("one\n"));
    assert_eq!(app.json(&["config"]), serde_json::json!({}));
    let releases = app.cli(&["releases"]).success();
    assert!(releases.contains("Rollback to v2"), "{releases}");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    let missing = app.cli(&["rollback", "v99"]);
    assert_eq!(missing.code(), 4, "{missing}");
}

#[test]
fn a_restart_loses_no_request() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "restart", &python());
    let before = app.json(&["ps"])[0]["id"].clone();
    let load = app.load();
    let _ = app.cli(&["ps:restart"]).success();
    windlass_testkit::wait_until("another instance", std::time::Duration::from_secs(30), || {
        let now = app.json(&["ps"]);
        now.as_array().is_some_and(|list| {
            list.len() == 1 && list[0]["id"] != before && list[0]["state"] == "up"
        })
    });
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    assert_eq!(app.version(), 2, "a restart is no release");
}

#[test]
fn long_answers_are_not_cut_by_a_swap() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "long", &python());
    let mut connection = app.connect();
    connection.send("GET", "/stream?n=20&ms=200", &[], b"").unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 200);
    assert_eq!(connection.receive_chunk().unwrap(), b"line 1\n");

    let _ = app.cli(&["config:set", "SWAP=1"]).success();

    let mut last = Vec::new();
    loop {
        let chunk =
            connection.receive_chunk().expect("the old instance goes on until this is over");
        if chunk.is_empty() {
            break;
        }
        last = chunk;
    }
    assert_eq!(last, b"line 20\n");
}
