//! Names below `.internal`, links between apps, and what apps cannot reach.

use crate::support::{own_server, python, shared_server};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::wait_until;

const LIMIT: Duration = Duration::from_secs(20);

/// An app that resolves names and gets pages on behalf of whoever asks, so that a test can look
/// from inside without a one-off process.
fn caller() -> Repository {
    Repository::of_files(&[
        ("Procfile", "web: python3 server.py\nworker: python3 server.py\n"),
        ("requirements.txt", ""),
        (
            "server.py",
            r#"
import http.server, os, socket, urllib.request
from urllib.parse import parse_qs, urlsplit

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        wanted = parse_qs(url.query)
        try:
            if url.path == "/resolve":
                found = socket.getaddrinfo(wanted["name"][0], 80, proto=socket.IPPROTO_TCP)
                text = " ".join(sorted({entry[4][0] for entry in found}))
            elif url.path == "/fetch":
                text = urllib.request.urlopen(wanted["url"][0], timeout=3).read().decode()
            elif url.path == "/connect":
                host, port = wanted["to"][0].rsplit(":", 1)
                socket.create_connection((host, int(port)), timeout=1).close()
                text = "connected"
            else:
                text = os.environ["DYNO"]
        except Exception as error:
            text = f"failed: {error}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"#,
        ),
    ])
}

fn resolve(app: &TestApp, name: &str) -> Vec<String> {
    let text = app.get(&format!("/resolve?name={name}")).text().trim().to_owned();
    if text.starts_with("failed") {
        return Vec::new();
    }
    text.split_whitespace().map(str::to_owned).collect()
}

fn fetch(app: &TestApp, url: &str) -> String {
    app.get(&format!("/fetch?url={url}")).text().trim().to_owned()
}

#[test]
fn linked_apps_call_each_other_by_name_and_others_do_not() {
    let server = shared_server!();
    let shop = TestApp::deployed(&server, "shop", &python());
    let caller = TestApp::deployed(&server, "caller", &caller());
    let (name, own) =
        (format!("web.{}.internal", shop.name), format!("web.{}.internal", caller.name));
    let address = server.instance_addresses();
    assert!(!address.is_empty());
    assert_eq!(resolve(&caller, &name), [""; 0], "not linked");
    assert_eq!(resolve(&caller, &own).len(), 1, "its own");
    assert_eq!(fetch(&caller, &format!("http://1.{own}:5000/")), "web.1", "itself by name");
    let said = caller.cli(&["network"]).success();
    assert!(said.contains(&own) && said.contains("Linked with no other app"), "{said}");

    let _ = caller.cli(&["network:link", &shop.name]).success();
    let found = resolve(&caller, &name);
    assert_eq!(found.len(), 1, "linked: in force when the command returns");
    assert_eq!(resolve(&caller, &format!("{}.internal", shop.name)), found);
    assert_eq!(resolve(&caller, &format!("1.{name}")), found);
    assert_eq!(fetch(&caller, &format!("http://{name}:5000/healthz")), "ok");
    for (app, other) in [(&caller, &shop), (&shop, &caller)] {
        let links = app.json(&["network"]);
        assert_eq!(links[0]["linked_app"]["name"], other.name.as_str(), "{links}");
    }
    let again = shop.cli(&["network:link", &caller.name]).failure();
    assert!(again.contains("linked with"), "{again}");

    let _ = shop.cli(&["network:unlink", &caller.name]).success();
    assert_eq!(resolve(&caller, &name), [""; 0]);
    let said = fetch(&caller, &format!("http://{}:5000/healthz", found[0]));
    assert!(said.starts_with("failed"), "not by its address either: {said}");
    let itself = caller.cli(&["network:link", &caller.name]).failure();
    assert!(itself.contains("reach each other already"), "{itself}");
}

