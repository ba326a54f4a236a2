//! The git doors: what is taken, what is refused, and what git tells.

use crate::support::{python, shared_server};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::git::Repository;
use windlass_testkit::server::TestServer;
use windlass_testkit::{skip, wait_until};

#[test]
fn a_push_over_http_is_built_and_served() {
    let server = shared_server!();
    let (app, repository) = (TestApp::create(&server, "http"), python());

    let pushed = app.push(&repository);

    let said = pushed.everything();
    let _ = pushed.success();
    for part in [
        "remote: -----> Building on the Debian-12 stack",
        "remote: -----> Python app detected",
        "remote: -----> Discovering process types",
        "remote:        Procfile declares types     -> web, worker",
        "remote: -----> Launching...",
        "remote:        Released v2",
        "remote: Verifying deploy... done.",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let url = format!("http://{}:{}/ deployed to Windlass", app.host(), server.http().port());
    assert!(said.contains(&url), "{url} is not in\n{said}");
    let response = app.get("/");
    assert_eq!(
        (response.status, response.text().trim()),
        (200, &*format!("Hello from web.1, {}", version(&repository)))
    );
    app.wait_for_processes(&["web.1"]);
    wait_for_push_from_here(&server, &app, "Owner's first token");
}

/// Waits until the audit trail has a push to the app, from where it came, and with which token or
/// key.
fn wait_for_push_from_here(server: &TestServer, app: &TestApp, login: &str) {
    wait_until("the push in the audit trail", Duration::from_secs(20), || {
        let trail = server.cli(&["activity", "--app", &app.name, "--json"]).success();
        let trail: Vec<Value> = serde_json::from_str(&trail).unwrap();
        let with = |one: &Value| one["token"].as_str().is_some_and(|text| text.starts_with(login));
        let push = trail.iter().find(|one| one["action"] == "git push");
        push.is_some_and(|one| one["address"] == "127.0.0.1" && with(one))
    });
}

fn version(repository: &Repository) -> String {
    std::fs::read_to_string(repository.path().join("VERSION")).unwrap().trim().to_owned()
}

#[test]
fn a_push_over_ssh_is_built_and_a_clone_brings_it_back() {
    let server = shared_server!();
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        return skip("ssh is not installed");
    }
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("id_ed25519");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "e2e@example", "-f"]).arg(&key);
    let _ = command::run(&mut keygen, b"").success();
    let app = TestApp::create(&server, "ssh");
    let repository = python();
    let ssh = |key: &std::path::Path| {
        format!(
            "ssh -F /dev/null -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR",
            key.display()
        )
    };
    let url = format!("ssh://git@{}/{}.git", server.ssh(), app.name);
    let git = |arguments: &[&str]| {
        command::run(repository.command(arguments).env("GIT_SSH_COMMAND", ssh(&key)), b"")
    };

    let refused = git(&["push", &url, "HEAD:refs/heads/main"]).failure();
    assert!(refused.contains("Permission denied"), "the key is not known yet: {refused}");
    let public = key.with_extension("pub").display().to_string();
    let _ = server.cli(&["keys:add", &public]).success();
    let pushed = git(&["push", &url, "HEAD:refs/heads/main"]);
    assert!(pushed.everything().contains("remote:        Released v2"), "{pushed}");
    let _ = pushed.success();
    wait_for_push_from_here(&server, &app, "SSH key SHA256:");

    assert_eq!(app.get("/healthz").text(), "ok\n");
    let clone = keys.path().join("clone");
    let _ = git(&["clone", "--quiet", &url, &clone.display().to_string()]).success();
    assert!(clone.join("server.py").exists());
    let shell = command::run(
        Command::new("sh").arg("-c").arg(format!(
            "{} -p {} git@127.0.0.1 id",
            ssh(&key),
            server.ssh().port()
        )),
        b"",
    );
    let said = shell.failure();
    assert!(!said.contains("uid="), "no shell: {said}");
    let _ = server.cli(&["keys:remove", "e2e@example"]).success();
    let _ = git(&["fetch", &url]).failure();
}

#[test]
fn without_a_valid_token_nothing_is_pushed() {
    let server = shared_server!();
    let (app, repository) = (TestApp::create(&server, "token"), python());
    for token in ["wl-0000000000000000000000000000000000000000", "x"] {
        let url = app.url().replace(server.token(), token);
        let said = repository.push(&url, "HEAD:main").failure();
        assert!(said.contains("Authentication failed") || said.contains("401"), "{said}");
    }
    let unknown = server.git_url("no-such-app-anywhere");
    let said = repository.push(&unknown, "HEAD:main").failure();
    assert!(said.contains("not found") || said.contains("Couldn't find"), "{said}");
    assert_eq!(app.version(), 1);
}

#[test]
fn other_branches_and_tags_are_stored_and_not_built() {
    let server = shared_server!();
    let (app, repository) = (TestApp::create(&server, "branch"), python());

    let said = repository.push(&app.url(), "HEAD:refs/heads/feature").everything();

    assert!(said.contains("stored, not built"), "{said}");
    assert!(said.contains("Only main or master is deployed"), "{said}");
    assert!(said.contains("Deploy it with: git push windlass feature:main"), "{said}");
    let _ = repository.git(&["tag", "v1.0"]).success();
    let _ = repository.push(&app.url(), "v1.0").success();
    assert_eq!(app.version(), 1, "nothing was released");
    let refs = repository.git(&["ls-remote", &app.url()]).success();
    assert!(refs.contains("refs/heads/feature") && refs.contains("refs/tags/v1.0"), "{refs}");
    assert!(!refs.contains("refs/heads/main"), "{refs}");
}

#[test]
fn master_is_deployed_too_and_the_same_commit_is_up_to_date() {
    let server = shared_server!();
    let (app, repository) = (TestApp::create(&server, "master"), python());
    let _ = repository.push(&app.url(), "HEAD:refs/heads/master").success();
    assert_eq!(app.get("/healthz").status, 200);
    let said = repository.push(&app.url(), "HEAD:refs/heads/master").everything();
    assert!(said.contains("Everything up-to-date"), "{said}");
    assert_eq!(app.version(), 2);
}

#[test]
fn history_that_was_rewritten_needs_force() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "force", &repository);
    let _ =
        repository.git(&["commit", "--quiet", "--amend", "--message", "another history"]).success();

    let said = app.push(&repository).failure();
    assert!(said.contains("rejected"), "{said}");
    assert_eq!(app.version(), 2);
    let _ = repository.push(&app.url(), "+HEAD:refs/heads/main").success();
    assert_eq!(app.version(), 3);
}

#[test]
fn the_deployed_branch_cannot_be_deleted() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "delete", &repository);
    let said = repository.push(&app.url(), ":refs/heads/main").failure();
    assert!(said.contains("cannot be deleted"), "{said}");
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn submodules_are_not_read_from_the_servers_own_disk() {
    let server = shared_server!();
    let app = TestApp::create(&server, "submodule");
    let (inner, outer) = (Repository::of_files(&[("secret", "of the server")]), python());
    let url = format!("file://{}", inner.path().display());
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "--quiet", &url, "inner"];
    let _ = outer.git(&add).success();
    outer.commit("with a submodule");
    let said = app.push(&outer).failure();
    assert!(said.contains("The submodules could not be fetched"), "{said}");
    assert_eq!(app.version(), 1);
}
