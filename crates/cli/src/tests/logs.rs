use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

const SESSIONS: &str = "POST /apps/bibly/log-sessions";

fn session(server: &Server, path: &str) -> Value {
    let url = format!("{}{path}", server.url());
    json!({"id": U, "logplex_url": url, "created_at": T, "updated_at": T})
}

#[test]
fn logs_come_from_a_session_without_credentials() {
    let server = Server::start();
    let text = "2026-01-02T03:04:05.1+00:00 app[web.1]: one\nno newline at the end";
    server.on(SESSIONS, 201, session(&server, "/logs/x")).on("GET /logs/x", 200, text);
    let ended = Machine::using(&server).run("logs -n 5 --ps web --source app");
    ended.result.unwrap();
    assert_eq!(ended.stdout, format!("{text}\n"));
    assert_eq!(
        server.body(SESSIONS),
        json!({"dyno": "web", "lines": 5, "source": "app", "tail": false})
    );
    let request = server.requests().pop().unwrap();
    assert!(!request.headers.contains_key("authorization"));
}

#[test]
fn a_cut_tail_goes_on_without_repeating_lines() {
    let server = Server::start();
    server
        .on(SESSIONS, 201, session(&server, "/logs/1"))
        .on(SESSIONS, 201, session(&server, "/logs/2"))
        .on(SESSIONS, 404, error("not_found", "Couldn't find that app."))
        .on("GET /logs/1", 200, "T1 app[web.1]: a\nT2 app[web.1]: b\n")
        .on("GET /logs/2", 200, "T1 app[web.1]: a\nT2 app[web.1]: b\nT3 app[web.1]: c\n");
    let ended = Machine::using(&server).run("logs -t");
    assert_eq!(ended.stdout, "T1 app[web.1]: a\nT2 app[web.1]: b\nT3 app[web.1]: c\n");
    assert_eq!(ended.error().kind, ErrorKind::NotFound);
}

#[test]
fn an_empty_log_of_a_process_that_there_is_not_gets_a_hint() {
    let server = Server::start();
    server.on(SESSIONS, 201, session(&server, "/logs/x")).on("GET /logs/x", 200, "").on(
        "GET /apps/bibly/formation",
        200,
        json!([formation("web", 1), formation("worker", 0)]),
    );
    let machine = Machine::using(&server);
    let ended = machine.run("logs --ps nope");
    assert_eq!(ended.result, Ok(0), "it may yet come");
    assert_eq!(ended.stdout, "");
    assert_eq!(
        ended.stderr,
        "bibly has no process nope (it has web, worker); `windlass ps` lists them.\n"
    );
    for known in ["worker.1", "router"] {
        assert_eq!(machine.run(&format!("logs --ps {known}")).stderr, "", "{known}");
    }
    assert_eq!(machine.run("logs").stderr, "");
}
