//! Whole processes: the test binary starts itself again as the client.

use super::*;
use crate::test_support::{Machine, Server, root};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use windlass_wire::attach;

const WORDS: &str = "WINDLASS_TEST_WORDS";

/// Not a test of its own: the client that the others start.
#[test]
fn client() {
    let Ok(words) = std::env::var(WORDS) else {
        return;
    };
    let words = std::iter::once("windlass").chain(words.split(' '));
    let matches = root().get_matches_from(words);
    let command = <crate::Command as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    println!("started");
    let code = crate::run(command, root);
    // ExitCode cannot be looked into other than through its debug form.
    let code = format!("{code:?}");
    let digits: String = code.chars().filter(char::is_ascii_digit).collect();
    std::process::exit(digits.parse().unwrap());
}

/// Starts the client; its output is read up to where the client's own begins.
fn start(machine: &Machine, words: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::process::client", "--nocapture"])
        .env_clear()
        .envs(&machine.variables)
        .env(WORDS, words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("started\n") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0);
    }
    (child, stdout)
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&[kind], length.to_le_bytes().as_slice(), payload].concat()
}

/// An attach server that waits for one frame of a kind and answers with others.
fn attach_server(wanted: u8, answer: Vec<u8>) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/attach/x", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: windlass-attach\r\n\r\n";
        reader.get_mut().write_all(head.as_bytes()).unwrap();
        reader.get_mut().write_all(&frame(attach::STDOUT, b"ready\n")).unwrap();
        let payload = loop {
            let mut header = [0; 5];
            reader.read_exact(&mut header).unwrap();
            let length = u32::from_le_bytes(*header.last_chunk().unwrap());
            let mut payload = vec![0; length as usize];
            reader.read_exact(&mut payload).unwrap();
            if header[0] == wanted {
                break payload;
            }
        };
        reader.get_mut().write_all(&answer).unwrap();
        payload
    });
    (url, thread)
}

#[test]
fn run_passes_input_on_and_exits_with_the_commands_code() {
    let answer =
        [frame(attach::STDOUT, b"bye\n"), frame(attach::EXIT, &42_i32.to_le_bytes())].concat();
    let (url, attached) = attach_server(attach::STDIN_CLOSED, answer);
    let server = Server::start();
    server.on("POST /apps/bibly/dynos", 201, dyno("run.7", "starting", Some(&url)));
    let machine = Machine::using(&server);
    let (mut child, mut stdout) = start(&machine, "run cat -n");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"hello").unwrap();
    drop(input);
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready\nbye\n");
    assert_eq!(child.wait().unwrap().code(), Some(42));
    attached.join().unwrap();
    let body = server.body("POST /apps/bibly/dynos");
    assert_eq!(body["command"], "cat -n");
    assert_eq!(body["attach"], true);
    assert_eq!(body["force_no_tty"], true);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "Running cat -n on ⬢ bibly... done, run.7\n");
}

#[test]
fn run_passes_an_interrupt_on_and_waits_for_the_command() {
    let answer = frame(attach::EXIT, &130_i32.to_le_bytes());
    let (url, attached) = attach_server(attach::SIGNAL, answer);
    let server = Server::start();
    server.on("POST /apps/bibly/dynos", 201, dyno("run.7", "starting", Some(&url)));
    let machine = Machine::using(&server);
    let (mut child, mut stdout) = start(&machine, "run sleep 100");
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(attached.join().unwrap(), [2]);
}

#[test]
fn exec_runs_in_the_first_web_process_and_exits_with_the_commands_code() {
    let answer =
        [frame(attach::STDOUT, b"bye\n"), frame(attach::EXIT, &3_i32.to_le_bytes())].concat();
    let (url, attached) = attach_server(attach::STDIN_CLOSED, answer);
    let server = Server::start();
    let path = "POST /apps/bibly/dynos/web.1/actions/exec";
    server.on(path, 201, dyno("web.1", "up", Some(&url)));
    let machine = Machine::using(&server);
    let (mut child, mut stdout) = start(&machine, "ps:exec -- cat -n");
    drop(child.stdin.take());
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready\nbye\n");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    attached.join().unwrap();
    let body = server.body(path);
    assert_eq!((&body["command"], &body["force_no_tty"]), (&json!("cat -n"), &json!(true)));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "Running cat -n in web.1 of ⬢ bibly... done\n");
}

#[test]
fn files_are_copied_as_archives() {
    let folder = tempfile::tempdir().unwrap();
    let answer =
        [frame(attach::STDERR, b"tar: no room\n"), frame(attach::EXIT, &2_i32.to_le_bytes())];
    let (url, attached) = attach_server(attach::STDIN, answer.concat());
    let server = Server::start();
    let path = "POST /apps/bibly/dynos/worker.2/actions/exec";
    server.on(path, 201, dyno("worker.2", "up", Some(&url)));
    let machine = Machine::using(&server);
    let file = folder.path().join("notes");
    std::fs::write(&file, "some notes").unwrap();
    let words = format!("ps:copy {} worker.2:/tmp/", file.display());
    let (mut child, _) = start(&machine, &words);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("tar in worker.2 ended with status 2: tar: no room"), "{said}");
    assert_eq!(server.body(path)["command"], json!(["tar", "-xof", "-", "-C", "/tmp/"]));
    let sent = attached.join().unwrap();
    assert!(sent.starts_with(b"notes\0"));
}

#[test]
fn a_reader_that_stops_early_ends_the_client_quietly() {
    let server = Server::start();
    let url = format!("{}/logs/x", server.url());
    let session = json!({"id": U, "logplex_url": url, "created_at": T, "updated_at": T});
    let text = "T app[web.1]: a line of some length\n".repeat(20_000);
    server.on("POST /apps/bibly/log-sessions", 201, session).on("GET /logs/x", 200, text);
    let machine = Machine::using(&server);
    let (mut child, stdout) = start(&machine, "logs");
    drop(stdout);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
