//! Child processes: in a process group of their own, with a time limit, ended on Ctrl-C.

use super::DemoError;
use super::interrupt::Interrupt;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(50);

/// Runs a command to its end and hands over its output, both streams together, line by line.
/// Errors: it failed (with the last line it said), took too long, or the demo is interrupted;
/// the command and its children have ended then.
pub fn run(
    what: &str,
    mut command: Command,
    limit: Duration,
    interrupt: &Interrupt,
    mut line: impl FnMut(&str),
) -> Result<(), DemoError> {
    let cannot = |source| DemoError::Io { what: format!("cannot start {what}"), source };
    let (reader, writer) = std::io::pipe().map_err(cannot)?;
    let second = writer.try_clone().map_err(cannot)?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second).process_group(0);
    let child = command.spawn().map_err(cannot)?;
    // It holds our copies of the pipe's end.
    drop(command);
    let mut child = Group(child);
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + limit;
    let mut last = String::new();
    loop {
        match lines.recv_timeout(TICK) {
            Ok(text) => {
                line(&text);
                if !text.trim().is_empty() {
                    last = text;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        interrupt.check()?;
        if Instant::now() > deadline {
            return Err(DemoError::Failed(format!("{what}: not within {} s", limit.as_secs())));
        }
    }
    let status = child
        .0
        .wait()
        .map_err(|source| DemoError::Io { what: format!("cannot wait for {what}"), source })?;
    if status.success() {
        return Ok(());
    }
    Err(DemoError::Failed(format!("{what} failed ({status}): {}", last.trim())))
}

/// Killed with its process group when dropped before its end.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            if let Some(group) = pid(&self.0) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.0.wait();
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Sends SIGTERM, and SIGKILL if the child has not ended within `grace`.
pub fn stop(child: &mut Child, grace: Duration) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    if let Some(pid) = pid(child) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    child.wait().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_arrives_and_a_failure_quotes_the_last_line() {
        let mut seen = Vec::new();
        let script = shell("echo one; echo two >&2; exit 3");
        let limit = Duration::from_secs(10);
        let outcome = run("it", script, limit, &Interrupt::never(), |l| seen.push(l.to_owned()));
        assert_eq!(seen, ["one", "two"]);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("it failed") && error.ends_with("two"), "{error}");
    }

    #[test]
    fn too_slow_a_command_is_ended_with_its_children() {
        let started = Instant::now();
        let script = shell("sleep 60 & echo $!; wait");
        let mut sleeper = String::new();
        // Long enough for the shell to say its child's number.
        let limit = Duration::from_secs(2);
        let outcome = run("it", script, limit, &Interrupt::never(), |l| sleeper = l.to_owned());
        assert!(outcome.unwrap_err().to_string().contains("not within"));
        assert!(started.elapsed() < Duration::from_secs(50));
        let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat"));
        while state(&sleeper).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(started.elapsed() < Duration::from_secs(50), "the child's child lives on");
        }
    }
}
