//! What both git doors are tested with: a checkout, and an app whose repository runs a hook of ours
//! in place of the platform's, so that no build is needed.

use super::support::Server;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// Makes the app `bibly` whose pushes run `script`, and returns a file that it finds as `$1`.
pub async fn app_with_hook(server: &Server, script: &str) -> PathBuf {
    server.app("bibly").await;
    let (_, user) = server.platform.authenticate(&server.token).unwrap();
    let app = server.platform.app(&user, "bibly").unwrap();
    let repository = server.directory.path().join(format!("data/repositories/{}.git", app.id));
    let hooks = server.directory.path().join("test-hooks");
    let signal = server.directory.path().join("signal");
    std::fs::create_dir(&hooks).unwrap();
    let hook = hooks.join("pre-receive");
    std::fs::write(&hook, format!("#!/bin/sh\nset -- '{}'\n{script}\n", signal.display())).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!("[core]\n\tbare = true\n\thooksPath = {}\n", hooks.display());
    std::fs::write(repository.join("config"), config).unwrap();
    signal
}

/// A git checkout with one commit, and a home of its own.
pub struct Checkout(TempDir);

impl Checkout {
    pub async fn new() -> Self {
        let checkout = Self(tempfile::tempdir().unwrap());
        checkout.succeed(&["init", "--quiet", "--initial-branch=main"]).await;
        checkout.commit("hello").await;
        checkout
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub async fn commit(&self, content: &str) {
        std::fs::write(self.path().join("file"), content).unwrap();
        self.succeed(&["add", "file"]).await;
        self.succeed(&[
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "commit",
            "--quiet",
            "-m",
            "x",
        ])
        .await;
    }

    pub fn git(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path());
        command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0"), ("LANG", "C")]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Returns whether git succeeded, and all that it wrote.
    pub async fn run(&self, mut command: Command) -> (bool, String) {
        let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
        let output = output.expect("git ends").unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), text)
    }

    pub async fn succeed(&self, arguments: &[&str]) -> String {
        let (success, text) = self.run(self.git(arguments)).await;
        assert!(success, "git {arguments:?}: {text}");
        text
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

pub fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// A push whose hook is silent, until the client is killed: the hook must end with it.
pub async fn killed_client_ends_hook(signal: &Path, mut push: Command) {
    let mut client = push.spawn().unwrap();
    let group = i32::try_from(client.id().unwrap()).unwrap();
    eventually("the hook runs", || {
        std::fs::read_to_string(signal).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    let hook = std::fs::read_to_string(signal).unwrap();
    assert!(is_running(&hook));
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    client.wait().await.unwrap();
    eventually("the hook is ended", || !is_running(&hook)).await;
}

/// A push that shows the hook's first line while the hook still waits for `signal`.
pub async fn output_is_live(signal: &Path, mut push: Command) {
    use tokio::io::{AsyncReadExt, BufReader};
    let mut client = push.spawn().unwrap();
    let mut stderr = BufReader::new(client.stderr.take().unwrap());
    let mut text = String::new();
    let mut buffer = [0; 256];
    while !text.contains("remote: first") {
        let read = tokio::time::timeout(Duration::from_secs(120), stderr.read(&mut buffer)).await;
        let count = read.expect("the first line comes while the hook waits").unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(!text.contains("second"));
    std::fs::write(signal, "").unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("remote: second"), "{rest}");
    assert!(client.wait().await.unwrap().success(), "{rest}");
}

/// Writes its process id to the file, then is silent for ten minutes.
pub const SILENT_HOOK: &str = "echo $$ > \"$1\"; sleep 600 & wait";
/// Shows a line, waits for the file, shows another.
pub const WAITING_HOOK: &str =
    "echo first; while [ ! -e \"$1\" ]; do sleep 0.05; done; echo second";
