use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

const PATH: &str = "/apps/bibly/buildpack-installations";

fn installed(names: &[&str]) -> Value {
    let one = |(ordinal, name): (usize, &&str)| {
        let url =
            if name.contains("://") { (*name).to_owned() } else { format!("urn:buildpack:{name}") };
        json!({"ordinal": ordinal, "buildpack": {"url": url, "name": name}})
    };
    Value::Array(names.iter().enumerate().map(one).collect())
}

fn server(before: &[&str], after: &[&str]) -> Server {
    let server = Server::start();
    server.on(&format!("GET {PATH}"), 200, installed(before));
    server.on(&format!("PUT {PATH}"), 200, installed(after));
    server.on("GET /apps/bibly/config-vars", 200, json!({}));
    server
}

fn sent(server: &Server) -> Vec<String> {
    let body = server.body(&format!("PUT {PATH}"));
    let updates = body["updates"].as_array().unwrap().iter();
    updates.map(|update| update["buildpack"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_several_and_none_are_shown() {
    let shown = |names: &[&str]| Machine::using(&server(names, &[])).run("buildpacks");
    assert_eq!(shown(&["heroku/python"]).stdout, "=== bibly Buildpack\n\nheroku/python\n");
    assert_eq!(
        shown(&["heroku/nodejs", "https://x.org/y.git"]).stdout,
        "=== bibly Buildpacks\n\n1. heroku/nodejs\n2. https://x.org/y.git\n"
    );
    let none = shown(&[]);
    assert_eq!(none.stderr, "bibly has no buildpacks: they are detected.\n");
}

#[test]
fn setting_replaces_the_first_or_the_one_with_the_number() {
    let table: &[(&str, &[&str])] = &[
        ("buildpacks:set go", &["go", "b"]),
        ("buildpacks:set go -i 2", &["a", "go"]),
        ("buildpacks:set go -i 9", &["a", "b", "go"]),
    ];
    for (line, expected) in table {
        let server = server(&["a", "b"], expected);
        Machine::using(&server).run(line).result.unwrap();
        assert_eq!(sent(&server), *expected, "{line}");
    }
}

#[test]
fn adding_says_what_the_next_release_uses() {
    let server = server(&["heroku/nodejs"], &["heroku/nodejs", "heroku/python"]);
    let ended = Machine::using(&server).run("buildpacks:add heroku/python");
    assert_eq!(
        ended.stdout,
        "Buildpack added. Next release on bibly will use:\n  1. heroku/nodejs\n  2. heroku/python\n\
         Run git push windlass main to create a new release using these buildpacks.\n"
    );
    assert_eq!(sent(&server), ["heroku/nodejs", "heroku/python"]);
    let first = self::server(&["b"], &["a", "b"]);
    Machine::using(&first).run("buildpacks:add a -i 1").result.unwrap();
    assert_eq!(sent(&first), ["a", "b"]);
}

#[test]
fn removing_and_clearing_lead_back_to_detection() {
    for line in
        ["buildpacks:remove urn:buildpack:a", "buildpacks:remove a", "buildpacks:remove -i 1"]
    {
        let server = server(&["a"], &[]);
        let ended = Machine::using(&server).run(line);
        assert_eq!(
            ended.stdout,
            "Buildpack removed. Next release on bibly will detect buildpacks normally.\n"
        );
        assert!(sent(&server).is_empty());
    }
    let server = Server::start();
    server.on(&format!("PUT {PATH}"), 200, json!([]));
    server.on("GET /apps/bibly/config-vars", 200, json!({"BUILDPACK_URL": "x"}));
    assert_eq!(
        Machine::using(&server).run("buildpacks:clear").stdout,
        "Buildpacks cleared. Next release on bibly will use the config var BUILDPACK_URL: x.\n"
    );
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let table = [
        ("buildpacks:set a", ErrorKind::Refused, "The buildpack a is already set on your app."),
        ("buildpacks:add a", ErrorKind::Refused, "The buildpack a is already set on your app."),
        ("buildpacks:add c -i 0", ErrorKind::Usage, "Invalid index. Must be greater than 0."),
        ("buildpacks:remove c", ErrorKind::NotFound, "Buildpack not found. Nothing was removed."),
        (
            "buildpacks:remove -i 3",
            ErrorKind::NotFound,
            "Buildpack not found. Nothing was removed.",
        ),
    ];
    for (line, kind, message) in table {
        let server = server(&["a"], &[]);
        let error = Machine::using(&server).run(line).error();
        assert_eq!((error.kind, error.message.as_str()), (kind, message), "{line}");
        assert!(server.requests().iter().all(|request| request.line.starts_with("GET")));
    }
}
