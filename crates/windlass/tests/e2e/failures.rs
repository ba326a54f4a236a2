//! Apps that crash, hang or do not stop.

use crate::support::{python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;

/// Replaces the source of a served app by an example that does not come up; under load.
fn bad_release_over_a_good_one(hint: &str, example: &str, reason: &str) {
    let server = shared_server!();
    let app = TestApp::deployed(&server, hint, &python());
    let load = app.load();

    let bad = Repository::of_example(example);
    let said = bad.push(&app.url(), "+HEAD:refs/heads/main").failure();

    assert!(said.contains(reason), "{said}");
    assert!(said.contains("The release before it goes on serving."), "{said}");
    assert_eq!(app.version(), 2);
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn an_app_that_crashes_at_boot_does_not_replace_one_that_works() {
    bad_release_over_a_good_one(
        "crash",
        "crash-at-boot",
        "web.1 exited with status 1 while it was starting",
    );
}

#[test]
fn an_app_that_never_listens_does_not_replace_one_that_works() {
    bad_release_over_a_good_one("silent", "never-listens", "Error R10 (Boot timeout)");
}

#[test]
fn a_first_deploy_that_crashes_shows_its_last_lines() {
    let server = shared_server!();
    let app = TestApp::create(&server, "stillborn");
    let said = app.push(&Repository::of_example("crash-at-boot")).failure();
    assert!(said.contains("DATABASE_URL is not set, cannot start"), "{said}");
    assert!(said.contains("Nothing else is deployed yet"), "{said}");
    assert!(said.contains("More of its log: windlass logs -a "), "{said}");
    assert_eq!(app.version(), 1);
    assert!(app.get("/").text().contains("Ready for its first deploy"), "still blank");
}

#[test]
fn a_first_deploy_that_never_listens_fails() {
    let server = shared_server!();
    let app = TestApp::create(&server, "deaf");
    let said = app.push(&Repository::of_example("never-listens")).failure();
    assert!(said.contains("failed to bind to $PORT within 20 seconds"), "{said}");
    assert!(said.contains("the port that the environment variable PORT says"), "{said}");
    assert!(said.contains("thinking about listening"), "its last lines: {said}");
    assert!(app.processes().is_empty(), "nothing goes on running");
}

#[test]
fn an_app_that_listens_elsewhere_is_told_where() {
    let server = shared_server!();
    let app = TestApp::create(&server, "elsewhere");
    let repository = Repository::of_example("python-stdlib");
    let _ = repository.change("Procfile", "web: python3 -m http.server --bind 127.0.0.1 8000\n");
    let said = app.push(&repository).failure();
    let expected = "failed to bind to $PORT within 20 seconds of launch; it listens at \
        127.0.0.1:8000 instead of 0.0.0.0:5000";
    assert!(said.contains(expected), "{said}");
    let _ = repository.change("Procfile", "web: python3 -m http.server --bind 127.0.0.1 $PORT\n");
    let said = app.push(&repository).failure();
    assert!(said.contains("of its own loopback, which nobody else reaches"), "{said}");
}

#[test]
fn a_config_change_that_breaks_the_app_is_refused() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "badconfig", &python());
    let load = app.load();
    let refused = app.cli(&["config:set", "CRASH_AT_BOOT=3"]);
    assert_ne!(refused.code(), 0, "{refused}");
    assert!(refused.stderr.contains("status 3"), "{refused}");
    assert_eq!(app.json(&["config"]), serde_json::json!({}));
    load.wait_for(20);
    load.stop().assert_nothing_lost();
}

#[test]
fn an_instance_that_ends_is_replaced_and_then_waits_longer() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "ends", &python());
    let first = app.json(&["ps"])[0]["id"].clone();
    let _ = windlass_testkit::http::get(server.http(), &app.host(), "/exit?code=7");
    app.wait_for_log("heroku[web.1]: Process exited with status 7");
    app.wait_for_processes(&["web.1"]);
    assert_ne!(app.json(&["ps"])[0]["id"], first);
    let _ = windlass_testkit::http::get(server.http(), &app.host(), "/exit?code=8");
    app.wait_for_log("heroku[web.1]: State changed from up to crashed");
    windlass_testkit::wait_until(
        "the page of a crashed app",
        std::time::Duration::from_secs(5),
        || {
            let page = app.get("/");
            page.status == 503 && page.text().contains("H10")
        },
    );
    // Its log has Heroku's line for it.
    app.wait_for_log("at=error code=H10 desc=\"App crashed\"");
}

#[test]
fn an_app_that_ignores_sigterm_is_killed() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "stubborn", &Repository::of_example("ignores-sigterm"));
    let load = app.load();
    let _ = app.cli(&["ps:restart"]).success();
    app.wait_for_log("Error R12 (Exit timeout) -> At least one process failed to exit within 3 seconds of SIGTERM");
    app.wait_for_log("Process exited with status 137");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
}

#[test]
fn an_app_beyond_its_memory_is_killed_and_told() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "memory", &python());
    let _ = windlass_testkit::http::get(server.http(), &app.host(), "/memory?mb=900");
    app.wait_for_log("Error R15 (Memory quota vastly exceeded)");
    app.wait_for_processes(&["web.1"]);
}
