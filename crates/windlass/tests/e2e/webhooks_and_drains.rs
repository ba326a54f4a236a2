//! What leaves the server by itself: webhooks and log drains, to receivers written in Python.

use crate::support::{own_server, python};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::{self, Running};
use windlass_testkit::server::free_port;
use windlass_testkit::{wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// A receiver at work; it ends when it is dropped.
struct Receiver {
    _process: Running,
    port: u16,
    out: PathBuf,
}

impl Receiver {
    fn start(folder: &Path, kind: &str, arguments: &[&str]) -> Self {
        let out = folder.join(kind);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/receivers.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(kind).arg(&out).args(arguments);
        let process = command::start(&mut python);
        let port = wait_for("the receiver's port", LIMIT, || process.so_far().trim().parse().ok());
        Self { _process: process, port, out }
    }

    fn received(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, LIMIT, || self.received().into_iter().find(&is_it))
    }
}

#[test]
fn a_push_is_told_to_a_webhook_with_a_signature() {
    let server = own_server!(&[("webhooks-allow-private", "on")]);
    let app = TestApp::create(&server, "hooked");
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(folder.path(), "hook", &["hush"]);
    let url = format!("http://localhost:{}/hook", receiver.port);
    let include = "api:build,api:release,api:formation,dyno";
    let _ = app
        .cli(&["webhooks:add", "--include", include, "--url", &url, "--secret", "hush"])
        .success();
    let _ = app.push(&python()).success();

    let version = app.version();
    let is_release = |told: &Value| {
        let body = &told["body"];
        body["resource"] == "release"
            && body["data"]["version"] == version
            && body["data"]["status"] == "succeeded"
    };
    let release = receiver.wait_for("the release", is_release);
    assert_eq!(release["signed"], true, "{release}");
    let body = &release["body"];
    assert_eq!(body["action"], "update");
    assert_eq!(body["actor"]["email"], "owner@localhost");
    assert_eq!(body["data"]["app"]["name"], app.name.as_str());
    assert_eq!(body["webhook_metadata"]["event"]["include"], "api:release");
    let up =
        |told: &Value| told["body"]["resource"] == "dyno" && told["body"]["data"]["state"] == "up";
    let dyno = receiver.wait_for("the process", up);
    assert_eq!(dyno["body"]["data"]["name"], "web.1");
    let build = |told: &Value| {
        told["body"]["resource"] == "build" && told["body"]["data"]["status"] == "succeeded"
    };
    let _ = receiver.wait_for("the build", build);

    wait_until("the deliveries are noted", LIMIT, || {
        app.cli(&["webhooks:deliveries", "--status", "pending"]).everything().contains("no such")
    });
    let deliveries = app.cli(&["webhooks:deliveries"]).success();
    assert!(deliveries.contains("succeeded") && deliveries.contains("204"), "{deliveries}");
    assert!(app.cli(&["webhooks:events"]).success().contains("api:release"));

    // What happened while the server was away is told when it is back, and nothing twice.
    let told = receiver.received().len();
    server.stop(Signal::SIGTERM);
    server.start_again();
    let _ = app.cli(&["ps:scale", "web=2"]).success();
    let scaled = |told: &Value| {
        told["body"]["resource"] == "formation" && told["body"]["data"]["quantity"] == 2
    };
    let scaled = receiver.wait_for("the formation", scaled);
    assert_eq!(scaled["body"]["previous_data"]["quantity"], 1);
    let of_releases = |told: &&Value| told["body"]["resource"] == "release";
    let repeated = receiver.received().iter().skip(told).filter(of_releases).count();
    assert_eq!(repeated, 0, "{:#?}", receiver.received());
}

#[test]
fn logs_go_to_drains_and_a_dead_one_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    std::fs::write(path("crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(path("key"), key.serialize_pem()).unwrap();
    let (certificate, key) = (path("crt"), path("key"));
    let server = own_server!(&[
        ("webhooks-allow-private", "on"),
        ("webhooks-ca-bundle", certificate.as_str())
    ]);
    let app = TestApp::create(&server, "drained");
    let syslog = Receiver::start(folder.path(), "syslog", &[]);
    let https = Receiver::start(folder.path(), "https", &[&certificate, &key]);
    let urls = [
        format!("syslog://127.0.0.1:{}", syslog.port),
        format!("https://me:pw@localhost:{}/in?x=1", https.port),
        // Nobody listens there.
        format!("syslog://127.0.0.1:{}", free_port()),
    ];
    for url in &urls {
        let _ = app.cli(&["drains:add", url]).success();
    }
    let drains = app.json(&["drains"]);
    let token = |at: usize| drains[at]["token"].as_str().unwrap().to_owned();
    let repository = python();
    let _ = app.push(&repository).success();
    assert_eq!(app.get("/log?n=3&text=needle").status, 200);

    let has = |text: &'static str| move |frame: &Value| frame.to_string().contains(text);
    let frame = syslog.wait_for("the line over syslog", has("needle 3"));
    let frame = frame["frame"].as_str().unwrap();
    assert!(frame.starts_with("<190>1 20") && frame.ends_with('\n'), "{frame:?}");
    let expected = format!(" {} app web.1 - - needle 3\n", token(0));
    assert!(frame.ends_with(&expected), "{frame:?}");
    let batch = https.wait_for("the line over https", has("needle 3"));
    let (headers, body) = (&batch["headers"], batch["body"].as_str().unwrap());
    assert!(body.contains(" host app web.1 - needle 3\n"), "{body}");
    assert_eq!(headers["content-type"], "application/logplex-1");
    assert_eq!(headers["logplex-drain-token"], token(1));
    assert_eq!(headers["authorization"], "Basic bWU6cHc=");
    let messages: usize = headers["logplex-msg-count"].as_str().unwrap().parse().unwrap();
    assert_eq!(messages, frames(body));
    // What the router and the platform say goes there as well.
    let _ = syslog.wait_for("the router's line", has("heroku router - - at=info"));
    let _ = https.wait_for("the platform's line", has("host heroku web.1 - State changed"));

    // The dead one says so once in the app's log and holds nothing up.
    app.wait_for_log("heroku[logplex]: Log drain syslog://127.0.0.1:");
    repository.change("VERSION", "2");
    let _ = app.push(&repository).success();
    assert_eq!(app.get("/log?n=2000&text=flood").status, 200);
    let _ = syslog.wait_for("the end of a flood", has("flood 2000"));
    assert_eq!(app.get("/healthz").status, 200);

    // Lines that come while the server is away are sent when it is back.
    server.stop(Signal::SIGKILL);
    assert_eq!(app.get("/log?n=1&text=meanwhile").status, 200);
    server.start_again();
    let _ = syslog.wait_for("what came meanwhile", has("meanwhile 1"));
    let _ = https.wait_for("what came meanwhile", has("meanwhile 1"));

    let _ = app.cli(&["drains:remove", &token(0)]).success();
    let _ = app.cli(&["drains:remove", &urls[1]]).success();
    assert_eq!(app.get("/log?n=1&text=after").status, 200);
    app.wait_for_log("after 1");
    assert!(!syslog.received().iter().any(has("after 1")));
    assert_eq!(app.json(&["drains"]).as_array().unwrap().len(), 1);
}

/// Counts octet-counted messages, each of which must end where its count says.
fn frames(mut body: &str) -> usize {
    let mut count = 0;
    while let Some((length, rest)) = body.split_once(' ') {
        let (frame, next) = rest.split_at(length.parse().unwrap());
        assert!(frame.starts_with('<') && frame.ends_with('\n'), "{frame:?}");
        (body, count) = (next, count + 1);
    }
    count
}
