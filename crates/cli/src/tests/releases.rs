use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

const RELEASES: &str = "GET /apps/bibly/releases";
const ROLLBACK: &str = "POST /apps/bibly/releases";

fn history() -> Value {
    json!([
        release(5, "failed", false),
        release(4, "succeeded", true),
        release(3, "succeeded", false),
        release(2, "succeeded", false),
    ])
}

#[test]
fn releases_mark_the_current_and_the_failed_one() {
    let server = Server::start();
    server.on(RELEASES, 200, history());
    let ended = Machine::using(&server).run("releases -n 4");
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "=== bibly Releases - Current: v4");
    assert_eq!(lines[2], "Release  Status     Description  By                 Created");
    assert!(lines[3].starts_with("v5       failed     Change 5     owner@example.com  2026"));
    assert!(lines[4].starts_with("v4       current    Change 4"));
    assert!(lines[5].starts_with("v3       succeeded  Change 3"));
    let range = &server.requests()[0].headers["range"];
    assert_eq!(range, "version ..; order=desc,max=4");
}

#[test]
fn one_release_is_shown_by_version() {
    let server = Server::start();
    server.on("GET /apps/bibly/releases/4", 200, release(4, "succeeded", true));
    assert_eq!(
        Machine::using(&server).run("releases:info v4").stdout,
        "=== Release v4 of bibly\n\n\
         Status: current\n\
         By:     owner@example.com\n\
         Change: Change 4\n\
         When:   2026/01/02 03:04:05 +0000 (~ 1m ago)\n\
         Image:  sha256:abc\n"
    );
}

#[test]
fn rollback_goes_to_the_previous_good_release() {
    let server = Server::start();
    server.on(RELEASES, 200, history()).on(ROLLBACK, 201, release(6, "succeeded", true));
    let ended = Machine::using(&server).run("rollback");
    ended.result.unwrap();
    assert_eq!(
        ended.stderr,
        "Rolling back ⬢ bibly to v3... done, v6\n \
         ▸    Rollback affects code and config vars; it does not change data or domains.\n \
         ▸    To undo, run: windlass rollback v4\n"
    );
    assert_eq!(server.body(ROLLBACK), json!({"release": "release-3"}));
}

#[test]
fn rollback_to_a_named_release_may_fail() {
    let server = Server::start();
    server.on("GET /apps/bibly/releases/2", 200, release(2, "succeeded", false)).on(
        ROLLBACK,
        201,
        release(6, "failed", false),
    );
    let error = Machine::using(&server).run("releases:rollback v2").error();
    assert_eq!(error.message, "Release v6 failed: Change 6");
    assert_eq!(server.body(ROLLBACK), json!({"release": "release-2"}));
}

#[test]
fn rollback_needs_a_release_before_the_current_one() {
    let server = Server::start();
    server.on(RELEASES, 200, json!([release(1, "succeeded", true)]));
    let error = Machine::using(&server).run("rollback").error();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[test]
fn nothing_is_uploaded_before_the_server_would_take_it() {
    let ask = "POST /apps/bibly/sources";
    let refusals = [
        (404, "not_found", "Couldn't find that app.", ErrorKind::NotFound),
        (403, "forbidden", "You may not deploy to it.", ErrorKind::Refused),
    ];
    for (status, id, message, kind) in refusals {
        let server = Server::start();
        server.on(ask, status, error(id, message));
        let machine = Machine::using(&server);
        std::fs::write(machine.path("index.html"), "hello").unwrap();
        for line in ["deploy", "deploy --tar index.html"] {
            let refused = machine.run(line).error();
            assert_eq!((refused.kind, refused.message.as_str()), (kind, message), "{line}");
        }
        assert!(server.requests().iter().all(|one| one.line == ask), "{:?}", server.requests());
    }
}
