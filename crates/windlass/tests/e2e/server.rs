//! The server's own start, settings and end; doctor and teardown.

use crate::support::{binary, own_server, shared_server};
use std::process::Command;
use windlass_testkit::command;
use windlass_testkit::leftovers;

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = shared_server!();
    let second = server.role("server");
    assert_eq!(second.code(), 75, "{second}");
    assert!(second.stderr.contains("another server uses"), "{second}");
    let teardown = server.role("teardown");
    assert_eq!(teardown.code(), 75, "a server that runs is not torn down: {teardown}");
    assert!(server.cli(&["apps"]).status.success());
}

#[test]
fn settings_that_cannot_be_used_stop_it_with_78_and_their_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("windlass.toml");
    let cases = [
        ("[router]\nlisten = 80\n", "router.listen"),
        ("boot_timeout = \"soon\"\n", "boot_timeout"),
        ("[buidl]\nmemory = 1\n", "buidl.memory"),
        ("= nonsense", "windlass.toml"),
    ];
    for (text, named) in cases {
        std::fs::write(&file, text).unwrap();
        let ended =
            command::run(Command::new(binary()).args(["server", "--config"]).arg(&file), b"");
        assert_eq!(ended.code(), 78, "{text}: {ended}");
        assert!(ended.stderr.contains(named), "{text}: {ended}");
        assert!(ended.stderr.starts_with("windlass: "), "{ended}");
    }
    let ended =
        command::run(Command::new(binary()).args(["server", "--api-listen", "nowhere"]), b"");
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.stderr.contains("--api-listen"), "{ended}");
    let ended =
        command::run(Command::new(binary()).arg("server").env("WINDLASS_STOP_GRACE", "-1"), b"");
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.stderr.contains("WINDLASS_STOP_GRACE"), "{ended}");
}

#[test]
fn doctor_finds_nothing_wrong_where_a_server_runs() {
    let server = shared_server!();
    let mut doctor = Command::new(binary());
    doctor.arg("doctor").arg("--data-directory").arg(server.data_directory());
    // Free ports, not those of the server that runs.
    doctor.args([
        "--router-listen",
        "127.0.0.1:0",
        "--router-https-listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
        "--ssh-listen",
        "127.0.0.1:0",
    ]);
    let ended = command::run(&mut doctor, b"");
    let table = ended.everything();
    assert_eq!(ended.code(), 0, "{ended}");
    for part in ["cgroup", "git", "stack debian-12"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let ended = command::run(doctor.arg("--json"), b"");
    let json: serde_json::Value = serde_json::from_str(&ended.success()).unwrap();
    assert_eq!(json["ok"], true);
    assert!(
        json["checks"].as_array().unwrap().iter().all(|check| check["status"] != "fail"),
        "{json}"
    );
}

#[test]
fn doctor_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let mut doctor = Command::new(binary());
    doctor.arg("doctor").arg("--data-directory").arg(directory.path());
    let ended = command::run(&mut doctor, b"");
    assert_eq!(ended.code(), 1, "{ended}");
    assert!(ended.stdout.contains("windlass setup"), "the line that mends it: {ended}");
}

#[test]
fn without_a_stack_it_says_what_to_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Command::new(binary());
    server.arg("server").arg("--data-directory").arg(directory.path().join("data"));
    server.arg("--run-directory").arg(directory.path().join("run"));
    let ended = command::run(&mut server, b"");
    assert_eq!(ended.code(), 1, "{ended}");
    assert!(ended.stderr.contains("windlass setup"), "{ended}");
}

#[test]
fn a_teardown_ends_everything_and_the_data_starts_again() {
    let server = own_server!();
    let app = windlass_testkit::app::TestApp::deployed(&server, "torn", &crate::support::python());
    server.stop(nix::sys::signal::Signal::SIGTERM);
    let left = leftovers(&server.data_directory(), &server.run_directory());
    assert!(!left.is_empty(), "apps and router go on without the server");

    let _ = server.role("teardown").success();

    assert_eq!(leftovers(&server.data_directory(), &server.run_directory()), Vec::<String>::new());
    assert!(!server.run_directory().exists());
    server.start_again();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn the_owners_token_is_shown_once_and_another_can_be_made() {
    let server = own_server!();
    let file = server.data_directory().with_file_name("server.out");
    let shown = std::fs::read_to_string(&file).unwrap();
    server.stop(nix::sys::signal::Signal::SIGTERM);
    server.start_again();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), shown, "the second start shows nothing");
    let another = server.role("owner-token").success();
    assert!(another.trim().starts_with("wl-") && another.trim() != server.token(), "{another}");
    let mut client = server.bare_client(&["whoami"]);
    client
        .env("WINDLASS_URL", format!("http://{}", server.api()))
        .env("WINDLASS_TOKEN", another.trim());
    assert!(command::run(&mut client, b"").success().contains('@'));
}
