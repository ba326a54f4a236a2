//! Two pushes at once, and clients that go away.

use crate::support::{python_version, shared_server};
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::wait_until;

/// An app that takes some seconds to boot, so that a push can be met in the middle.
fn slow_to_boot(version: &str) -> Repository {
    let repository = python_version(version);
    repository.change("Procfile", "web: sleep 3; python3 server.py\n");
    repository
}

#[test]
fn a_second_push_waits_its_turn_and_both_succeed() {
    let server = shared_server!();
    let app = TestApp::create(&server, "queue");
    let repository = slow_to_boot("one\n");
    let first = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the first to build", Duration::from_secs(30), || {
        first.so_far().contains("Launching")
    });
    repository.change("VERSION", "two\n");
    let second = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the second to wait", Duration::from_secs(30), || {
        second.so_far().contains("Another push to this app is being built; waiting for its turn...")
    });
    let _ = first.wait().success();
    let _ = second.wait().success();
    assert_eq!(app.version(), 3);
    assert!(app.get("/").text().ends_with("two\n"));
}

#[test]
fn a_client_that_goes_away_cancels_its_deploy() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "cancel", &python_version("one\n"));
    let repository = slow_to_boot("two\n");
    let mut push = repository.start_push(&app.url(), "+HEAD:refs/heads/main");
    wait_until("the launch", Duration::from_secs(30), || push.so_far().contains("Launching"));
    push.kill();

    wait_until("the release to fail", Duration::from_secs(30), || {
        let releases = app.json(&["releases"]);
        releases[0]["status"] == "failed" && releases[0]["version"] == 3
    });
    assert!(app.get("/").text().ends_with("one\n"));
    repository.change("VERSION", "three\n");
    let _ = repository.push(&app.url(), "+HEAD:refs/heads/main").success();
    assert!(app.get("/").text().ends_with("three\n"));
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_client_that_goes_away_cancels_its_build() {
    let server = shared_server!();
    let app = TestApp::create(&server, "cancelbuild");
    // A package that takes long to install: pip runs its setup.
    let repository = Repository::of_files(&[
        ("Procfile", "web: python3 -m http.server $PORT\n"),
        ("requirements.txt", "./package\n"),
        (
            "package/setup.py",
            "import time, setuptools\ntime.sleep(60)\nsetuptools.setup(name='slow')\n",
        ),
    ]);
    let mut push = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the build", Duration::from_secs(30), || {
        push.so_far().contains("Python app detected")
    });
    push.kill();
    wait_until("the build to be marked as failed", Duration::from_secs(30), || {
        app.json(&["builds"])[0]["status"] == "failed"
    });
    let next = python_version("next\n");
    let _ = next.push(&app.url(), "+HEAD:refs/heads/main").success();
    assert!(app.get("/").text().ends_with("next\n"));
}
