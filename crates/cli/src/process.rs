//! Child processes: argument vectors, a deadline, their output kept.

use crate::error::{CliError, Result};
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// How a child ended and what it wrote.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program in a folder to its end, at most ten seconds.
///
/// A program that ended with an error is no error here; the caller looks at the status.
pub fn run(program: &str, arguments: &[&str], directory: &Path) -> Result<Finished> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| CliError::general(format!("Could not run {program}: {error}")))?;
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let (Ok(stdout), Ok(stderr)) = (stdout.recv_timeout(DEADLINE), stderr.recv_timeout(DEADLINE))
    else {
        // It may have ended just now; either way it is reaped below.
        let _ = child.kill();
        let _ = child.wait();
        return Err(CliError::general(format!(
            "{program} {} did not end within {} s.",
            arguments.join(" "),
            DEADLINE.as_secs()
        )));
    };
    let status = child
        .wait()
        .map_err(|error| CliError::general(format!("Could not wait for {program}: {error}")))?;
    Ok(Finished { status, stdout, stderr })
}

fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A read error ends the output where it is; the status tells the rest.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
