//! Builds that fail say why, refuse the push, and leave what is served alone.

use crate::support::{python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;

/// Pushes something that must be refused, and returns what the pusher was told.
#[track_caller]
fn refused(app: &TestApp, repository: &Repository) -> String {
    let said = repository.push(&app.url(), "+HEAD:refs/heads/main").failure();
    assert!(said.contains(&format!("Push rejected to {}", app.name)), "{said}");
    assert!(said.contains("[remote rejected]"), "{said}");
    said
}

#[test]
fn a_procfile_that_cannot_be_read_fails_with_its_line() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "procfile", &repository);
    let load = app.load();
    repository.change("Procfile", "web: python3 server.py\n<<<<<<< HEAD\n");
    let said = refused(&app, &repository);
    assert!(said.contains("Procfile line 2: \"<<<<<<< HEAD\" is not `type: command`"), "{said}");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    assert_eq!(app.version(), 2);
}

#[test]
fn a_source_that_no_buildpack_knows_is_refused() {
    let server = shared_server!();
    let app = TestApp::create(&server, "unknown");
    let said = refused(&app, &Repository::of_files(&[("main.rs", "fn main() {}")]));
    assert!(said.contains("No default language could be detected for this app."), "{said}");
}

#[test]
fn an_empty_commit_is_refused() {
    let server = shared_server!();
    let app = TestApp::create(&server, "empty");
    let repository = Repository::empty();
    repository.commit("nothing");
    let said = refused(&app, &repository);
    assert!(said.contains(" !     "), "{said}");
}

#[test]
fn a_build_that_fails_leaves_the_old_release_serving() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "failing", &repository);
    let load = app.load();

    // This version of Python is not to be had.
    repository.change(".python-version", "2.1\n");
    let said = refused(&app, &repository);

    assert!(said.contains("2.1"), "{said}");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    assert_eq!(app.version(), 2);
    let builds = app.json(&["builds"]);
    let states: Vec<&str> =
        builds.as_array().unwrap().iter().map(|b| b["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "succeeded"], "newest first");
    let refs = repository.git(&["ls-remote", &app.url(), "refs/heads/main"]).success();
    let head = repository.git(&["rev-parse", "HEAD"]).success();
    assert!(!refs.contains(head.trim()), "the branch did not move");
}
