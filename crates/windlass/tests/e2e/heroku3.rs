//! The Python library `heroku3`, as PyPI has it.

use crate::support::{own_server, python};
use std::process::Command;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::heroku::Clients;
use windlass_testkit::schema::CheckingForwarder;
use windlass_testkit::skip;

#[test]
fn heroku3_works_on_apps() {
    let clients = match Clients::installed() {
        Ok(clients) => clients,
        Err(reason) => return skip(&reason),
    };
    let server = own_server!();
    let app = TestApp::deployed(&server, "library", &python());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/heroku3_calls.py");
    let mut calls = Command::new("python3");
    let forwarder = CheckingForwarder::start(server.api());
    calls.arg(script).arg(format!("http://{}", forwarder.address())).arg(server.token());
    calls.arg(&app.name).arg(server.unused_name("made")).env("PYTHONPATH", clients.python_path());

    let ended = command::run(&mut calls, b"");

    assert!(ended.stdout.ends_with(" calls\n"), "{ended}");
    let _ = ended.success();
    forwarder.assert_all_matched();
    app.wait_for_log("said by heroku3");
}
