use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

const VARS: &str = "GET /apps/bibly/config-vars";
const PATCH: &str = "PATCH /apps/bibly/config-vars";
const RELEASES: &str = "GET /apps/bibly/releases";

#[test]
fn config_is_shown_for_people_shells_and_programs() {
    let server = Server::start();
    server.on(VARS, 200, json!({"LONGER": "two words", "A": "b"}));
    let machine = Machine::using(&server);
    let shown = "=== bibly Config Vars\n\nA:      b\nLONGER: two words\n";
    assert_eq!(machine.run("config").stdout, shown);
    assert_eq!(machine.run("config -s").stdout, "A=b\nLONGER='two words'\n");
    let json: Value = serde_json::from_str(&machine.run("config --json").stdout).unwrap();
    assert_eq!(json, json!({"LONGER": "two words", "A": "b"}));
    assert_eq!(machine.run("config:get LONGER").stdout, "two words\n");
    let error = machine.run("config:get MISSING").error();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.message, "bibly has no config var MISSING.");
}

#[test]
fn setting_prints_the_release_it_made() {
    let server = Server::start();
    server.on(PATCH, 200, json!({"FOO": "b=c", "BAR": ""})).on(
        RELEASES,
        200,
        json!([release(4, "succeeded", true)]),
    );
    let ended = Machine::using(&server).run("config:set FOO=b=c BAR=");
    ended.result.unwrap();
    assert_eq!(ended.stderr, "Setting BAR, FOO and restarting ⬢ bibly... done, v4\n");
    assert_eq!(ended.stdout, "FOO: b=c\nBAR: \n");
    assert_eq!(server.body(PATCH), json!({"FOO": "b=c", "BAR": ""}));
    let range = &server.requests()[1].headers["range"];
    assert_eq!(range, "version ..; order=desc,max=1");
}

#[test]
fn unsetting_sends_null() {
    let server = Server::start();
    server.on(PATCH, 200, json!({})).on(RELEASES, 200, json!([release(5, "succeeded", true)]));
    let ended = Machine::using(&server).run("config:unset FOO");
    assert_eq!(ended.stderr, "Unsetting FOO and restarting ⬢ bibly... done, v5\n");
    assert_eq!(server.body(PATCH), json!({"FOO": null}));
}

#[test]
fn a_failed_release_is_an_error_with_its_reason() {
    let server = Server::start();
    server.on(PATCH, 200, json!({})).on(RELEASES, 200, json!([release(4, "failed", false)]));
    let ended = Machine::using(&server).run("config:set A=b");
    assert_eq!(ended.stderr, "Setting A and restarting ⬢ bibly... !\n");
    assert_eq!(ended.stdout, "");
    let error = ended.error();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert_eq!(error.message, "Release v4 failed: Change 4");
}

#[test]
fn wrong_assignments_reach_no_server() {
    let machine = Machine::bare();
    for line in ["config:set FOO", "config:set A=b =c", "config:unset A=b"] {
        assert_eq!(machine.run(line).error().kind, ErrorKind::Usage, "{line}");
    }
}
