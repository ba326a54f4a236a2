//! Reboots and backups: every app is back.

use crate::support::{binary, own_server, python};
use nix::sys::signal::Signal;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::server::TestServer;
use windlass_testkit::{command, http, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
/// The machine does other things too.
const SETTINGS: &[(&str, &str)] = &[("boot-timeout", "60")];

fn answers(server: &TestServer, app: &str) -> Option<String> {
    let host = format!("{app}.localhost");
    let response = http::get(server.http(), &host, "/").ok()?;
    (response.status == 200).then(|| response.text())
}

#[test]
fn after_a_reboot_every_app_is_back_and_answers_by_its_own_name() {
    let server = own_server!(SETTINGS);
    let apps: Vec<TestApp> = ["one", "two", "three"]
        .iter()
        .map(|name| {
            let repository = python();
            repository.change("VERSION", name);
            TestApp::deployed(&server, name, &repository)
        })
        .collect();
    let set = apps[2].cli(&["deploys:set", "priority=90"]).success();
    assert!(set.contains("90"), "{set}");
    // As the machine would: everything ends at once, /run is empty, the start has another number.
    server.stop(Signal::SIGKILL);
    server.end_everything_of_the_run();
    let table = server.data_directory().join("router-table.json");
    let mut saved = saved_table(&table);
    assert_eq!(saved["boot"].as_str().unwrap().len(), 36, "{saved}");
    saved["boot"] = "an earlier start".into();
    // At these addresses somebody else may be by now: here, all apps at that of the first.
    let first = saved["routes"][0]["targets"].clone();
    for route in saved["routes"].as_array_mut().unwrap() {
        route["targets"] = first.clone();
    }
    std::fs::write(&table, saved.to_string()).unwrap();

    std::thread::scope(|scope| {
        let asked: Vec<_> = apps
            .iter()
            .zip(["one", "two", "three"])
            .map(|(app, version)| {
                let server = &server;
                scope.spawn(move || {
                    // From before the router is there: whatever answers is the app itself.
                    let mut seen = None;
                    wait_until("an answer", LIMIT, || {
                        seen = answers(server, &app.name);
                        seen.is_some()
                    });
                    assert!(seen.as_ref().unwrap().contains(version), "{seen:?} for {version}");
                })
            })
            .collect();
        server.start_again();
        asked.into_iter().for_each(|thread| thread.join().unwrap());
    });
    for app in &apps {
        app.wait_for_processes(&["web.1"]);
    }
}

/// Returns the router's table as a whole: its file has one, and changes since then line by line.
fn saved_table(file: &std::path::Path) -> serde_json::Value {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut table: serde_json::Value = lines.next().unwrap();
    let routes = table["routes"].as_array_mut().unwrap();
    for change in lines {
        let app = change["upsert"].get("app").unwrap_or(&change["remove"]);
        routes.retain(|route| route["app"] != *app);
        routes.extend(change.get("upsert").cloned());
    }
    table
}

#[test]
fn a_backup_brings_everything_back_on_an_empty_data_directory() {
    let server = own_server!(SETTINGS);
    let repository = python();
    let app = TestApp::deployed(&server, "saved", &repository);
    let _ = app.cli(&["config:set", "SECRET=kept"]).success();
    let _ = app.cli(&["volumes:create", "data", "--size", "32M", "--path", "/data"]).success();
    let _ = app.cli(&["run", "echo precious > /data/file"]).success();
    app.wait_for_processes(&["web.1"]);
    let version = app.version();
    let directory = tempfile::tempdir().unwrap();
    let (file, secret) = (directory.path().join("backup"), directory.path().join("secret"));
    std::fs::write(&secret, "correct horse battery\n").unwrap();
    let mut create = server.backup_command(&["create"]);
    let load = app.load();
    let made = command::run(create.arg(&file).arg("--passphrase-file").arg(&secret), b"");
    assert!(made.stderr.contains("an encrypted backup of 1 app and 1 volume"), "{made}");
    load.stop().assert_nothing_lost();
    let verify = |file: &std::path::Path| {
        let mut verify = server.bare_client(&["backup", "verify"]);
        command::run(verify.arg(file).arg("--passphrase-file").arg(&secret), b"")
    };
    assert!(verify(&file).stderr.contains("is whole"), "{}", verify(&file));
    let bytes = std::fs::read(&file).unwrap();
    let cut = directory.path().join("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 1000]).unwrap();
    let said = verify(&cut);
    assert!(said.code() == 1 && said.stderr.contains("cut short or damaged"), "{said}");

    // Another server, whose data directory has nothing.
    let restored = TestServer::start_restored(binary(), server.token(), |data, _| {
        let mut restore = server.bare_client(&["backup", "restore"]);
        restore.arg(&file).arg("--passphrase-file").arg(&secret).arg("--data-directory").arg(data);
        let restored = command::run(&mut restore, b"");
        assert_eq!(restored.code(), 0, "{restored}");
        let refused = command::run(&mut restore, b"");
        assert!(refused.code() == 1 && refused.stderr.contains("is not empty"), "{refused}");
    });
    let other = restored.unwrap_or_else(|unavailable| panic!("{}", unavailable.0));

    let app_there = TestApp::existing(&other, &app.name);
    app_there.wait_for_processes(&["web.1"]);
    wait_until("an answer", LIMIT, || answers(&other, &app.name).is_some());
    assert_eq!(app_there.cli(&["config:get", "SECRET"]).success().trim(), "kept");
    assert_eq!(app_there.cli(&["run", "cat /data/file"]).success().trim(), "precious");
    let git = other.data_directory().join("repositories");
    for entry in std::fs::read_dir(git).unwrap().flatten() {
        let mut fsck = std::process::Command::new("git");
        fsck.arg("--git-dir").arg(entry.path()).args(["fsck", "--full", "--strict"]);
        assert_eq!(command::run(&mut fsck, b"").code(), 0);
    }
    repository.change("VERSION", "after the restore");
    let _ = app_there.push(&repository).success();
    assert!(answers(&other, &app.name).unwrap().contains("after the restore"));
    let _ = app_there.cli(&["rollback", &format!("v{version}")]).success();
    assert!(!answers(&other, &app.name).unwrap().contains("after the restore"));
}

#[test]
fn the_server_makes_backups_by_itself_and_keeps_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let old = directory.path().join("windlass-20200101T000000Z.backup");
    std::fs::write(&old, "old").unwrap();
    let server = own_server!(&[
        ("backup-directory", path.as_str()),
        ("backup-schedule", "1h"),
        ("backup-keep", "1"),
    ]);
    wait_until("the old one to go", LIMIT, || !old.exists());
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let mut verify = server.bare_client(&["backup", "verify"]);
    let said = command::run(verify.arg(names[0].path()), b"");
    assert!(said.stderr.contains("is whole"), "{said}");
}
