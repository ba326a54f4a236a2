//! Sources that the server fetches: from itself, as a git host that knows tokens and keys.

use crate::support::{own_server, python, python_version, shared_server};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::git::Repository;
use windlass_testkit::http::{Connection, Response};
use windlass_testkit::server::TestServer;
use windlass_testkit::wait_until;

/// An app that is only a place to fetch from: its branch `source` is stored and never built.
struct Host {
    app: TestApp,
    repository: Repository,
}

impl Host {
    fn new(server: &Arc<TestServer>, version: &str) -> Self {
        let host =
            Self { app: TestApp::create(server, "host"), repository: python_version(version) };
        host.push();
        host
    }

    fn push(&self) {
        let _ = self.repository.push(&self.app.url(), "+HEAD:refs/heads/source").success();
    }

    /// Changes what the branch holds; returns the commit.
    fn change(&self, version: &str) -> String {
        let commit = self.repository.change("VERSION", version);
        self.push();
        commit
    }

    fn origin(&self) -> String {
        format!("http://{}", self.app.server.api())
    }

    fn url(&self) -> String {
        format!("{}/{}.git", self.origin(), self.app.name)
    }

    /// Lets the server into its own repositories.
    fn store_token(&self) {
        let server = &self.app.server;
        let token = server.token();
        let mut client = server.client(&["git:auth", &self.origin(), "--token", "-"]);
        let _ = command::run(&mut client, token.as_bytes()).success();
    }
}

/// Returns the commit of the app's branch main.
fn main_of(app: &TestApp) -> String {
    let listed = Repository::empty().git(&["ls-remote", &app.url(), "refs/heads/main"]).success();
    listed.split('\t').next().unwrap_or_default().to_owned()
}

/// Nobody may find the secret in what was said, kept, or logged by the server.
fn assert_not_leaked(server: &TestServer, app: &TestApp, said: &str, secret: &str) {
    assert!(!said.contains(secret), "{said}");
    assert!(!server.log().contains(secret), "it is in the server's log");
    assert!(!app.logs().contains(secret), "it is in the app's log");
    let left = std::fs::read_dir(server.run_directory().join("fetches")).unwrap();
    assert_eq!(left.count(), 0, "files with secrets go with the fetch");
}

#[test]
fn a_repository_is_fetched_with_a_token_and_only_if_it_has_changed() {
    let server = own_server!();
    let (host, app) = (Host::new(&server, "first\n"), TestApp::create(&server, "sync"));
    let refused = app.cli(&["git:sync", &host.url(), "source"]);
    assert_eq!(refused.code(), 5, "{refused}");
    assert!(refused.everything().contains("It is private or not there."), "{refused}");
    assert_eq!(app.cli(&["git:sync"]).code(), 5, "nothing is remembered that did not work");
    assert!(app.json(&["builds"]).as_array().unwrap().is_empty());
    host.store_token();
    let said = app.cli(&["git:sync", &host.url(), "source"]).success();
    assert!(said.contains("-----> Fetching http://") && said.contains("Released v2"), "{said}");
    assert!(app.get("/").text().ends_with("first\n"));
    let first = host.repository.git(&["rev-parse", "HEAD"]).success();
    assert_eq!(main_of(&app), first.trim());
    assert_not_leaked(&server, &app, &said, server.token());

    let same = app.cli(&["git:sync", "--if-changed"]);
    assert!(same.stderr.contains("already: nothing to do."), "{same}");
    assert_eq!(app.version(), 2);
    let second = host.change("second\n");
    let _ = app.cli(&["git:sync", "--if-changed"]).success();
    assert!(app.get("/").text().ends_with("second\n"), "URL and branch are remembered");
    assert_eq!(main_of(&app), second);
    // By its number, which no ref is any more, and back again.
    let _ = app.cli(&["git:sync", &host.url(), first.trim()]).success();
    assert!(app.get("/").text().ends_with("first\n"));
    assert_eq!(main_of(&app), first.trim());
}

#[test]
fn a_deploy_key_opens_a_repository_over_ssh() {
    let server = own_server!();
    let (host, app) = (Host::new(&server, "by ssh\n"), TestApp::create(&server, "sshsync"));
    let url = format!("ssh://git@{}/{}.git", server.ssh(), host.app.name);
    let refused = app.cli(&["git:sync", &url, "source"]);
    assert!(refused.everything().contains("windlass git:key"), "{refused}");
    let key = app.cli(&["git:key"]).success();
    assert_eq!(key, app.cli(&["git:key"]).success(), "it stays the same");
    let mut add = server.client(&["keys:add", "-"]);
    let _ = command::run(&mut add, key.as_bytes()).success();
    let said = app.cli(&["git:sync", &url, "source"]).success();
    assert!(app.get("/").text().ends_with("by ssh\n"), "{said}");
    let known = std::fs::read_to_string(server.data_directory().join("known_hosts")).unwrap();
    assert!(!known.is_empty(), "the host's key is kept");
    assert_not_leaked(&server, &app, &said, "PRIVATE KEY");
    let _ = server.cli(&["keys:remove", &format!("{}@windlass", app.name)]).success();
}

