//! Running programs with a time limit, and what came of it.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Long enough for anything on a busy machine: four minutes were too short for a push that
/// downloads and compiles beside twenty others.
const LIMIT: Duration = Duration::from_secs(900);

/// A program that has ended.
#[must_use = "look at how it ended: `.success()` or `.failure()`"]
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

impl Finished {
    /// Returns the standard output of a program that must have ended with 0.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// Returns output and errors of a program that must have ended with something else than 0.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(!self.status.success(), "it should have failed: {self}");
        self.everything()
    }

    /// Returns output and errors, one after the other.
    #[must_use]
    pub fn everything(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Returns the exit code; panics if a signal ended the program.
    #[must_use]
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("a signal ended it: {self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr, command } = self;
        write!(f, "{command}\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a program to its end, with `input` on its standard input. Panics when it takes too long.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Finished {
    let mut running = start(command);
    if let Some(mut stdin) = running.child.stdin.take() {
        // A program that does not read its input is no error here.
        let _ = stdin.write_all(input);
    }
    running.wait()
}

/// Starts a program in a process group of its own. Its standard input is open.
#[track_caller]
pub fn start(command: &mut Command) -> Running {
    let description = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{description}: {error}"));
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    Running { child, stdout, stderr, description }
}

/// A started program. Killed with its process group when it is dropped.
pub struct Running {
    child: Child,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
    description: String,
}

struct Collected {
    text: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let text = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let shared = text.clone();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            shared.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    Collected { text, reader }
}

fn text_of(collected: Option<&Collected>) -> String {
    collected
        .map(|c| String::from_utf8_lossy(&c.text.lock().unwrap()).into_owned())
        .unwrap_or_default()
}

impl Running {
    /// Returns what the program has said so far, output and errors one after the other.
    #[must_use]
    pub fn so_far(&self) -> String {
        text_of(self.stdout.as_ref()) + &text_of(self.stderr.as_ref())
    }

    /// Writes to its standard input.
    pub fn write(&mut self, input: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("it is open");
        stdin.write_all(input).and_then(|()| stdin.flush()).expect("the program reads");
    }

    /// Closes its standard input and waits for its end. Panics when it takes too long.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        drop(self.child.stdin.take());
        self.wait_with_open_input()
    }

    /// Waits for its end. Panics when it takes too long.
    #[track_caller]
    pub fn wait_with_open_input(&mut self) -> Finished {
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            if Instant::now() > end {
                self.kill();
                panic!(
                    "{} took longer than {} s:\n{}",
                    self.description,
                    LIMIT.as_secs(),
                    self.so_far()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let finish = |collected: Option<Collected>| {
            collected.map(|collected| {
                let _ = collected.reader.join();
                String::from_utf8_lossy(&collected.text.lock().unwrap()).into_owned()
            })
        };
        Finished {
            status,
            stdout: finish(self.stdout.take()).unwrap_or_default(),
            stderr: finish(self.stderr.take()).unwrap_or_default(),
            command: self.description.clone(),
        }
    }

    /// Sends a signal to its process group.
    pub fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(group, signal);
    }

    /// Kills it and all that it started.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}
