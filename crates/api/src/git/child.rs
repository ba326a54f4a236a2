//! A running `git` that serves one client, and its end when the client goes away.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use windlass_control::receive::{GitSession, Service};

/// Between asking the process group to end and ending it: git removes its temporary files.
const GRACE: Duration = Duration::from_secs(2);
/// How much of git's complaints is kept for the log, in bytes.
const KEPT_COMPLAINTS: usize = 4_096;
/// The largest pack of one push, in bytes; as large as an archive may be.
const PACK_BYTES: u64 = 1 << 30;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a client talks to git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One conversation over one connection (SSH).
    Conversation,
    /// The references, as the first of two HTTP requests asks for them.
    Advertisement,
    /// One request and its answer, as the second of the two.
    Exchange,
}

/// A running git with all that it started. Dropping it ends the whole process group, and with the
/// session a build that runs for it.
pub(super) struct GitChild {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    group: Option<Group>,
    service: Service,
    _session: GitSession,
}

impl GitChild {
    /// Starts git on the session's repository. `protocol` is what the client asked for by
    /// `Git-Protocol`, when it is harmless.
    pub(super) fn start(
        session: GitSession,
        service: Service,
        mode: Mode,
        protocol: Option<&str>,
    ) -> io::Result<Self> {
        let mut command = Command::new("git");
        if service == Service::ReceivePack {
            command.args(["-c", &format!("receive.maxInputSize={PACK_BYTES}")]);
        }
        command.arg(service.command());
        match mode {
            Mode::Conversation => {}
            Mode::Advertisement => {
                command.args(["--stateless-rpc", "--http-backend-info-refs"]);
            }
            Mode::Exchange => {
                command.arg("--stateless-rpc");
            }
        }
        command.arg(&session.repository);
        command.env_clear();
        command
            .env("PATH", std::env::var_os("PATH").as_deref().unwrap_or(OsStr::new(DEFAULT_PATH)));
        command.envs([("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LANG", "C.UTF-8")]);
        command.envs(session.environment.iter().map(|(name, value)| (name, value)));
        if let Some(protocol) = protocol.filter(|text| is_protocol(text)) {
            command.env("GIT_PROTOCOL", protocol);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn()?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            group: Group::new(child),
            service,
            _session: session,
        })
    }

    /// Waits until git has ended by itself, and logs a failure with `complaints`.
    pub(super) async fn finish(mut self, complaints: Option<&str>) -> io::Result<ExitStatus> {
        let Some(mut group) = self.group.take() else {
            return Err(io::Error::other("git had no process id"));
        };
        let status = match group.child.wait().await {
            Ok(status) => status,
            Err(error) => {
                group.end();
                return Err(error);
            }
        };
        // What git left behind has lost its client.
        group.signal(Signal::SIGKILL);
        if !status.success() {
            // Most often the client's own doing: a rejected push, a broken pack.
            tracing::info!(service = self.service.command(), %status, complaints, "git ended with a failure");
        }
        Ok(status)
    }
}

impl Drop for GitChild {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            tracing::debug!(service = self.service.command(), "the client is gone; git is ended");
            group.end();
        }
    }
}

/// The process group that git leads.
struct Group {
    child: Child,
    id: Pid,
}

impl Group {
    fn new(child: Child) -> Option<Self> {
        let id = i32::try_from(child.id()?).ok()?;
        Some(Self { child, id: Pid::from_raw(id) })
    }

    fn signal(&self, signal: Signal) {
        // It may have ended meanwhile; then there is nothing to do.
        let _ = killpg(self.id, signal);
    }

    /// Ends the group: politely, then surely, and reaps its leader.
    fn end(mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.signal(Signal::SIGKILL);
            return;
        };
        self.signal(Signal::SIGTERM);
        runtime.spawn(async move {
            let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
            self.signal(Signal::SIGKILL);
            if let Err(error) = self.child.wait().await {
                tracing::warn!(%error, "git could not be reaped");
            }
        });
    }
}

/// Whether a `Git-Protocol` value is made of what protocol versions are made of. It becomes an
/// environment variable of git.
fn is_protocol(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b':' | b'.' | b'-' | b'_');
    (1..=200).contains(&text.len()) && text.bytes().all(allowed)
}

/// Reads what git complains about, to its end, and returns the first of it.
pub(super) fn collect(stderr: Option<ChildStderr>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let Some(mut stderr) = stderr else { return String::new() };
        let mut kept = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            let room = KEPT_COMPLAINTS - kept.len();
            kept.extend_from_slice(&buffer[..count.min(room)]);
        }
        String::from_utf8_lossy(&kept).trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_protocols_become_environment() {
        assert!(is_protocol("version=2"));
        assert!(is_protocol("version=2:object-format=sha1"));
        for bad in ["", "version=2\nX=1", "a b", "a;b", &"x".repeat(201)] {
            assert!(!is_protocol(bad), "{bad:?}");
        }
    }

    /// A leader that ignores SIGTERM's effect on its child, and a child that would outlive it.
    #[tokio::test]
    async fn ending_a_group_leaves_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; sleep 600 & echo $! > \"$1\"; wait; wait", "sh"])
            .arg(&file);
        command.process_group(0).kill_on_drop(true);
        let group = Group::new(command.spawn().unwrap()).unwrap();
        let grandchild: i32 = loop {
            match std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) {
                Some(pid) => break pid,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        group.end();
        let gone = async {
            while is_running(grandchild) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the grandchild is ended");
    }

    fn is_running(pid: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }
}
