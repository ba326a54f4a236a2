//! One attempt of a check.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_core::checks::{Check, Probe};
use windlass_core::driver::{AttachedOutput, Driver, ExecCommand};
use windlass_core::ids::InstanceId;

/// More of an answer is not looked at, in bytes.
const ANSWER_BYTES: usize = 1 << 20;

/// An instance that is checked.
#[derive(Clone)]
pub(super) struct Checked {
    pub driver: Arc<dyn Driver>,
    pub id: InstanceId,
    /// The host name that requests carry.
    pub host: String,
    /// `None` for an instance without a port.
    pub address: Option<SocketAddr>,
    pub started: Instant,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// Nobody answers yet.
    Silent(String),
    /// It answered wrongly.
    Failed(String),
}

impl Checked {
    /// Makes one attempt within the check's time limit.
    pub(super) async fn attempt(&self, check: &Check) -> Outcome {
        let timeout = check.timeout();
        let attempt = async {
            match &check.probe {
                Probe::Uptime(seconds) => self.lived(*seconds),
                Probe::Command(words) => self.command(words).await,
                Probe::Listening { port } => self.listens(*port).await,
                Probe::Http { path, content, headers, port } => {
                    self.answers(path, content.as_deref(), headers, *port).await
                }
            }
        };
        let late = || Outcome::Failed(format!("nothing came within {} s", timeout.as_secs()));
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| late())
    }

    fn lived(&self, seconds: u32) -> Outcome {
        if self.started.elapsed() >= Duration::from_secs(u64::from(seconds)) {
            return Outcome::Passed;
        }
        Outcome::Silent(format!("it has not lived {seconds} s"))
    }

    async fn command(&self, words: &[String]) -> Outcome {
        let command = ExecCommand {
            command: words.to_vec(),
            environment: std::collections::BTreeMap::new(),
            terminal: None,
        };
        let mut running = match self.driver.exec(&self.id, command).await {
            Ok(running) => running,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let mut said = Vec::new();
        while let Some(output) = running.output.recv().await {
            match output {
                AttachedOutput::Exited(status) if status.code == 0 => return Outcome::Passed,
                AttachedOutput::Exited(status) => {
                    return Outcome::Failed(with_last_line(status.code, &said));
                }
                AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes) => {
                    let room = ANSWER_BYTES.saturating_sub(said.len()).min(bytes.len());
                    said.extend_from_slice(&bytes[..room]);
                }
            }
        }
        Outcome::Failed("it ended without a word".to_owned())
    }

    fn target(&self, port: Option<u16>) -> Option<SocketAddr> {
        let address = self.address?;
        Some(port.map_or(address, |port| SocketAddr::new(address.ip(), port)))
    }

    async fn connect(&self, port: Option<u16>) -> Result<TcpStream, Outcome> {
        let Some(target) = self.target(port) else {
            return Err(Outcome::Failed("only web processes have a port".to_owned()));
        };
        TcpStream::connect(target)
            .await
            .map_err(|error| Outcome::Silent(format!("port {}: {error}", target.port())))
    }

    async fn listens(&self, port: Option<u16>) -> Outcome {
        match self.connect(port).await {
            Ok(_) => Outcome::Passed,
            Err(outcome) => outcome,
        }
    }

    async fn answers(
        &self,
        path: &str,
        content: Option<&str>,
        headers: &[(String, String)],
        port: Option<u16>,
    ) -> Outcome {
        let mut stream = match self.connect(port).await {
            Ok(stream) => stream,
            Err(outcome) => return outcome,
        };
        // To version 1.0 nobody answers in chunks, in which the content might be cut up.
        let version = if content.is_some() { "1.0" } else { "1.1" };
        let own: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/{version}\r\nHost: {}\r\nUser-Agent: Windlass-Check\r\nAccept: */*\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n{own}\r\n",
            self.host
        );
        if let Err(error) = stream.write_all(request.as_bytes()).await {
            return Outcome::Silent(error.to_string());
        }
        match read_answer(&mut stream, content.is_some()).await {
            Ok(answer) => judge(&answer, path, content),
            Err(error) => Outcome::Silent(error.to_string()),
        }
    }
}

/// Reads the status line, or all of an answer.
async fn read_answer(stream: &mut TcpStream, whole: bool) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = [0u8; 4096];
    loop {
        let read = stream.read(&mut piece).await?;
        answer.extend_from_slice(&piece[..read]);
        let has_line = answer.contains(&b'\n') && !whole;
        if read == 0 || has_line || answer.len() > ANSWER_BYTES {
            return Ok(answer);
        }
    }
}

fn judge(answer: &[u8], path: &str, content: Option<&str>) -> Outcome {
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status: Option<u16> = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    match status {
        None if answer.is_empty() => Outcome::Silent("it closed the connection".to_owned()),
        None => Outcome::Failed("its answer is no HTTP".to_owned()),
        Some(status) if !(200..400).contains(&status) => {
            Outcome::Failed(format!("GET {path} was answered with status {status}"))
        }
        Some(_) => match content {
            Some(content) if !holds(answer, content.as_bytes()) => {
                Outcome::Failed(format!("the answer to GET {path} does not say {content:?}"))
            }
            _ => Outcome::Passed,
        },
    }
}

/// Whether the body, which begins after the first empty line, holds the content.
fn holds(answer: &[u8], content: &[u8]) -> bool {
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    content.is_empty() || answer[body..].windows(content.len()).any(|window| window == content)
}

fn with_last_line(code: i32, said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("it exited with status {code}: {}", line.trim()),
        None => format!("it exited with status {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_status_and_content() {
        let ok = b"HTTP/1.1 200 OK\r\nA: up\r\n\r\nall is up";
        assert_eq!(judge(ok, "/", None), Outcome::Passed);
        assert_eq!(judge(ok, "/", Some("is up")), Outcome::Passed);
        assert!(matches!(judge(ok, "/", Some("A: up")), Outcome::Failed(_)), "that is a header");
        assert_eq!(judge(b"HTTP/1.0 302 Found\r\n", "/", None), Outcome::Passed);
        let failed = judge(b"HTTP/1.1 503 Busy\r\n\r\n", "/up", None);
        assert_eq!(failed, Outcome::Failed("GET /up was answered with status 503".to_owned()));
        assert!(matches!(judge(b"SSH-2.0\r\n", "/", None), Outcome::Failed(_)));
        assert!(matches!(judge(b"", "/", None), Outcome::Silent(_)));
    }

    #[test]
    fn a_failed_command_is_told_with_its_last_line() {
        assert_eq!(with_last_line(2, b"one\ntwo\n\n"), "it exited with status 2: two");
        assert_eq!(with_last_line(1, b""), "it exited with status 1");
    }
}
