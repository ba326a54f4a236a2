//! `windlass upgrade`, under load.

use crate::support::{binary, python};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::server::TestServer;
use windlass_testkit::{command, http, wait_until, websocket};

const LIMIT: Duration = Duration::from_secs(60);
/// The machine does other things too.
const SETTINGS: &[(&str, &str)] = &[("boot-timeout", "60")];

/// A copy of the binary for one server, since an upgrade replaces it.
struct Installed {
    directory: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(binary(), directory.path().join("windlass")).unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("windlass")
    }
}

fn upgrade(server: &TestServer, to: &std::path::Path) -> command::Finished {
    let mut upgrade = server.role_command("upgrade");
    command::run(upgrade.arg(to), b"")
}

#[test]
fn three_upgrades_under_load_lose_nothing() {
    let installed = Installed::new();
    let Some(server) = crate::support::start_own_of(&installed.path(), SETTINGS) else { return };
    let app = TestApp::deployed(&server, "upgraded", &python());
    let (instances, pid) = (app.json(&["ps"]), server.pid());
    let load = app.load();
    let mut socket = app.connect();
    websocket::upgrade(&mut socket, "/ws").unwrap();
    let mut events = app.connect();
    events.send("GET", "/events?n=3000&ms=20", &[], b"").unwrap();
    assert_eq!(events.receive_head().unwrap().status, 200);
    let mut routers = vec![server.router_pids()[0]];

    for round in 1..=3 {
        let mut slow = app.connect();
        slow.send("GET", "/sleep?ms=6000", &[], b"").unwrap();
        let said = upgrade(&server, binary()).success();
        assert!(said.contains("runs in place of"), "{said}");
        assert_eq!(websocket::echo(&mut socket, "still here").unwrap(), "still here");
        assert!(!events.receive_chunk().unwrap().is_empty());
        load.wait_for(30);
        assert_eq!(slow.receive().unwrap().status, 200, "round {round}");
        let now = server.router_pids();
        assert!(now.iter().any(|pid| !routers.contains(pid)), "another router: {now:?}");
        routers.extend(now);
    }

    load.stop().assert_nothing_lost();
    assert_eq!(server.pid(), pid, "the server is the same process");
    let ids = |list: &serde_json::Value| list[0]["id"].clone();
    assert_eq!(ids(&app.json(&["ps"])), ids(&instances), "the instance was not started again");
    // A deploy afterwards waits for what the old routers have in flight: here both streams.
    drop((socket, events));
    wait_until("the old routers to end", LIMIT, || server.router_pids().len() == 1);
    let _ = app.cli(&["config:set", "AFTER=1"]).success();
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn a_binary_that_does_not_become_ready_is_taken_back() {
    let installed = Installed::new();
    let Some(server) = crate::support::start_own_of(&installed.path(), SETTINGS) else { return };
    let app = TestApp::deployed(&server, "taken-back", &python());
    let load = app.load();
    let broken = installed.directory.path().join("broken");
    std::fs::copy("/bin/true", &broken).unwrap();
    let refused = upgrade(&server, &broken);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("does not say what it is"), "{refused}");
    let same = upgrade(&server, &installed.path());
    assert!(same.stderr.contains("is the installed binary itself"), "{same}");

    // The stack is gone for the new one: it ends at its start, and so would any other.
    let index = server.data_directory().join("images/index.json");
    let kept = std::fs::read(&index).unwrap();
    std::fs::write(&index, "broken").unwrap();
    let back = std::thread::scope(|scope| {
        let upgraded = scope.spawn(|| upgrade(&server, binary()));
        wait_until("the server to fail", LIMIT, || server.log().contains("windlass: "));
        std::fs::write(&index, &kept).unwrap();
        upgraded.join().unwrap()
    });
    assert_ne!(back.code(), 0);
    assert!(back.stderr.contains("the binary before it is back and runs"), "{back}");
    load.wait_for(30);
    load.stop().assert_nothing_lost();
    server.adopt();
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_server_that_was_killed_leaves_a_router_that_the_next_program_replaces() {
    let installed = Installed::new();
    let Some(server) = crate::support::start_own_of(&installed.path(), SETTINGS) else { return };
    let app = TestApp::deployed(&server, "replaced", &python());
    let before = server.router_pids();
    let load = app.load();
    server.stop(Signal::SIGKILL);
    // Installed by hand meanwhile.
    let new = installed.directory.path().join("new");
    std::fs::copy(binary(), &new).unwrap();
    std::fs::rename(&new, installed.path()).unwrap();
    server.start_again();
    let after = server.router_pids();
    assert!(after.iter().any(|pid| !before.contains(pid)), "{before:?} {after:?}");
    load.wait_for(30);
    load.stop().assert_nothing_lost();
    assert!(http::get(server.http(), &app.host(), "/healthz").is_ok());
}