#[test]
fn what_cannot_be_fetched_is_refused_and_the_old_release_goes_on() {
    let server = shared_server!();
    let host = Host::new(&server, "good\n");
    host.store_token();
    let app = TestApp::create(&server, "badsync");
    let _ = app.cli(&["git:sync", &host.url(), "source"]).success();
    let before = main_of(&app);
    let load = app.load();
    let file = format!("file://{}", host.repository.path().display());
    for (url, reference, why) in [
        (file.as_str(), "main", "others are not fetched."),
        ("ext::sh -c id", "main", "has spaces in it."),
        ("ssh://-oProxyCommand=id/x", "main", "The URL's host cannot be one."),
        ("http://me:hush@127.0.0.1/x", "main", "leave it out"),
        ("http://127.0.0.1:1/x", "main", "could not be fetched: "),
        (&host.url(), "nothing", "The repository has no branch or tag nothing."),
        (&host.url(), "a..b", "cannot be a branch, tag or commit."),
    ] {
        let refused = app.cli(&["git:sync", url, reference]);
        let said = refused.everything();
        assert_eq!(refused.code(), 5, "{said}");
        assert!(said.contains(why) && !said.contains("hush"), "{url}: {said}");
    }
    let absent = "0123456789".repeat(4);
    let said = app.cli(&["git:sync", &host.url(), &absent]).failure();
    assert!(said.contains(" !     "), "a build that failed: {said}");
    // A build that fails moves nothing.
    host.repository.write("Procfile", "<<<<<<< HEAD\nweb: x\n");
    host.repository.commit("conflict");
    host.push();
    let said = app.cli(&["git:sync", &host.url(), "source"]).failure();
    assert!(said.contains("Procfile"), "{said}");
    assert_eq!((main_of(&app), app.version()), (before, 2));
    load.wait_for(20);
    load.stop().assert_nothing_lost();
}

fn call(server: &TestServer, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut connection = Connection::open_api(server.api()).unwrap();
    connection.send("POST", path, headers, body).unwrap();
    connection.receive().unwrap()
}

/// Signs as GitHub does, by a program that is not ours.
fn github_signature(secret: &str, body: &[u8]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret, "-r"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(body).unwrap();
    let output = openssl.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    format!("sha256={}", text.split(' ').next().unwrap())
}

#[test]
fn a_webhook_deploys_what_was_pushed_and_nobody_else_can() {
    let server = shared_server!();
    let host = Host::new(&server, "before\n");
    host.store_token();
    let app = TestApp::create(&server, "hook");
    assert_eq!(app.cli(&["git:webhook"]).code(), 5, "no repository is known yet");
    let _ = app.cli(&["git:sync", &host.url(), "source"]).success();
    let webhook = app.json(&["git:webhook"]);
    let (url, secret) = (webhook["url"].as_str().unwrap(), webhook["secret"].as_str().unwrap());
    let path = &url[url.find("/webhooks/").unwrap()..];
    let commit = host.change("after\n");
    let body = format!(r#"{{"ref": "refs/heads/source", "after": "{commit}"}}"#).into_bytes();
    let signature = github_signature(secret, &body);
    let github = |signature: &str, event: &str, body: &[u8]| {
        call(&server, path, &[("x-hub-signature-256", signature), ("x-github-event", event)], body)
    };

    let wrong = github_signature("guess", &body);
    for refused in [
        github(&wrong, "push", &body),
        call(&server, path, &[("x-github-event", "push")], &body),
        call(&server, path, &[("x-gitlab-token", "guess")], &body),
        github(&signature, "push", b"{}"),
        call(&server, "/webhooks/git/nobody", &[("x-gitlab-token", secret)], &body),
    ] {
        assert_eq!(refused.status, 401, "{}", refused.text());
        let error: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(error["id"], "unauthorized");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("signature is missing or wrong") && !message.contains('\n'));
    }
    let other = br#"{"ref": "refs/heads/other"}"#;
    let ignored = github(&github_signature(secret, other), "push", other);
    assert_eq!((ignored.status, ignored.text().contains("only source is deployed")), (200, true));
    let ping = github(&github_signature(secret, b"{}"), "ping", b"{}");
    assert_eq!((ping.status, ping.text().contains("pong")), (200, true));
    assert_eq!(app.version(), 2, "nothing was started");

    let started = github(&signature, "push", &body);
    assert_eq!(started.status, 202, "{}", started.text());
    let again = github(&signature, "push", &body);
    assert_eq!(again.status, 202, "the same delivery once more");
    wait_until("the push to be deployed", Duration::from_secs(60), || {
        app.get("/").text().ends_with("after\n") && main_of(&app) == commit
    });
    let gitlab =
        call(&server, path, &[("x-gitlab-token", secret), ("x-gitlab-event", "Push Hook")], &body);
    assert_eq!(gitlab.status, 202, "{}", gitlab.text());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(app.version(), 3, "nothing had changed");
    assert_eq!(app.json(&["builds"]).as_array().unwrap().len(), 2);

    let rotated = app.json(&["git:webhook", "--rotate"]);
    assert_ne!(rotated["secret"], secret);
    assert_eq!(github(&signature, "push", &body).status, 401, "the old secret is of no use");
    let _ = app.cli(&["git:webhook", "--disable"]).success();
    let secret = rotated["secret"].as_str().unwrap();
    assert_eq!(call(&server, path, &[("x-gitlab-token", secret)], &body).status, 401);
    assert!(!server.log().contains(secret));
}

