//! Has a running server become the program that is installed now, and watches it.

use crate::data_lock::{self, Holder};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(50);

/// How long a service manager may take to start the server again.
const MANAGER_LIMIT: Duration = Duration::from_secs(15);

/// The new server did not become ready.
pub struct Failure {
    pub reason: String,
    pub started: Server,
}

/// How a server was started, so that it can be started again.
pub struct Server {
    pid: u32,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    output: [Stdio; 2],
}

fn parts(pid: u32, name: &str) -> Vec<OsString> {
    let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| OsString::from_vec(part.to_vec())).collect()
}

impl Server {
    fn of(pid: u32) -> Self {
        let output = |number: u32| {
            let file = File::options().append(true).open(format!("/proc/{pid}/fd/{number}"));
            file.map_or_else(|_| Stdio::null(), Stdio::from)
        };
        let pair = |text: OsString| {
            let text = text.into_vec();
            let at = text.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (text[..at].to_vec(), text[at + 1..].to_vec());
            Some((OsString::from_vec(name), OsString::from_vec(value)))
        };
        Self {
            pid,
            arguments: parts(pid, "cmdline"),
            environment: parts(pid, "environ").into_iter().filter_map(pair).collect(),
            directory: std::fs::read_link(format!("/proc/{pid}/cwd")).ok(),
            output: [output(1), output(2)],
        }
    }

    fn has_manager(&self) -> bool {
        let names = ["NOTIFY_SOCKET", "INVOCATION_ID"];
        self.environment.iter().any(|(name, _)| names.iter().any(|manager| name == manager))
    }

    /// Kills the server if it still runs.
    pub fn end(&self) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && runs(self.pid)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        let end = Instant::now() + Duration::from_secs(5);
        while runs(self.pid) && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }

    /// Starts the server as it was, unless a service manager does, and waits until it is ready.
    pub fn start_again(self, data: &Path, program: &Path, limit: Duration) -> Result<(), String> {
        if self.has_manager() && wait_until_ready(data, None, MANAGER_LIMIT).is_ok() {
            return Ok(());
        }
        let [stdout, stderr] = self.output;
        let mut command = Command::new(program);
        command.args(self.arguments.iter().skip(1)).env_clear().envs(self.environment);
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        // It outlives this command.
        command.process_group(0).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = command.spawn().map_err(|error| error.to_string())?;
        wait_until_ready(data, Some(child.id()), limit)
    }
}

/// Returns whether the process is there and not merely waiting to be reaped.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().chars().next());
    state.flatten().is_some_and(|state| state != 'Z' && state != 'X')
}

/// Tells the server to become the installed program; returns once that is ready.
pub fn restart(data: &Path, running: &Holder, limit: Duration) -> Result<(), Failure> {
    let server = Server::of(running.pid);
    let outcome = i32::try_from(running.pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| "the server's process is not known".to_owned())
        .and_then(|pid| {
            kill_process(pid, Signal::USR2).map_err(|error| format!("it cannot be told: {error}"))
        })
        .and_then(|()| wait_for_another(data, running, limit));
    outcome.map_err(|reason| Failure { reason, started: server })
}

fn wait_for_another(data: &Path, before: &Holder, limit: Duration) -> Result<(), String> {
    wait(before.pid, limit, || {
        data_lock::holder(data).is_some_and(|now| now.ready && now.since != before.since)
    })
}

fn wait_until_ready(data: &Path, pid: Option<u32>, limit: Duration) -> Result<(), String> {
    let is_ready = || data_lock::holder(data).is_some_and(|now| now.ready);
    wait(pid.unwrap_or(std::process::id()), limit, is_ready)
}

fn wait(pid: u32, limit: Duration, is_done: impl Fn() -> bool) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        if is_done() {
            return Ok(());
        }
        if !runs(pid) {
            return Err("the server ended; its log says why".to_owned());
        }
        if Instant::now() > end {
            return Err(format!("it was not ready after {} s", limit.as_secs()));
        }
        std::thread::sleep(LOOK);
    }
}
