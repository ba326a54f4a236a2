//! Builds that fail or go too far: each ends with one clear line, and what is served goes on.

use crate::support::{own_server, shared_server};
use crate::ways_in::{building, create_inline};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;

/// Pushes what must be refused over a release that is served; returns what the pusher was told.
/// `why` begins the only line about it, here, in `builds:output` and in the API.
#[track_caller]
fn refused(app: &TestApp, repository: &Repository, why: &str) -> String {
    let (load, version) = (app.load(), app.version());
    let said = repository.push(&app.url(), "+HEAD:refs/heads/main").failure();
    let line = format!(" !     {why}");
    assert_eq!(said.matches(&line).count(), 1, "{line:?} once in {said}");
    assert!(said.contains("Push rejected to"), "{said}");
    assert_eq!(app.version(), version);
    let kept = app.cli(&["builds:output"]).success();
    assert!(kept.contains(&line), "{kept}");
    let build = &app.json(&["builds"])[0];
    let failure = build["failure"].as_str().unwrap_or_default();
    assert!(build["status"] == "failed" && failure.starts_with(why), "{build}");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    said
}

#[test]
fn a_buildpack_that_fails_is_named_with_its_phase_and_its_last_lines() {
    let server = shared_server!();
    let app = create_inline(&server, "phases");
    let repository = building("true");
    let _ = app.push(&repository).success();
    let script = |name: &str, content: &str| {
        repository.change(&format!("bin/{name}"), &format!("#!/bin/bash\n{content}\n"));
    };

    script("compile", "echo first; echo '-----> Installing'; echo ' !     the last words'; exit 7");
    let why = "The buildpack inline failed in bin/compile with status 7. Its last lines:";
    let said = refused(&app, &repository, why);
    assert!(
        said.contains(" !         first") && said.contains(" !         the last words"),
        "{said}"
    );

    script("compile", "true");
    script("release", "echo no types today >&2; exit 3");
    let why = "The buildpack inline failed in bin/release with status 3. Its last lines:";
    let said = refused(&app, &repository, why);
    assert!(said.contains(" !         no types today"), "{said}");

    script("detect", "echo not mine; exit 1");
    let why = "The buildpack inline did not take the app: its bin/detect ended with status 1. Its last lines:";
    let said = refused(&app, &repository, why);
    assert!(said.contains(" !         not mine"), "{said}");
}

#[test]
fn a_build_that_reaches_a_limit_is_told_which_and_where() {
    let limits = [
        // Every other limit has to be reached within it.
        ("build-timeout", "45"),
        ("build-processes", "64"),
        ("build-memory", "256"),
        ("build-disk", "200"),
    ];
    let server = own_server!(&limits);
    let app = create_inline(&server, "limits");
    let _ = app.push(&building("true")).success();
    for (compile, limit) in [
        ("sleep 300", "it took longer than its limit of 45 seconds (`build.timeout`"),
        (
            "bomb() { bomb | bomb & }; bomb; sleep 300",
            "it reached its limit of 64 processes and threads (`build.processes`",
        ),
        (
            "python3 -c \"len(b'x' * (1 << 30))\"",
            "it needed more than its memory limit of 256M (`build.memory`",
        ),
        (
            "head -c 400M /dev/zero > filler; sleep 300",
            "it used more than its disk limit of 200M (`build.disk`",
        ),
        (
            "truncate -s 20G filler; sleep 300",
            "it used more than its disk limit of 200M (`build.disk`",
        ),
    ] {
        let place = "in bin/compile of the buildpack inline";
        let _ =
            refused(&app, &building(compile), &format!("The build was stopped {place}: {limit}"));
    }
    let better = building("echo better");
    let _ = better.push(&app.url(), "+HEAD:refs/heads/main").success();
    let log = server.log();
    assert!(!log.contains("could not be forgotten"), "a container was left: {log}");
}
