//! `kill -9` of each part, under load.

use crate::support::{own_server, python};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use windlass_testkit::app::TestApp;
use windlass_testkit::server::TestServer;
use windlass_testkit::{http, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

fn kill_process(pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).expect("it runs");
}

/// Returns the pids of all processes whose command line has this text.
fn processes_with(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&command).replace('\0', " ").contains(text).then_some(pid)
    });
    pids.collect()
}

/// Returns the parent of a process.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the pids of the shims of a server. The first process in each container is a copy of
/// its shim and does not count.
fn shims(server: &TestServer) -> Vec<u32> {
    let ours = processes_with(&server.run_directory().display().to_string());
    let named: Vec<u32> =
        processes_with(" shim ").into_iter().filter(|pid| ours.contains(pid)).collect();
    let is_copy = |pid: &&u32| parent(**pid).is_some_and(|parent| named.contains(&parent));
    named.iter().filter(|pid| !is_copy(pid)).copied().collect()
}

/// Returns the pid of the app's own process, as this machine numbers it.
fn app_process(shim: u32) -> u32 {
    let pids = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse().ok())
    };
    let mut found = shim;
    while let Some(child) = pids().find(|pid| parent(*pid) == Some(found)) {
        found = child;
    }
    assert_ne!(found, shim, "the shim has a child");
    found
}

#[test]
fn a_killed_server_loses_no_request_and_finds_its_instances_again() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "survivor", &python());
    let _ = app.cli(&["ps:scale", "web=2"]).success();
    app.wait_for_processes(&["web.1", "web.2"]);
    let (before, before_shims) = (app.json(&["ps"]), shims(&server));
    let load = app.load();

    server.stop(Signal::SIGKILL);
    load.wait_for(30);
    assert_eq!(app.get("/log?n=3&text=written-while-away").status, 200);
    server.start_again();

    let after = app.json(&["ps"]);
    let key = |list: &serde_json::Value| -> Vec<_> {
        let entries = list.as_array().unwrap().iter();
        entries
            .map(|entry| (entry["id"].clone(), entry["created_at"].clone(), entry["state"].clone()))
            .collect()
    };
    assert_eq!(key(&after), key(&before), "the same instances, not started again");
    assert_eq!(shims(&server), before_shims);
    app.wait_for_log(": written-while-away 3");
    load.wait_for(30);
    let _ = app.cli(&["config:set", "AFTER=1"]).success();
    load.wait_for(30);
    load.stop().assert_nothing_lost();
}

#[test]
fn a_stopped_server_leaves_apps_serving() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "goes-on", &python());
    let load = app.load();
    server.stop(Signal::SIGTERM);
    assert!(!server.run_directory().join("ready.json").exists());
    load.wait_for(30);
    server.start_again();
    app.wait_for_processes(&["web.1"]);
    load.stop().assert_nothing_lost();
}

#[test]
fn a_server_killed_during_a_push_leaves_the_old_release() {
    let server = own_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "midpush", &repository);
    repository.change("Procfile", "web: sleep 4; python3 server.py\n");
    let push = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the launch", LIMIT, || push.so_far().contains("Launching"));
    let load = app.load();
    server.stop(Signal::SIGKILL);
    let said = push.wait().failure();
    assert!(!said.contains("Released"), "{said}");
    server.start_again();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(app.version(), 2);
    assert_eq!(app.json(&["releases"])[0]["status"], "failed");
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    let _ = app.push(&repository).success();
    assert_eq!(app.version(), 4);
}

#[test]
fn a_killed_router_is_back_by_itself() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "router", &python());
    let router = wait_for("the router", LIMIT, || server.router_pid());
    kill_process(router);
    let killed = Instant::now();
    wait_until("an answer", LIMIT, || {
        http::get(server.http(), &app.host(), "/healthz")
            .is_ok_and(|response| response.status == 200)
    });
    let away = killed.elapsed();
    // The promise is one second on an idle machine. This one runs other tests too: it is only said.
    eprintln!("the router was back after {away:?}");
    assert_ne!(server.router_pid(), Some(router));
    let _ = app.cli(&["ps:scale", "web=2"]).success();
    app.wait_for_processes(&["web.1", "web.2"]);
}

#[test]
fn a_killed_router_comes_back_while_the_server_is_away_too() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "bothdead", &python());
    let router = wait_for("the router", LIMIT, || server.router_pid());
    server.stop(Signal::SIGKILL);
    kill_process(router);
    server.start_again();
    wait_until("an answer", LIMIT, || {
        http::get(server.http(), &app.host(), "/healthz")
            .is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn killed_shims_and_instances_are_replaced() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "shim", &python());
    let replaced = |what: &str, before: &serde_json::Value| {
        wait_until(what, LIMIT, || {
            let now = app.json(&["ps"]);
            now.as_array().is_some_and(|list| list.len() == 1)
                && now[0]["id"] != before[0]["id"]
                && now[0]["state"] == "up"
        });
    };
    let (before, shim) = (app.json(&["ps"]), shims(&server));
    let process = app_process(shim[0]);
    kill_process(shim[0]);
    replaced("the shim's instance to be replaced", &before);
    assert!(
        !std::path::Path::new(&format!("/proc/{process}/cwd")).exists(),
        "the old process is gone"
    );

    let before = app.json(&["ps"]);
    kill_process(app_process(shims(&server)[0]));
    replaced("the killed instance to be replaced", &before);
    app.wait_for_log("Process exited with status 137");
    wait_until("one shim", LIMIT, || shims(&server).len() == 1);
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn instances_that_ended_while_the_server_was_away_are_started_again() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "ended", &python());
    let shim = shims(&server);
    server.stop(Signal::SIGKILL);
    kill_process(shim[0]);
    server.start_again();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn nobody_else_answers_at_the_address_of_an_instance_that_is_gone() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "address", &python());
    let addresses = server.instance_addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    let target = SocketAddr::from((addresses[0], 5000));
    let connect = || TcpStream::connect_timeout(&target, Duration::from_secs(3));
    let _ = connect().expect("the instance runs");
    let _ = app.cli(&["ps:scale", "web=0"]).success();
    wait_until("no instance", LIMIT, || server.instance_addresses().is_empty());
    // Without its route the address would be looked for behind the default gateway.
    let error = connect().expect_err("there is no such instance any more");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
}
