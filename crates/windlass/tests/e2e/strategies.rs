//! Deploy strategies, checks, locks and stopping, with real apps under load.

use crate::support::{python, python_version, shared_server};
use windlass_testkit::app::TestApp;

#[test]
fn a_canary_serves_its_share_until_it_is_promoted() {
    let server = shared_server!();
    let repository = python_version("one");
    let app = TestApp::deployed(&server, "canary", &repository);
    let _ = app.cli(&["deploys:set", "strategy=canary", "percent=25"]).success();
    let load = app.load();
    repository.change("VERSION", "two\n");
    let pushed = app.push(&repository).everything();
    assert!(pushed.contains("It is a canary and gets 25 % of the requests."), "{pushed}");
    let new = (0..40).filter(|_| app.get("/").text().ends_with("two\n")).count();
    assert!((1..40).contains(&new), "{new} of 40 requests, beside those of the load");
    let shown = app.cli(&["deploys"]).success();
    assert!(shown.contains("v3 with 25 % of the requests"), "{shown}");
    let refused = app.cli(&["config:set", "A=b"]).failure();
    assert!(refused.contains("The canary v3 of"), "{refused}");

    let _ = app.cli(&["deploys:promote"]).success();
    assert!((0..20).all(|_| app.get("/").text().ends_with("two\n")));
    app.wait_for_processes(&["web.1"]);

    repository.change("VERSION", "three\n");
    let _ = app.push(&repository).success();
    let _ = app.cli(&["deploys:abort"]).success();
    assert!((0..20).all(|_| app.get("/").text().ends_with("two\n")));
    load.stop().assert_nothing_lost();
}

#[test]
fn checks_of_app_json_decide_about_a_deploy() {
    let server = shared_server!();
    let repository = python_version("one");
    let check = r#"{"healthchecks": {"web": [{"type": "startup", "name": "hello",
        "path": "/", "content": "one", "attempts": 1, "wait": 1}]}}"#;
    repository.write("app.json", check);
    repository.commit("with a check");
    let app = TestApp::deployed(&server, "checked", &repository);
    let shown = app.cli(&["checks"]).success();
    assert!(shown.contains("hello") && shown.contains("release"), "{shown}");
    assert!(app.cli(&["checks:run"]).success().contains("passed"));
    let load = app.load();
    repository.change("VERSION", "two\n");
    let failed = app.push(&repository).failure();
    assert!(failed.contains("The startup check failed: hello"), "{failed}");
    assert!(app.get("/").text().ends_with("one\n"));
    let _ = app.cli(&["checks:set", "web", "type=readiness", "path=/healthz"]).success();
    let _ = app.push(&repository).success();
    assert!(app.get("/").text().ends_with("two\n"));
    load.stop().assert_nothing_lost();
}

#[test]
fn recreate_loses_nothing_either_and_an_app_can_be_stopped_and_locked() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "recreate", &repository);
    let _ = app.cli(&["deploys:set", "preboot=off"]).success();
    let load = app.load();
    let _ = app.cli(&["ps:restart"]).success();
    app.wait_for_processes(&["web.1"]);
    let _ = app.cli(&["config:set", "A=b"]).success();
    load.wait_for(20);
    load.stop().assert_nothing_lost();

    let _ = app.cli(&["deploys:lock", "--reason", "audit"]).success();
    repository.change("VERSION", "locked\n");
    let refused = app.push(&repository).failure();
    assert!(refused.contains("are locked by") && refused.contains(": audit."), "{refused}");
    let _ = app.cli(&["deploys:unlock"]).success();

    let _ = app.cli(&["ps:stop"]).success();
    assert!(app.cli(&["ps"]).success().contains("web.1: down"));
    assert_eq!(app.get("/").status, 503);
    let _ = app.cli(&["ps:start"]).success();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(app.get("/healthz").status, 200);
}
