//! Slugs: sent by a client, taken from a build, and released by another app.

use crate::support::{python, shared_server};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::server::TestServer;

/// Asks the API, as Terraform and scripts do.
fn call(server: &Arc<TestServer>, method: &str, path: &str, body: &Value) -> Value {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--request", method, "--data-binary", "@-"]);
    curl.args(["--header", "Content-Type: application/json"]);
    curl.args(["--header", &format!("Authorization: Bearer {}", server.token())]);
    curl.arg(format!("http://{}{path}", server.api()));
    let said = command::run(&mut curl, body.to_string().as_bytes()).success();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Packs a folder with `./app/` as clients do.
fn packed(files: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let archive = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--gzip").arg("--file").arg(archive.path());
    tar.arg("--directory").arg(folder.path());
    let top = std::fs::read_dir(folder.path()).unwrap().flatten();
    tar.args(top.map(|entry| format!("./{}", entry.file_name().to_str().unwrap())));
    let _ = command::run(&mut tar, b"").success();
    archive
}

fn send(slug: &Value, archive: &tempfile::NamedTempFile) {
    let url = slug["blob"]["url"].as_str().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--upload-file"]);
    curl.arg(archive.path()).args(["--header", "Content-Type:", url]);
    let _ = command::run(&mut curl, b"").success();
}

#[test]
fn a_slug_that_is_sent_is_released_and_stays_its_release_through_changes() {
    let server = shared_server!();
    let app = TestApp::create(&server, "slugs");
    let path = |rest: &str| format!("/apps/{}{rest}", app.name);
    let body =
        json!({"process_types": {"web": "python3 -m http.server $PORT"}, "commit": "abcdef1234"});
    let slug = call(&server, "POST", &path("/slugs"), &body);
    let archive = packed(&[("app/hello.txt", "from a slug"), ("app/.profile", "export A=b\n")]);
    send(&slug, &archive);
    let release = call(&server, "POST", &path("/releases"), &json!({"slug": slug["id"]}));
    assert_eq!(release["slug"]["id"], slug["id"], "{release}");
    assert_eq!(release["description"], "Deploy abcdef12");
    assert_eq!(app.get("/hello.txt").text(), "from a slug");
    let owner = app.cli(&["run", "--", "stat -c %U /app/hello.txt"]).success();
    assert_eq!(owner.trim(), "app", "its files are the app's own");

    let _ = app.cli(&["config:set", "X=y"]).success();
    let releases = app.json(&["slugs"]);
    assert_eq!(releases.as_array().unwrap().len(), 2, "{releases}");
    assert!(releases.as_array().unwrap().iter().all(|release| release["slug"]["id"] == slug["id"]));
    let told = app.cli(&["slugs:info"]).success();
    assert!(told.contains("abcdef1234") && told.contains("web: python3 -m http.server"), "{told}");

    for (files, says) in
        [(&[("app/x", "x"), ("etc/passwd", "root")][..], "has etc"), (&[("x", "x")][..], "has x")]
    {
        let bad = call(&server, "POST", &path("/slugs"), &body);
        send(&bad, &packed(files));
        let refused = call(&server, "POST", &path("/releases"), &json!({"slug": bad["id"]}));
        assert_eq!(refused["id"], "invalid_params");
        assert!(refused["message"].as_str().unwrap().contains(says), "{refused}");
    }
    assert_eq!(app.get("/hello.txt").text(), "from a slug");
}

#[test]
fn the_slug_of_a_build_is_released_by_another_app() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "slugbuilt", &python());
    let other = TestApp::create(&server, "slugcopy");
    let release = &app.json(&["releases"])[0];
    let id = release["slug"]["id"].as_str().unwrap();
    let slug = app.json(&["slugs:info", id]);
    assert!(slug["checksum"].as_str().unwrap().starts_with("SHA256:"), "{slug}");
    assert!(slug["size"].as_u64().unwrap() > 0 && slug["process_types"]["web"].is_string());
    let mut list = Command::new("sh");
    list.args(["-c", "curl --silent --fail \"$1\" | tar --list --gzip", "sh"]);
    let files = command::run(list.arg(slug["blob"]["url"].as_str().unwrap()), b"").success();
    assert!(files.lines().any(|name| name == "app/Procfile"), "{files}");

    let path = format!("/apps/{}/releases", other.name);
    let copied = call(&server, "POST", &path, &json!({"slug": id, "description": "Copy"}));
    assert_eq!((&copied["slug"]["id"], &copied["description"]), (&json!(id), &json!("Copy")));
    assert_eq!(other.get("/").status, 200);
    let there = other.json(&["slugs:info", id]);
    assert_eq!(there["checksum"], slug["checksum"], "as `apps:diff` compares");
}