#[test]
fn zip_archives_are_deployed_and_hostile_ones_refused() {
    let server = shared_server!();
    let app = TestApp::create(&server, "zip");
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("app.zip");
    let archive = archive.to_str().unwrap();
    let repository = python_version("zipped\n");
    let _ = repository.git(&["archive", "--format=zip", "--output", archive, "HEAD"]).success();
    let said = app.cli(&["deploy", "--tar", archive]).success();
    assert!(said.contains("Released v2"), "{said}");
    assert!(app.get("/").text().ends_with("zipped\n"));
    let bytes = std::fs::read(archive).unwrap();
    let mut client = server.client(&["deploy", "--app", &app.name, "--tar", "-"]);
    let _ = command::run(&mut client, &bytes).success();

    // Names of the same length, so that the rest of the archive stays right.
    let mut hostile = bytes.clone();
    for at in 0..hostile.len() - 8 {
        if hostile[at..].starts_with(b"Procfile") {
            hostile[at..at + 8].copy_from_slice(b"../../xx");
        }
    }
    std::fs::write(archive, hostile).unwrap();
    let said = app.cli(&["deploy", "--tar", archive]).failure();
    assert!(said.contains(" !     The archive's entry ../../xx has `..` in it."), "{said}");
    std::fs::write(archive, &bytes[..bytes.len() / 2]).unwrap();
    let said = app.cli(&["deploy", "--tar", archive]).failure();
    assert!(said.contains(" !     The archive cannot be read"), "{said}");
    assert_eq!(app.version(), 3);
}

#[test]
fn a_folder_of_a_monorepo_is_built_however_it_comes() {
    let server = shared_server!();
    let app = TestApp::create(&server, "mono");
    let (one, monorepo) = (python(), Repository::empty());
    let folder = monorepo.path().join("apps/web");
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let _ = one.git(&["worktree", "prune"]).success();
    let copied = Command::new("cp").args(["-r"]).arg(one.path()).arg(&folder).status().unwrap();
    assert!(copied.success());
    std::fs::remove_dir_all(folder.join(".git")).unwrap();
    monorepo.write("apps/web/VERSION", "in a folder\n");
    // What would be taken without the setting.
    monorepo.write("Dockerfile", "FROM nothing\n");
    monorepo.commit("two apps");
    let _ = app.cli(&["config:set", "WINDLASS_PROJECT_PATH=apps/web"]).success();
    let pushed = app.push(&monorepo);
    assert!(pushed.everything().contains("Using the folder apps/web of the source"), "{pushed}");
    let _ = pushed.success();
    assert!(app.get("/").text().ends_with("in a folder\n"));
    monorepo.write("apps/web/VERSION", "uploaded\n");
    let _ = app.cli(&["deploy", monorepo.path().to_str().unwrap()]).success();
    assert!(app.get("/").text().ends_with("uploaded\n"));

    let before = app.version();
    for (path, why) in [
        ("../x", "which leads out of the source"),
        ("apps/none", "which is not in the source"),
        ("Dockerfile", "which is not a folder"),
    ] {
        let _ = app.cli(&["config:set", &format!("WINDLASS_PROJECT_PATH={path}")]).success();
        monorepo.commit("again");
        let said = app.push(&monorepo).failure();
        assert!(said.contains(&format!("WINDLASS_PROJECT_PATH is {path}, {why}.")), "{said}");
    }
    assert!(app.get("/").text().ends_with("uploaded\n"));
    assert_eq!(app.version(), before + 3, "the settings only");
}
