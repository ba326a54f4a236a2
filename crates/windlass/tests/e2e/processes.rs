//! Formations: workers, scaling, stopping, destroying.

use crate::support::{python, shared_server};
use std::collections::BTreeSet;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::{wait_for, wait_until};

#[test]
fn a_worker_runs_once_it_is_scaled_and_has_no_page() {
    let server = shared_server!();
    let app = TestApp::create(&server, "worker");
    let said = app.push(&Repository::of_example("worker-only")).everything();
    assert!(said.contains(&format!("windlass ps:scale worker=1 --app {}", app.name)), "{said}");
    assert!(app.processes().is_empty());

    let _ = app.cli(&["ps:scale", "worker=1"]).success();

    app.wait_for_processes(&["worker.1"]);
    app.wait_for_log("app[worker.1]: tick 2");
    let page = app.get("/");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("H14"), "{}", page.text());
    app.wait_for_log("at=error code=H14 desc=\"No web processes running\"");
    let _ = app.cli(&["ps:scale", "worker=0"]).success();
    app.wait_for_log("app[worker.1]: worker: stopping");
    wait_until("no process", Duration::from_secs(20), || app.processes().is_empty());
}

#[test]
fn requests_go_to_every_instance_and_scaling_loses_none() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "scale", &python());
    let load = app.load();
    let _ = app.cli(&["ps:scale", "web=3"]).success();
    app.wait_for_processes(&["web.1", "web.2", "web.3"]);
    let greeted = || -> BTreeSet<String> { (0..30).map(|_| app.get("/").text()).collect() };
    wait_until("answers from all three", Duration::from_secs(20), || greeted().len() == 3);
    let _ = app.cli(&["ps:scale", "web-2"]).success();
    app.wait_for_processes(&["web.1"]);
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    assert!(app.cli(&["ps:scale"]).success().contains("web=1"));
    let unknown = app.cli(&["ps:scale", "nobody=1"]);
    assert_eq!(unknown.code(), 4, "{unknown}");
}

#[test]
fn a_stopped_process_comes_back() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "stop", &python());
    let before = app.json(&["ps"])[0]["id"].clone();
    let _ = app.cli(&["ps:stop", "web.1"]).success();
    wait_until("another web.1", Duration::from_secs(30), || {
        let now = app.json(&["ps"]);
        now.as_array().is_some_and(|list| {
            list.len() == 1 && list[0]["id"] != before && list[0]["state"] == "up"
        })
    });
}

/// Returns the processes of the machine that have `mark` in their environment.
fn processes_with(mark: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let with_mark = entries.filter(|entry| {
        std::fs::read(entry.path().join("environ"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(mark))
    });
    with_mark.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn no_process_outlives_its_instance_nor_the_app() {
    let server = shared_server!();
    let app = TestApp::create(&server, "destroy");
    let mark = format!("E2E_MARK=of-{}", app.name);
    let id = app.json(&["info"])["app"]["id"].as_str().unwrap().to_owned();
    let _ = app.cli(&["config:set", &mark]).success();
    let repository = python();
    let _ = app.push(&repository).success();
    // Children that ignore what happens to their parent.
    assert_eq!(app.get("/spawn?n=3").status, 200);
    let found = wait_for("the app and its children", Duration::from_secs(10), || {
        Some(processes_with(&mark)).filter(|found| found.len() >= 4)
    });

    let _ = app.cli(&["ps:restart"]).success();
    wait_until("the old ones to be gone", Duration::from_secs(30), || {
        processes_with(&mark).iter().all(|pid| !found.contains(pid))
    });
    let _ = server.cli(&["destroy", &app.name, "--confirm", &app.name]).success();
    assert_eq!(processes_with(&mark), Vec::<String>::new(), "gone when the command returns");
    assert_eq!(app.get("/").status, 404);
    for kind in ["repositories", "logs", "caches", "builds"] {
        let left = std::fs::read_dir(server.data_directory().join(kind)).unwrap().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().contains(&id));
        assert_eq!(left.count(), 0, "{kind} of the app are left");
    }
    let _ = server.cli(&["create", &app.name]).success();
}

#[test]
fn destroying_wants_the_name_once_more() {
    let server = shared_server!();
    let app = TestApp::create(&server, "confirm");
    let refused = server.cli(&["destroy", &app.name, "--confirm", "another"]);
    assert_ne!(refused.code(), 0, "{refused}");
    assert_eq!(app.version(), 1, "it is still there");
}
