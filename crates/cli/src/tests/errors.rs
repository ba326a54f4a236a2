use super::*;
use crate::error::{CliError, ErrorKind};
use crate::test_support::{Captured, Machine, Server};
use std::net::TcpListener;

#[test]
fn the_servers_answer_decides_kind_and_exit_code() {
    let cases = [
        (401, "unauthorized", ErrorKind::NotLoggedIn, 3),
        (404, "not_found", ErrorKind::NotFound, 4),
        (403, "forbidden", ErrorKind::Refused, 5),
        (409, "conflict", ErrorKind::Refused, 5),
        (422, "invalid_params", ErrorKind::Refused, 5),
        (429, "rate_limit", ErrorKind::Refused, 5),
        (503, "unavailable", ErrorKind::General, 1),
    ];
    for (status, id, kind, code) in cases {
        let server = Server::start();
        server.on("GET /apps", status, error(id, "Something is wrong."));
        let error = Machine::using(&server).run("apps").error();
        assert_eq!(error.message, "Something is wrong.");
        assert_eq!((error.kind, error.kind.exit_code()), (kind, code), "{status}");
    }
}

#[test]
fn an_unknown_app_is_told_with_a_hint() {
    let server = Server::start();
    let body = json!({"id": "not_found", "resource": "app", "message": "Couldn't find that app."});
    server.on("GET /apps/bibly/dynos", 404, body);
    let error = Machine::using(&server).run("ps").error();
    let captured = Captured::new();
    captured.output(false).error(&error);
    assert_eq!(
        captured.stderr(),
        " ▸    Couldn't find that app.\n ▸    `windlass apps` lists yours.\n"
    );
    let captured = Captured::new();
    captured.output(true).error(&error);
    assert!(captured.stderr().starts_with(" \u{1b}[31m▸\u{1b}[0m    Couldn't"));
}

#[test]
fn no_server_is_said_plainly() {
    // A port that was just given back: nobody listens there.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut machine = Machine::bare();
    machine.set("WINDLASS_TOKEN", "x");
    let error = machine.run(&format!("apps --server http://{address}")).error();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert_eq!(
        error.message,
        format!("No Windlass server answers at http://{address} (connection refused).")
    );
}

#[test]
fn answers_that_are_no_json_are_told() {
    let server = Server::start();
    server.on("GET /apps", 502, "<html>Bad Gateway</html>");
    let error = Machine::using(&server).run("apps").error();
    assert_eq!(error.kind, ErrorKind::General);
    assert_eq!(error.message, "The server answered with an error: 502 Bad Gateway.");
    let server = Server::start();
    server.on("GET /apps", 200, "<html>");
    let error = Machine::using(&server).run("apps").error();
    assert!(error.message.contains("/apps was not understood"), "{error}");
}

#[test]
fn outside_of_a_repository_the_app_must_be_named() {
    let error = Machine::bare().run("ps").error();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert_eq!(error.message, "No app given.");
}

#[test]
fn a_closed_output_is_no_failure() {
    let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let error = CliError::from(broken);
    assert_eq!((error.kind, error.kind.exit_code()), (ErrorKind::OutputClosed, 0));
}
