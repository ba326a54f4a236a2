//! Runs child processes: output line by line, a time limit, a log of everything.

use super::SetupError;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How many lines of output an error quotes.
const QUOTED_LINES: usize = 25;
const TICK: Duration = Duration::from_millis(200);
/// Variables of the caller that package downloads need. Everything else stays out of the children.
const PASSED_ON: &[&str] =
    &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY"];

/// A command to run, by argument vector.
pub struct ChildCommand {
    what: String,
    arguments: Vec<OsString>,
    timeout: Duration,
}

impl ChildCommand {
    /// `what` names the command in errors. The first argument is the program.
    pub fn new(
        what: &str,
        timeout: Duration,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        let arguments =
            arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        Self { what: what.to_owned(), arguments, timeout }
    }

    /// As [`ChildCommand::new`], in mount and process namespaces of its own. They end with this
    /// process, however it ends, and take all processes and mounts in them along.
    pub fn contained(
        what: &str,
        timeout: Duration,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        let wrapper = "setpriv --pdeathsig KILL -- unshare --mount --propagation private --pid --fork --kill-child \
                       --mount-proc --";
        let mut command = Self::new(what, timeout, wrapper.split_ascii_whitespace());
        command
            .arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        command
    }

    /// Runs to the end. Calls `watch` with each line of output, and with `None` a few times a second.
    pub fn run(
        self,
        log: &mut dyn Write,
        watch: &mut dyn FnMut(Option<&str>),
    ) -> Result<(), SetupError> {
        let mut child = self.spawn()?;
        let lines = collect_lines(&mut child);
        let deadline = Instant::now() + self.timeout;
        let mut last: VecDeque<String> = VecDeque::new();
        loop {
            match lines.recv_timeout(TICK) {
                Ok(line) => {
                    // The log is a help, not a condition.
                    let _ = writeln!(log, "{line}");
                    watch(Some(&line));
                    last.push_back(line);
                    if last.len() > QUOTED_LINES {
                        last.pop_front();
                    }
                }
                Err(RecvTimeoutError::Timeout) => watch(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() > deadline {
                end(&mut child);
                return Err(SetupError::TimedOut {
                    what: self.what,
                    seconds: self.timeout.as_secs(),
                });
            }
        }
        let status =
            wait(&mut child, deadline).map_err(SetupError::io("cannot wait for", &self.what))?;
        if status.success() {
            return Ok(());
        }
        let output = Vec::from(last).join("\n  ");
        Err(SetupError::ChildFailed { what: self.what, status, output })
    }

    fn spawn(&self) -> Result<Child, SetupError> {
        let Some((program, arguments)) = self.arguments.split_first() else {
            return Err(SetupError::Unusable(format!("{}: no command", self.what)));
        };
        let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .envs(passed_on)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(SetupError::io("cannot start", &program.to_string_lossy()))
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for a child whose output has ended, which should be over any moment.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            return child.wait();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn collect_lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        read_lines(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        read_lines(stderr, sender);
    }
    receiver
}

fn read_lines(pipe: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(timeout: Duration, arguments: &[&str]) -> (Result<(), SetupError>, Vec<String>) {
        let mut lines = Vec::new();
        let command = ChildCommand::new("the test", timeout, arguments);
        let result =
            command.run(&mut std::io::sink(), &mut |line| lines.extend(line.map(str::to_owned)));
        (result, lines)
    }

    #[test]
    fn lines_of_both_streams_arrive() {
        let (result, mut lines) =
            run(Duration::from_secs(10), &["sh", "-c", "echo one; echo two >&2; printf three"]);
        result.unwrap();
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"]);
    }

    #[test]
    fn a_failure_quotes_the_end_of_the_output() {
        let (result, _) = run(Duration::from_secs(10), &["sh", "-c", "seq 100; exit 7"]);
        let text = result.unwrap_err().to_string();
        assert!(
            text.contains("the test") && text.contains("100") && !text.contains("\n  50\n"),
            "{text}"
        );
    }

    #[test]
    fn too_slow_a_child_is_ended() {
        let start = Instant::now();
        let (result, _) = run(Duration::from_millis(300), &["sleep", "60"]);
        assert!(matches!(result, Err(SetupError::TimedOut { .. })));
        assert!(start.elapsed() < Duration::from_secs(50));
    }
}
