//! `windlass run`.

use crate::support::{python, shared_server};
use nix::sys::signal::Signal;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::wait_until;

#[test]
fn output_exit_code_and_environment_come_back() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "run", &python());
    let _ = app.cli(&["config:set", "COLOUR=green"]).success();
    let ran = app.cli(&["run", "echo $COLOUR $DYNO; echo wrong >&2; exit 42"]);
    assert_eq!(ran.code(), 42, "{ran}");
    assert!(ran.stdout.starts_with("green run."), "{ran}");
    assert!(ran.stderr.contains("wrong") && !ran.stdout.contains("wrong"), "{ran}");
    let identity = app.cli(&["run", "id", "-u"]).success();
    assert_eq!(identity.trim(), "1000");
    let missing = app.cli(&["run", "no-such-command-anywhere"]);
    assert_eq!(missing.code(), 127, "{missing}");
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn standard_input_is_piped_through_whole() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "stdin", &python());
    let input: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let mut client = server.client(&["run", "--app", &app.name, "sha256sum"]);
    let ours = windlass_oci::digest_of(&input);
    let said = command::run(&mut client, &input).success();
    assert_eq!(said.split_whitespace().next(), Some(ours.hex()));
}

#[test]
fn a_client_that_goes_away_takes_its_process_with_it() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "hangup", &python());
    let mut client = app.start_cli(&["run", "echo $((6 * 7)) begun; sleep 1000"]);
    wait_until("the command to run", Duration::from_secs(20), || {
        client.so_far().contains("42 begun")
    });
    assert_eq!(app.processes().len(), 2, "{:?}", app.processes());
    client.signal(Signal::SIGKILL);
    client.kill();
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_detached_one_writes_to_the_log() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "detached", &python());
    let said = app.cli(&["run:detached", "echo from afar; exit 5"]).everything();
    assert!(said.contains("run."), "{said}");
    app.wait_for_log(": from afar");
    app.wait_for_log("Process exited with status 5");
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn nothing_runs_before_the_first_deploy() {
    let server = shared_server!();
    let app = TestApp::create(&server, "undeployed");
    let refused = app.cli(&["run", "true"]);
    assert_eq!(refused.code(), 5, "{refused}");
    assert!(refused.stderr.contains("Nothing has been deployed"), "{refused}");
}

#[test]
fn in_a_terminal_the_command_has_one_too() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "terminal", &python());
    // `script` gives the client a terminal.
    let client = server.client(&[]);
    let line = format!(
        "stty rows 31 cols 97; {} run --app {} 'tty; stty size; exit 9'",
        crate::support::binary().display(),
        app.name
    );
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env("TERM", "xterm").env("SHELL", "/bin/sh");
    script.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return windlass_testkit::skip("the program `script` is not installed");
    }
    let mut running = command::start(&mut script);
    // An open standard input: at its end `script` would hang up.
    let finished = running.wait_with_open_input();
    assert_eq!(finished.code(), 9, "{finished}");
    assert!(finished.stdout.contains("/dev/pts/"), "{finished}");
    assert!(finished.stdout.contains("31 97"), "{finished}");
}
