//! Volumes, as people use them.

use crate::support::{python, shared_server};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::server::TestServer;
use windlass_testkit::{command, http, wait_until};

/// An app that notes each of its starts in a volume of 64 MiB, deployed.
fn app_with_volume(server: &Arc<TestServer>, hint: &str) -> TestApp {
    let app = TestApp::create(server, hint);
    let said = app.cli(&["volumes:create", "data", "--size", "64M", "--path", "/data"]);
    assert!(said.everything().contains("done, mounted at /data"), "{said}");
    let _ = app.push(&noting()).success();
    app
}

fn noting() -> Repository {
    let repository = python();
    let procfile = "web: echo boot >> /data/boots && exec python3 server.py\n";
    repository.change("Procfile", procfile);
    repository
}

#[track_caller]
fn run(app: &TestApp, line: &str) -> String {
    app.cli(&["run", line]).success().trim().to_owned()
}

fn boots(app: &TestApp) -> usize {
    run(app, "wc -l < /data/boots").parse().unwrap()
}

#[test]
fn data_outlives_deploys_and_killed_instances() {
    let server = shared_server!();
    let app = app_with_volume(&server, "keeps");
    assert_eq!(boots(&app), 1);
    let next = noting();
    next.change("VERSION", "next");
    let _ = next.push(&app.url(), "+HEAD:refs/heads/main").success();
    assert!(app.get("/").text().contains("next"));
    assert_eq!(boots(&app), 2);
    let _ = http::get(server.http(), &app.host(), "/exit?code=9");
    wait_until("the third start", Duration::from_secs(20), || boots(&app) == 3);

    let listed = app.json(&["volumes"]);
    let volume = &listed[0];
    assert_eq!((&volume["name"], &volume["state"]), (&"data".into(), &"mounted".into()));
    assert!(volume["used"].as_u64().unwrap() < volume["size"].as_u64().unwrap());
    let refused = app.cli(&["ps:scale", "web=2"]);
    assert!(refused.stderr.contains("only one instance may write to"), "{refused}");
    let _ = app.cli(&["volumes:unmount", "data"]).success();
    let missing = app.cli(&["run", "ls /data"]);
    assert_ne!(missing.code(), 0, "{missing}");
}

#[test]
fn a_full_volume_says_so_and_grows() {
    let server = shared_server!();
    let app = app_with_volume(&server, "full");
    let fill = "dd if=/dev/zero of=/data/big bs=1M count=100";
    let full = app.cli(&["run", fill]);
    assert!(full.code() != 0 && full.stderr.contains("No space left on device"), "{full}");
    assert!(app.get("/healthz").text().contains("ok"), "the app goes on");
    let used = app.json(&["volumes"])[0]["used"].as_u64().unwrap();
    assert!((50 << 20..=64 << 20).contains(&used), "{used}");

    let smaller = app.cli(&["volumes:resize", "data", "--size", "32M"]);
    assert!(smaller.stderr.contains("cannot be made smaller"), "{smaller}");
    let _ = app.cli(&["volumes:resize", "data", "--size", "256M"]).success();
    app.wait_for_processes(&["web.1"]);
    let _ = app.cli(&["run", fill]).success();
    let table = app.cli(&["volumes"]).success();
    assert!(table.contains("256M"), "{table}");
    let absurd = app.cli(&["volumes:create", "more", "--size", "10T", "--path", "/more"]);
    assert!(absurd.stderr.contains("10T are wanted, but the disk has only"), "{absurd}");
}

