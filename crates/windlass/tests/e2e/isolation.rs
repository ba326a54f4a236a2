//! One app takes all it can get; another must not notice. Limits, sizes and what `ps` says of them.

use crate::support::{own_server, python, shared_server};
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::wait_until;

const PROCFILE: &str = r#"web: python3 server.py
forks: f() { f | f & }; f; sleep 600
memory: python3 -c "kept = [b'x' * (1 << 24) for _ in range(10**6)]"
flood: python3 flood.py
disk: python3 -c "import time; f = open('/tmp/fill', 'wb'); [(f.write(b'x' * (1 << 20)), time.sleep(0.002)) for _ in range(10**6)]"
"#;

/// 80,000 lines in a second and a half are more than what a log takes, however they are spread over
/// its seconds. A machine may be too slow to write so many; it says so then.
const FLOOD: &str = "
import time
while True:
    began = time.monotonic()
    for n in range(80_000):
        print('x' * 100)
    slow = time.monotonic() - began > 1.5
    print('a slow flood' if slow else 'a flood', flush=True)
    time.sleep(2)
";

/// Runs one process of a type while the other app is under load, until the log has the text.
fn abuse(culprit: &TestApp, victim: &TestApp, process: &str, until: &[&str]) {
    let load = victim.load();
    let _ = culprit.cli(&["ps:scale", &format!("{process}=1")]).success();
    wait_until(&format!("{until:?} in the log"), Duration::from_secs(120), || {
        let log = culprit.logs();
        until.iter().any(|text| log.contains(text))
    });
    // It goes on for a while, and is started again where it was ended.
    load.wait_for(100);
    let _ = culprit.cli(&["ps:scale", &format!("{process}=0")]).success();
    let report = load.stop();
    println!("{process}: {} requests answered, {} lost", report.ok(), report.lost());
    report.assert_nothing_lost();
}

#[test]
fn fork_bomb_memory_hog_log_flood_and_full_disk_harm_nobody_else() {
    let server = own_server!();
    let repository = python();
    repository.write("flood.py", FLOOD);
    repository.change("Procfile", PROCFILE);
    let culprit = TestApp::deployed(&server, "culprit", &repository);
    let victim = TestApp::deployed(&server, "victim", &python());
    let _ = culprit.cli(&["limits:set", "disk", "disk=128M"]).success();
    let before = victim.json(&["ps"])[0]["id"].clone();

    abuse(&culprit, &victim, "forks", &["Resource temporarily unavailable"]);
    abuse(&culprit, &victim, "memory", &["Error R15 (Memory quota vastly exceeded)"]);
    abuse(&culprit, &victim, "flood", &["messages dropped", "a slow flood"]);
    abuse(&culprit, &victim, "disk", &["its limit is 128M (limits:set disk"]);

    assert_eq!(victim.json(&["ps"])[0]["id"], before, "it was never restarted");
    // The culprit's other process types go on too.
    assert_eq!(culprit.get("/healthz").status, 200);
}

#[test]
fn below_the_disk_reserve_pushes_are_refused_in_one_line() {
    let server = own_server!(&[("disk-reserve", "1000000000")]);
    let app = TestApp::create(&server, "full");
    let said = app.push(&python()).failure();
    let line = said.lines().find(|line| line.contains("The server's disk is nearly full"));
    assert!(line.is_some_and(|line| line.contains("less than its reserve of")), "{said}");
    assert_eq!(app.version(), 1);
}

#[test]
fn limits_are_in_force_and_shown_with_where_they_come_from() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "limited", &python());
    let load = app.load();
    let said = app.cli(&["limits:set", "web", "memory=160M", "processes=64", "cpu=0.5"]);
    let said = said.success();
    assert!(said.contains("160M") && said.contains("app"), "{said}");
    wait_until("an instance with the limits", Duration::from_secs(30), || {
        app.logs().contains("Process exited with status 0")
    });
    app.wait_for_processes(&["web.1"]);
    load.wait_for(20);
    load.stop().assert_nothing_lost();

    let _ = windlass_testkit::http::get(server.http(), &app.host(), "/memory?mb=300");
    app.wait_for_log("Error R15 (Memory quota vastly exceeded) -> killed at its limit of 160M");
    app.wait_for_log("Stopping process with SIGKILL");
    app.wait_for_processes(&["web.1"]);
    let _ = windlass_testkit::http::get(server.http(), &app.host(), "/memory?mb=300");
    wait_until("the reason in ps", Duration::from_secs(20), || {
        app.cli(&["ps"]).success().contains("crashed (out of memory)")
    });

    let _ = app.cli(&["ps:type", "web=standard-2x"]).success();
    let shown = app.cli(&["limits:unset", "web", "memory", "cpu", "processes"]).success();
    assert!(shown.contains("1G") && shown.contains("512"), "{shown}");
    app.wait_for_processes(&["web.1"]);
    assert!(app.cli(&["ps"]).success().contains("web (Standard-2X): python3 server.py (1)"));
    assert!(app.cli(&["ps:scale"]).success().contains("web=1:Standard-2X"));
    let refused = app.cli(&["ps:scale", "web=1:huge"]);
    assert!(refused.stderr.contains("There is no size \"huge\" here: use Eco, Basic"), "{refused}");
    let refused = app.cli(&["limits:set", "web", "reserve-memory=1T", "memory=1T"]);
    assert!(refused.stderr.contains("web=1 needs 1 × 1T more = 1T of memory; 0B of"), "{refused}");
    let file = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
    let said = app.cli(&["run", "--size", "performance-m", "cat", file]).success();
    assert!(said.contains("2684354560"), "{said}");
}
