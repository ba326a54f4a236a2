//! The client's own manners: login, names, exit codes, plain output in pipes.

use crate::support::{binary, python, shared_server};
use std::process::Command;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;

#[test]
fn login_is_remembered_and_forgotten() {
    let server = shared_server!();
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.api());
    let client = |arguments: &[&str]| {
        let mut client = server.bare_client(arguments);
        command::run(client.env("HOME", home.path()).current_dir(home.path()), b"")
    };
    let before = client(&["apps", "--server", &url]);
    assert_eq!(before.code(), 3, "{before}");
    assert!(before.stderr.contains("windlass login"), "the hint: {before}");
    let wrong = client(&["login", &url, "--token", "wl-wrong"]);
    assert_eq!(wrong.code(), 3, "{wrong}");
    let _ = client(&["login", &url, "--token", server.token()]).success();
    assert!(client(&["whoami"]).success().contains('@'));
    let _ = client(&["logout"]).success();
    assert_eq!(client(&["whoami"]).code(), 3);
}

#[test]
fn a_git_remote_names_the_app_and_pushes() {
    let server = shared_server!();
    let (app, repository) = (TestApp::create(&server, "remote"), python());
    let inside = |arguments: &[&str]| {
        let mut client = server.client(arguments);
        command::run(client.current_dir(repository.path()), b"")
    };
    let _ = inside(&["git:remote", "--app", &app.name]).success();
    let remotes = repository.git(&["remote", "--verbose"]).success();
    assert!(remotes.contains("windlass") && remotes.contains(&app.name), "{remotes}");
    assert!(!remotes.contains(server.token()), "no secret in the repository: {remotes}");
    assert!(inside(&["info"]).success().contains(&app.name));
    assert!(inside(&["config", "set", "A=b"]).status.success(), "both spellings");
    assert_eq!(inside(&["config:get", "A"]).success(), "b\n");
}

#[test]
fn unknown_things_have_their_own_exit_code_and_a_hint() {
    let server = shared_server!();
    let unknown = server.cli(&["info", "--app", "no-such-app-here"]);
    assert_eq!(unknown.code(), 4, "{unknown}");
    assert!(unknown.stderr.contains("Couldn't find that app"), "{unknown}");
    let usage = server.cli(&["config:set", "--app", "x", "no-value"]);
    assert_eq!(usage.code(), 2, "{usage}");
    let mut nobody = server.bare_client(&["apps"]);
    nobody.env("WINDLASS_URL", "http://127.0.0.1:1").env("WINDLASS_TOKEN", "wl-x");
    let nobody = command::run(&mut nobody, b"");
    assert_eq!(nobody.code(), 6, "{nobody}");
    for bad in ["A", "a", "ends-", "api", "with_underscore"] {
        assert_eq!(server.cli(&["create", "--app", bad]).code(), 5, "{bad} is no name");
    }
}

#[test]
fn output_in_a_pipe_is_plain() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "plain", &python());
    for arguments in
        [&["ps"][..], &["releases"], &["config"], &["logs"], &["domains"], &["info"], &["builds"]]
    {
        let finished = app.cli(arguments);
        let text = finished.everything();
        let _ = finished.success();
        assert!(!text.contains('\u{1b}'), "{arguments:?}: {text:?}");
    }
}

#[test]
fn help_version_and_completions() {
    let run =
        |arguments: &[&str]| command::run(Command::new(binary()).args(arguments), b"").success();
    let help = run(&["--help"]);
    for verb in
        ["server", "setup", "doctor", "create", "ps *", "config *", "logs", "run", "rollback"]
    {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not in\n{help}");
    }
    assert!(run(&["help", "ps"]).contains("\n  ps:scale "));
    assert!(run(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(run(&["completions", "bash"]).contains("windlass"));
}

#[test]
fn git_push_uses_the_login() {
    let server = shared_server!();
    let (app, repository) = (TestApp::create(&server, "login"), python());
    let home = tempfile::tempdir().unwrap();
    let client = |arguments: &[&str]| {
        let mut client = server.bare_client(arguments);
        let _ = command::run(client.env("HOME", home.path()).current_dir(repository.path()), b"")
            .success();
    };
    let url = format!("http://{}", server.api());
    client(&["login", &url, "--token", server.token()]);
    client(&["git:remote", "--app", &app.name]);
    let push = |home: &std::path::Path| {
        command::run(repository.command(&["push", "windlass", "main"]).env("HOME", home), b"")
    };
    let pushed = push(home.path());
    assert!(pushed.everything().contains("Released v2"), "{pushed}");
    let _ = pushed.success();
    assert_eq!(app.get("/healthz").status, 200);
}