#[test]
fn names_follow_the_instances_in_service() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "names", &caller());
    let name = |rest: &str| format!("{rest}.{}.internal", app.name);
    let _ = app.cli(&["ps:scale", "web=3", "worker=1"]).success();
    app.wait_for_processes(&["web.1", "web.2", "web.3", "worker.1"]);
    // A name is there soon after its instance is up, and a worker listens when it likes.
    wait_until("three names", LIMIT, || resolve(&app, &name("web")).len() == 3);
    wait_until("the worker's page", LIMIT, || {
        fetch(&app, &format!("http://{}:5000/", name("1.worker"))) == "worker.1"
    });
    assert_eq!(resolve(&app, &name("worker")).len(), 1);
    let before = resolve(&app, &name("1.web"));

    let _ = app.cli(&["ps:scale", "web=2", "worker=0"]).success();
    wait_until("the names to be gone", LIMIT, || {
        resolve(&app, &name("3.web")).is_empty() && resolve(&app, &name("worker")).is_empty()
    });
    assert_eq!(resolve(&app, &name("web")).len(), 2);

    // A deploy: the old addresses are gone when it says that it is done.
    let _ = app.cli(&["config:set", "NEW=1"]).success();
    let after = resolve(&app, &name("1.web"));
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    let _ = app.cli(&["ps:scale", "web=1"]).success();
    app.wait_for_processes(&["web.1"]);
    wait_until("one name", LIMIT, || resolve(&app, &name("web")) == after);
}

#[test]
fn names_are_answered_while_the_server_is_dead() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "deadserver", &caller());
    let own = format!("web.{}.internal", app.name);
    let outside = outside_name();
    let before = (resolve(&app, &own), outside.as_deref().map(|name| resolve(&app, name)));
    assert_eq!(before.0.len(), 1);

    server.stop(Signal::SIGKILL);
    let now = (resolve(&app, &own), outside.as_deref().map(|name| resolve(&app, name)));
    assert_eq!(now.0, before.0);
    assert!(now.1.is_none_or(|found| !found.is_empty()), "{outside:?}");
    assert_eq!(fetch(&app, &format!("http://{own}:5000/")), "web.1", "the firewall stays, too");
    server.start_again();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(resolve(&app, &own), before.0);
    assert_eq!(fetch(&app, &format!("http://{own}:5000/")), "web.1");
}

#[test]
fn names_are_answered_again_by_a_router_that_was_killed() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "deadrouter", &caller());
    let own = format!("web.{}.internal", app.name);
    let before = resolve(&app, &own);
    let router = server.router_pid().expect("there is a router");
    let _ =
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(router.cast_signed()), Signal::SIGKILL);
    let killed = Instant::now();
    wait_until("the router to be back", LIMIT, || {
        windlass_testkit::http::get(server.http(), &app.host(), "/").is_ok_and(|r| r.status == 200)
    });
    wait_until("an answer", LIMIT, || resolve(&app, &own) == before);
    eprintln!("names were answered again after {:?}", killed.elapsed());
}

#[test]
fn nothing_of_the_platform_is_reachable_from_an_app() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "within", &caller());
    let host = {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("192.0.2.200:9").unwrap();
        socket.local_addr().unwrap().ip().to_string()
    };
    let (api, ssh) = (server.api().port(), server.ssh().port());
    for address in ["127.0.0.1", "169.254.1.1", &host, "169.254.169.254"] {
        for port in [api, ssh, 80, 22] {
            let said = app.get(&format!("/connect?to={address}:{port}")).text();
            assert!(said.starts_with("failed"), "{address}:{port}: {said}");
        }
    }
    let seen = app
        .cli(&["run", "ls /run/windlass /var/lib/windlass 2>&1; find / -xdev -type s 2>/dev/null"]);
    assert!(!seen.everything().contains(".sock"), "{seen}");
    assert!(seen.everything().contains("No such file"), "{seen}");
}

/// A name that this machine surely resolves: where its packages come from.
fn outside_name() -> Option<String> {
    let directory = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files = directory.map(|entry| entry.path()).chain(["/etc/apt/sources.list".into()]);
    let text: String = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let url =
        lines.flat_map(str::split_whitespace).find_map(|word| word.strip_prefix("http://"))?;
    let name = url.split('/').next()?.to_owned();
    let resolves = std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), 80)).is_ok();
    if !resolves {
        windlass_testkit::skip("this machine resolves no outside name");
    }
    resolves.then_some(name)
}