#[test]
fn a_snapshot_and_an_archive_come_back() {
    let server = shared_server!();
    let app = app_with_volume(&server, "backs");
    let _ = run(&app, "echo one > /data/state; mkdir /data/d; ln -s state /data/link");
    let said = app.cli(&["volumes:snapshot", "data"]).everything();
    assert!(said.contains("done, s1"), "{said}");
    let _ = run(&app, "echo two > /data/state");
    let archive = server.data_directory().join("data.tar");
    let path = archive.to_str().unwrap();
    let _ = app.cli(&["volumes:backup", "data", "--output", path]).success();
    let _ = run(&app, "echo three > /data/state; rm /data/link");

    let _ = app.cli(&["volumes:restore", "data", "s1"]).success();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(run(&app, "cat /data/state /data/link"), "one\none");
    let _ = app.cli(&["volumes:restore", "data", "--input", path]).success();
    app.wait_for_processes(&["web.1"]);
    assert_eq!(
        run(&app, "cat /data/state /data/link; stat -c %u /data /data/d"),
        "two\ntwo\n1000\n1000"
    );

    let mut client =
        server.client(&["volumes:restore", "data", "--app", &app.name, "--input", "-"]);
    let broken = command::run(&mut client, b"this is no archive");
    assert!(broken.code() != 0 && broken.stderr.contains("archive could not be read"), "{broken}");
    assert_eq!(run(&app, "cat /data/state"), "two", "as it was");
    assert_eq!(app.json(&["volumes:snapshots", "data"]).as_array().unwrap().len(), 1);
    let _ = app.cli(&["volumes:snapshots:destroy", "data", "s1"]).success();
    let files = volume_files(&server, app.json(&["volumes"])[0]["id"].as_str().unwrap());
    assert_eq!(files, ["image", "lock"], "no temporary copy is left");
}

fn volume_files(server: &TestServer, id: &str) -> Vec<String> {
    let directory = server.data_directory().join("volumes").join(id);
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn volumes_stay_when_their_app_goes() {
    let server = shared_server!();
    let first = app_with_volume(&server, "first");
    let _ = run(&first, "echo precious > /data/file");
    let said = server.cli(&["destroy", &first.name, "--confirm", &first.name]).everything();
    assert!(said.contains("Kept its volumes: data"), "{said}");
    let all: serde_json::Value =
        serde_json::from_str(&server.cli(&["volumes", "--all", "--json"]).success()).unwrap();
    let orphan = all.as_array().unwrap().iter().find(|v| v["app_name"] == *first.name).unwrap();
    assert_eq!(orphan["state"], "orphaned");
    let id = orphan["id"].as_str().unwrap();

    let second = TestApp::deployed(&server, "second", &python());
    let _ = second.cli(&["volumes:attach", id, "--path", "/old"]).success();
    assert_eq!(run(&second, "cat /old/file"), "precious");
    let unconfirmed = second.cli(&["volumes:destroy", "data"]);
    assert!(unconfirmed.stderr.contains("needs a confirmation"), "{unconfirmed}");
    let _ = server
        .cli(&["destroy", &second.name, "--confirm", &second.name, "--with-volumes"])
        .success();
    assert!(!server.data_directory().join("volumes").join(id).exists());
}

/// An instance that finds the mark of another one ends at once, and with it its deploy.
#[test]
fn two_releases_never_write_at_the_same_time_and_no_request_is_lost() {
    let server = shared_server!();
    let app = TestApp::create(&server, "alone");
    let _ = app.cli(&["volumes:create", "data", "--size", "64M", "--path", "/data"]).success();
    let repository = python();
    let start = "mkdir /data/in-use || { echo TWO WRITERS; exit 1; }; trap 'kill $child; wait $child; rmdir /data/in-use; exit 0' TERM; python3 server.py & child=$!; wait $child";
    repository.write("start.sh", start);
    repository.change("Procfile", "web: bash start.sh\n");
    let _ = app.push(&repository).success();
    let load = app.load();
    for version in ["two\n", "three\n"] {
        repository.change("VERSION", version);
        let _ = app.push(&repository).success();
        assert!(app.get("/").text().ends_with(version));
    }
    let _ = app.cli(&["ps:restart"]).success();
    app.wait_for_processes(&["web.1"]);
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    assert!(!app.logs().contains("TWO WRITERS"));
}
