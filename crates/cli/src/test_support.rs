//! A server that answers from a list, and sessions whose output can be read.

use crate::commands::{Command, dispatch};
use crate::environment::Environment;
use crate::error::CliError;
use crate::output::Output;
use crate::session::Session;
use clap::Parser;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

#[derive(Parser)]
#[command(name = "windlass")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

/// The client's commands as a whole program.
pub fn root() -> clap::Command {
    <Program as clap::CommandFactory>::command()
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a command wrote.
#[derive(Clone, Default)]
pub struct Captured {
    stdout: Shared,
    stderr: Shared,
}

impl Captured {
    pub fn new() -> Captured {
        Captured::default()
    }

    pub fn output(&self, colour: bool) -> Output {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        Output::to(Box::new(stdout), Box::new(stderr), colour)
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.stdout.0.lock().unwrap().clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.stderr.0.lock().unwrap().clone()).unwrap()
    }
}

/// A user's machine: an empty home, nothing set but the token and the server.
pub struct Machine {
    pub folder: tempfile::TempDir,
    pub variables: BTreeMap<String, String>,
    pub stdin_terminal: bool,
    pub input: String,
}

/// How a command ended.
pub struct Ended {
    pub result: Result<u8, CliError>,
    pub stdout: String,
    pub stderr: String,
}

impl Machine {
    /// Logged in to nothing.
    pub fn bare() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let variables = [
            ("HOME", home),
            ("WINDLASS_DATA", "/nowhere".to_owned()),
            ("PATH", "/nowhere".to_owned()),
        ];
        Machine {
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            folder,
            stdin_terminal: false,
            input: String::new(),
        }
    }

    /// With the server's URL, a token and an app in variables.
    pub fn using(server: &Server) -> Machine {
        let mut machine = Machine::bare();
        machine.set("WINDLASS_URL", &server.url());
        machine.set("WINDLASS_TOKEN", "sekret");
        machine.set("WINDLASS_APP", "bibly");
        machine
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs a command as typed, words separated by blanks.
    pub fn run(&self, line: &str) -> Ended {
        self.run_words(&line.split(' ').collect::<Vec<_>>())
    }

    pub fn run_words(&self, words: &[&str]) -> Ended {
        let words = std::iter::once("windlass").chain(words.iter().copied());
        let command = Program::try_parse_from(words).unwrap().command;
        let captured = Captured::new();
        let environment = Environment {
            variables: self.variables.clone(),
            directory: self.folder.path().to_owned(),
            stdin_terminal: self.stdin_terminal,
            stdout_terminal: false,
            stderr_terminal: self.stdin_terminal,
            now: "2026-01-02T03:05:05Z".parse().unwrap(),
        };
        let mut session = Session {
            environment,
            input: Box::new(Cursor::new(self.input.clone().into_bytes())),
            output: captured.output(false),
            warnings: Default::default(),
        };
        let result = dispatch(command, &mut session, root);
        Ended { result, stdout: captured.stdout(), stderr: captured.stderr() }
    }
}

impl Ended {
    /// The error; panics if there was none.
    pub fn error(self) -> CliError {
        self.result.unwrap_err()
    }
}

/// Runs git in a folder, away from the user's own settings.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output =
        std::process::Command::new("git").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET /apps`
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// An answer: a request line, the status, more header lines, the body.
type Answer = (String, u16, String, String);

/// Serves a list of answers. Several for one request are given in turn, the last again.
pub struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<Vec<Answer>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::<Mutex<Vec<Answer>>>::default();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let stopped = Arc::<AtomicBool>::default();
        let thread = thread::spawn({
            let (answers, requests) = (answers.clone(), requests.clone());
            let stopped = stopped.clone();
            move || {
                for socket in listener.incoming() {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    serve(socket.unwrap(), &answers, &requests);
                }
            }
        });
        Server { address, answers, requests, stopped, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an answer: `server.on("GET /apps", 200, "[]")`.
    pub fn on(&self, line: &str, status: u16, body: impl ToString) -> &Server {
        self.on_with(line, status, "", body)
    }

    /// The same with header lines, each ended by `\r\n`.
    pub fn on_with(&self, line: &str, status: u16, headers: &str, body: impl ToString) -> &Server {
        let answer = (line.to_owned(), status, headers.to_owned(), body.to_string());
        self.answers.lock().unwrap().push(answer);
        self
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The body of the only request with this line.
    pub fn body(&self, line: &str) -> serde_json::Value {
        let requests = self.requests();
        let mut found = requests.iter().filter(|request| request.line == line);
        let body = &found.next().unwrap().body;
        assert!(found.next().is_none());
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // A last connection wakes the thread from accept().
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

/// Answers one request and closes, so that no thread waits for another.
fn serve(socket: TcpStream, answers: &Mutex<Vec<Answer>>, requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    requests.lock().unwrap().push(Request { line: line.clone(), headers, body });
    let (status, headers, body) = next_answer(&line, answers);
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\nconnection: close\r\n\
         content-type: application/json\r\n{headers}\r\n{body}"
    );
    // A client may leave before it has read all.
    let _ = reader.get_mut().write_all(answer.as_bytes());
}

fn next_answer(line: &str, answers: &Mutex<Vec<Answer>>) -> (u16, String, String) {
    let mut answers = answers.lock().unwrap();
    let mut matching =
        answers.iter().enumerate().filter(|(_, answer)| answer.0 == line).map(|(index, _)| index);
    let Some(first) = matching.next() else {
        let body = format!(r#"{{"id":"test","message":"no answer for {line}"}}"#);
        return (500, String::new(), body);
    };
    let several = matching.next().is_some();
    let (_, status, headers, body) = answers[first].clone();
    if several {
        answers.remove(first);
    }
    (status, headers, body)
}
