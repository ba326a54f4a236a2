//! Commands inside processes over SSH, at the router's port, as Heroku's CLI asks for them.

use crate::support::{python, shared_server};
use std::path::{Path, PathBuf};
use std::process::Command;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::{self, Finished};
use windlass_testkit::server::TestServer;

/// Somebody with a key of their own.
struct Person<'a> {
    server: &'a TestServer,
    app: &'a TestApp,
    folder: tempfile::TempDir,
}

/// What the exec manager gave out for one key.
struct Login {
    name: String,
    known_hosts: PathBuf,
}

impl<'a> Person<'a> {
    fn new(server: &'a TestServer, app: &'a TestApp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
            .arg(folder.path().join("key"));
        let _ = command::run(&mut keygen, b"").success();
        Self { server, app, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Hands the key in, as the CLI does.
    fn log_in(&self, process: &str) -> Login {
        let key = std::fs::read_to_string(self.path("key.pub")).unwrap();
        let body = serde_json::json!({"client_key": key.trim()}).to_string();
        let url = format!("http://{}/api/v2/{process}", self.server.api());
        let user = format!("{}:{}", self.app.name, self.server.token());
        let mut put = Command::new("curl");
        put.args(["-sS", "--fail-with-body", "-X", "PUT", "-H", "content-type: application/json"]);
        let said = command::run(put.args(["-u", &user, "-d", &body, &url]), b"").success();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let text = |name: &str| said[name].as_str().unwrap_or_else(|| panic!("{name}: {said}"));
        let known_hosts = self.path("known_hosts");
        let host = format!("[{}]:{}", text("tunnel_host"), self.server.http().port());
        std::fs::write(&known_hosts, format!("{host} {}\n", text("proxy_public_key"))).unwrap();
        Login { name: text("client_user").to_owned(), known_hosts }
    }

    fn ssh(&self, login: &Login, arguments: &[&str], input: &[u8]) -> Finished {
        let port = self.server.http().port().to_string();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-p", &port, "-i"]).arg(self.path("key"));
        for option in ["IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "BatchMode=yes"] {
            ssh.args(["-o", option]);
        }
        let known = |file: &Path| format!("UserKnownHostsFile={}", file.display());
        ssh.args(["-o", &known(&login.known_hosts), "-o", "LogLevel=ERROR", "-l", &login.name]);
        // Options go before the host, the command behind it.
        let (options, words) = match arguments {
            ["-W", target, rest @ ..] => (vec!["-W", *target], rest),
            ["-tt", rest @ ..] => (vec!["-tt"], rest),
            words => (Vec::new(), words),
        };
        ssh.args(options).arg("127.0.0.1").args(words);
        command::run(&mut ssh, input)
    }
}

#[test]
fn a_key_that_was_handed_in_runs_one_command_inside_the_process() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "execssh", &python());
    let person = Person::new(&server, &app);
    let login = person.log_in("web.1");
    let ran = person.ssh(&login, &["echo $DYNO $(id -u) $PWD; echo no >&2; exit 42"], b"");
    assert_eq!((ran.code(), ran.stdout.as_str()), (42, "web.1 1000 /app\n"), "{ran}");
    assert_eq!(ran.stderr, "no\n", "{ran}");
    let again = person.ssh(&login, &["true"], b"");
    assert!(again.failure().contains("Permission denied"), "a key is good for one command");

    let login = person.log_in("web.1");
    let other = Login { name: format!("{}x", login.name), known_hosts: login.known_hosts.clone() };
    assert!(person.ssh(&other, &["true"], b"").failure().contains("Permission denied"));
    let input: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let sum = person.ssh(&login, &["sha256sum"], &input).success();
    assert_eq!(sum.split_whitespace().next(), Some(windlass_oci::digest_of(&input).hex()));

    // With a terminal, which has a size whatever the client says.
    let shown = person.ssh(&person.log_in("web.1"), &["-tt", "stty size; echo $TERM"], b"");
    assert!(shown.stdout.contains("24 80\r\n"), "{shown}");
    app.wait_for_log("app[api]: Running `sha256sum` in web.1 by user owner@localhost");
    let trail = app.cli(&["activity", "--json"]).success();
    assert!(trail.contains("/api/v2/{dyno}"), "{trail}");
    app.wait_for_processes(&["web.1"]);
}

/// Whether ssh was let in, and got no connection.
fn is_refused(ended: Finished) -> bool {
    ended.stdout.is_empty() && !ended.failure().contains("Permission denied")
}

#[test]
fn connections_are_forwarded_to_the_processs_own_loopback() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "execfwd", &python());
    let port = app.cli(&["ps:exec", "--", "echo $PORT"]).success();
    let person = Person::new(&server, &app);
    let login = person.log_in("web.1");
    let request = b"GET /healthz HTTP/1.0\r\n\r\n";
    for host in ["0.0.0.0", "localhost"] {
        let target = format!("{host}:{}", port.trim());
        let answered = person.ssh(&login, &["-W", &target], request);
        assert!(answered.stdout.contains(" 200 OK\r\n"), "{answered}");
    }
    let closed = person.ssh(&login, &["-W", "127.0.0.1:9"], b"");
    assert!(is_refused(closed), "nobody listens there");
    // What the host listens on is not what the process sees.
    let api = format!("127.0.0.1:{}", server.api().port());
    let outside = person.ssh(&login, &["-W", &api], request);
    assert!(is_refused(outside), "the host's loopback is another one");
}
