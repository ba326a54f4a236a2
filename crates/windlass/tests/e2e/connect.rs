//! `windlass connect`, with the programs of this machine.

use crate::support::{python, shared_server};
use nix::sys::signal::Signal;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::server::free_port;
use windlass_testkit::wait_until;

#[test]
fn git_pushes_over_https_on_localhost() {
    let server = shared_server!();
    let app = TestApp::create(&server, "connected");
    let repository = python();
    let port = free_port().to_string();
    let url = format!("https://localhost:{port}/{}.git", app.name);
    let mut push = server.client(&["connect", "--port", &port, "--", "git", "push", &url, "main"]);
    push.current_dir(repository.path());
    let pushed = command::run(&mut push, b"");
    assert_eq!(pushed.code(), 0, "{pushed}");
    assert!(pushed.stderr.contains("remote: "), "{pushed}");
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_command_has_its_settings_and_its_exit_code_comes_back() {
    let server = shared_server!();
    let script = "echo $HEROKU_HOST $DISABLE_TELEMETRY; \
                  curl -sS --cacert \"$NODE_EXTRA_CA_CERTS\" -H \"Authorization: Bearer $HEROKU_API_KEY\" $HEROKU_HOST/account; \
                  exit 7";
    let ran = server.cli(&["connect", "--port", "0", "--", "sh", "-c", script]);
    assert_eq!(ran.code(), 7, "{ran}");
    assert!(ran.stdout.starts_with("https://localhost:"), "{ran}");
    assert!(ran.stdout.contains(" true\n") && ran.stdout.contains("\"email\""), "{ran}");
    let missing = server.cli(&["connect", "--port", "0", "--", "no-such-program-anywhere"]);
    assert_eq!(missing.code(), 1, "{missing}");
}

#[test]
fn what_it_prints_leads_a_shell_to_the_server() {
    let server = shared_server!();
    let port = free_port().to_string();
    let forwarder = server.start_cli(&["connect", "--port", &port]);
    wait_until("the settings", Duration::from_secs(20), || {
        forwarder.so_far().contains("export HEROKU_API_KEY=")
    });
    let exports: Vec<String> = forwarder
        .so_far()
        .lines()
        .filter(|line| line.starts_with("export ") && !line.contains("HEROKU_API_KEY"))
        .map(str::to_owned)
        .collect();
    let script = format!(
        "{}\ncurl -sS --cacert \"$NODE_EXTRA_CA_CERTS\" $HEROKU_HOST/health",
        exports.join("\n")
    );
    let mut shell = std::process::Command::new("sh");
    let said = command::run(shell.args(["-c", &script]), b"");
    assert_eq!(said.stdout, "ok\n", "{said}");

    // A second one to the same server goes by the first; to another there is no room.
    let second = server.cli(&["connect", "--port", &port, "--", "true"]);
    assert_eq!(second.code(), 0, "{second}");
    let other = ["connect", "--server", "http://localhost:1", "--port", &port, "--", "true"];
    let other = server.cli(&other);
    assert_eq!(other.code(), 1, "{other}");
    assert!(other.stderr.contains("--port"), "{other}");
    forwarder.signal(Signal::SIGTERM);
    assert_eq!(forwarder.wait().code(), 0);
}
