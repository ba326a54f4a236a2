//! HTTP/2: with clients that know it beforehand, and with apps that speak it without TLS.

use crate::support::{python, shared_server};
use std::process::Command;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::git::Repository;
use windlass_testkit::wait_until;

/// An app that speaks HTTP/2 without TLS and nothing else, as servers of gRPC do: it answers every
/// request with a line and a trailer.
const H2C_APP: &str = r#"
import os, socketserver

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

def frame(kind, flags, stream, payload=b""):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.read(len(PREFACE)) != PREFACE:
            return
        self.wfile.write(frame(4, 0, 0))
        while len(head := self.rfile.read(9)) == 9:
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self.rfile.read(int.from_bytes(head[:3], "big"))
            if kind == 4 and not flags & 1:
                self.wfile.write(frame(4, 1, 0))
            elif kind == 6 and not flags & 1:
                self.wfile.write(frame(6, 1, 0, payload))
            elif kind == 1:
                answer = frame(1, 4, stream, b"\x88") + frame(0, 0, stream, b"over h2c\n")
                self.wfile.write(answer + frame(1, 5, stream, b"\x00\x05x-end\x05there"))

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

Server(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// What `curl` prints for a path of the app, and the version of HTTP that the answer came over.
fn curl(app: &TestApp, path: &str, arguments: &[&str]) -> (String, String) {
    let (host, address) = (app.host(), app.server.http());
    let port = address.port();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "30", "--noproxy", "*"])
        .args(["--write-out", "\n%{http_version}"])
        .arg("--resolve")
        .arg(format!("{host}:{port}:{}", address.ip()))
        .args(arguments)
        .arg(format!("http://{host}:{port}{path}"));
    let printed = command::run(&mut curl, b"").success();
    let (text, version) = printed.rsplit_once('\n').expect("a version");
    (text.to_owned(), version.to_owned())
}

#[test]
fn curl_speaks_http_2_without_tls() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "two", &python());
    let (text, version) = curl(&app, "/healthz", &["--http2-prior-knowledge"]);
    assert_eq!(version, "2", "{text}");
    assert!(text.starts_with("HTTP/2 200") && text.ends_with("ok\n"), "{text}");
    let (text, version) =
        curl(&app, "/echo", &["--http2-prior-knowledge", "--data-binary", "hello"]);
    assert!(version == "2" && text.ends_with("hello"), "{text}");
    // One that only offers it is served over HTTP/1.1.
    assert_eq!(curl(&app, "/healthz", &["--http2"]).1, "1.1");
}

#[test]
fn a_deploy_under_h2load_loses_nothing() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "load", &python());
    let address = server.http();
    let mut h2load = Command::new("h2load");
    h2load
        .args(["--duration", "10", "--clients", "2", "--max-concurrent-streams", "10"])
        .arg(format!("--connect-to={address}"))
        .arg(format!("http://{}:{}/healthz", app.host(), address.port()));
    let running = std::thread::spawn(move || command::run(&mut h2load, b"").success());
    wait_until("requests flow", Duration::from_secs(20), || {
        app.cli(&["logs", "--num", "5"]).success().contains("/healthz")
    });
    let _ = app.cli(&["config:set", "SWAP=1"]).success();
    let printed = running.join().unwrap();
    let line = printed.lines().find(|line| line.starts_with("requests: ")).expect("a result");
    assert!(line.contains(" 0 failed, 0 errored, 0 timeout"), "{printed}");
    let codes = printed.lines().find(|line| line.starts_with("status codes: ")).expect("codes");
    assert!(codes.contains(" 0 3xx, 0 4xx, 0 5xx"), "{printed}");
}

#[test]
fn an_app_may_speak_http_2_without_tls() {
    let server = shared_server!();
    let repository = Repository::of_files(&[
        ("requirements.txt", ""),
        ("Procfile", "web: python3 server.py\n"),
        ("server.py", H2C_APP),
    ]);
    let app = TestApp::create(&server, "speaker");
    let _ = app.cli(&["routing:set", "app-protocol=h2c"]).success();
    let _ = app.push(&repository).success();
    let (text, version) = curl(&app, "/", &["--http2-prior-knowledge"]);
    assert!(version == "2" && text.contains("over h2c\n"), "{text}");
    assert!(text.contains("x-end: there"), "the trailer is passed on: {text}");
    let (text, version) = curl(&app, "/", &[]);
    assert!(version == "1.1" && text.contains("over h2c\n"), "{text}");
    let _ = app.cli(&["config:set", "SWAP=1"]).success();
    assert!(curl(&app, "/", &[]).0.contains("over h2c\n"));
}
