//! Other ways in than a push: folders, archives, URLs. And what can be done to a build.

use crate::support::{own_server, python, python_version, shared_server};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::git::Repository;
use windlass_testkit::wait_until;

/// An app whose build does what `compile` says.
pub fn building(compile: &str) -> Repository {
    let repository = python();
    repository.write("bin/detect", "#!/bin/bash\necho Inline\n");
    repository.write("bin/compile", &format!("#!/bin/bash\nset -e\n{compile}\n"));
    repository.write("bin/release", "#!/bin/bash\n");
    repository.commit("a buildpack of its own");
    repository
}

/// The same app, made to use its own buildpack.
pub fn create_inline(
    server: &std::sync::Arc<windlass_testkit::server::TestServer>,
    hint: &str,
) -> TestApp {
    let app = TestApp::create(server, hint);
    let _ = app.cli(&["config:set", "BUILDPACK_URL=inline"]).success();
    app
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn tar(arguments: &[&str], directory: &Path) {
    let _ = command::run(Command::new("tar").args(arguments).current_dir(directory), b"").success();
}

#[test]
fn a_folder_is_deployed_without_what_git_ignores() {
    let server = shared_server!();
    let app = TestApp::create(&server, "folder");
    let repository = python_version("from a folder\n");
    repository.write(".gitignore", "Procfile.broken\n/secret\n");
    repository.write("secret", "do not send");
    let said = app.cli(&["deploy", text(repository.path())]).success();
    assert!(said.contains("Launching...") && said.contains("Released v2"), "{said}");
    assert!(app.get("/").text().ends_with("from a folder\n"));
    let listed = app.cli(&["run", "--", "ls"]).success();
    assert!(listed.contains("server.py") && !listed.contains("secret"), "{listed}");

    // Not a repository, and nothing is committed.
    std::fs::remove_dir_all(repository.path().join(".git")).unwrap();
    repository.write("VERSION", "without git\n");
    let _ = app.cli(&["deploy", text(repository.path())]).success();
    assert!(app.get("/").text().ends_with("without git\n"));
    assert_eq!(app.json(&["releases"])[0]["description"], "Deploy");
}

#[test]
fn archives_are_deployed_from_files_standard_input_and_urls() {
    let server = shared_server!();
    let app = TestApp::create(&server, "archives");
    let (folder, work) = (python_version("file\n"), tempfile::tempdir().unwrap());
    let archive = work.path().join("app.tar");
    tar(&["--exclude=.git", "-cf", text(&archive), "."], folder.path());
    let _ = app.cli(&["deploy", "--tar", text(&archive)]).success();
    assert!(app.get("/").text().ends_with("file\n"));

    folder.write("VERSION", "input\n");
    tar(&["--exclude=.git", "-czf", text(&archive), "."], folder.path());
    let mut client = server.client(&["deploy", "--app", &app.name, "--tar", "-"]);
    let _ = command::run(&mut client, &std::fs::read(&archive).unwrap()).success();
    assert!(app.get("/").text().ends_with("input\n"));

    // In one folder, as GitHub's archives are.
    folder.write("VERSION", "web\n");
    let above = folder.path().parent().unwrap();
    let name = text(Path::new(folder.path().file_name().unwrap())).to_owned();
    tar(&["--exclude=.git", "-czf", text(&archive), &name], above);
    let bytes = std::fs::read(&archive).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.tar.gz?token=sekret", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let _ = connection.read(&mut [0; 4096]);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            bytes.len()
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&bytes).unwrap();
    });
    let said = app.cli(&["deploy", "--tar", &url]).success();
    serving.join().unwrap();
    assert!(
        said.contains("-----> Fetching http://127.0.0.1:") && !said.contains("sekret"),
        "{said}"
    );
    assert!(app.get("/").text().ends_with("web\n"));
}

#[test]
fn hostile_archives_are_refused_and_the_old_release_goes_on() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "hostile", &python());
    let load = app.load();
    let work = tempfile::tempdir().unwrap();
    let inside = work.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(work.path().join("evil"), "x").unwrap();
    std::fs::File::create(inside.join("sparse")).unwrap().set_len(20 << 30).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", inside.join("link")).unwrap();
    let archive = work.path().join("hostile.tar.gz");
    let refused = |arguments: &[&str], reason: &str| {
        tar(&[&["-czPf", text(&archive)], arguments].concat(), &inside);
        let said = app.cli(&["deploy", "--tar", text(&archive)]);
        assert_eq!(said.code(), 1, "{said}");
        assert!(said.everything().contains(&format!(" !     {reason}")), "{said}");
    };
    refused(&["../evil"], "The archive's entry ../evil has `..` in it.");
    refused(&[text(&work.path().join("evil"))], "The archive's entry /");
    refused(&["link"], "The archive's link link leads out of it, to /etc/shadow.");
    refused(
        &["--sparse", "--format=gnu", "sparse"],
        "The archive is larger than 1024 MiB unpacked.",
    );
    refused(&["--sparse", "--format=pax", "sparse"], "The archive's file ");
    std::fs::write(&archive, "no archive").unwrap();
    let said = app.cli(&["deploy", "--tar", text(&archive)]);
    assert!(said.everything().contains("The archive cannot be read"), "{said}");
    assert_eq!(app.cli(&["deploy", "--tar", "http://127.0.0.1:1/x.tgz"]).code(), 1);
    assert_eq!(app.version(), 2);
    load.wait_for(20);
    load.stop().assert_nothing_lost();
}

#[test]
fn builds_are_canceled_however_they_began() {
    let server = shared_server!();
    let app = create_inline(&server, "stop");
    let repository = building("echo sleeping; sleep 300");
    let by_push = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the push to build", Duration::from_secs(30), || {
        by_push.so_far().contains("sleeping")
    });
    let busy = app.cli(&["builds:cache:purge"]);
    assert_eq!(busy.code(), 5, "the cache is in use: {busy}");
    let _ = app.cli(&["builds:cancel"]).success();
    let said = by_push.wait().failure();
    assert!(
        said.contains("The build was canceled by") && said.contains("[remote rejected]"),
        "{said}"
    );

    let by_deploy = app.start_cli(&["deploy", text(repository.path())]);
    wait_until("the deploy to build", Duration::from_secs(30), || {
        by_deploy.so_far().contains("sleeping")
    });
    let builds = app.json(&["builds"]);
    let mut builds = builds.as_array().unwrap().iter();
    let pending = builds.find(|build| build["status"] == "pending").unwrap();
    let _ = app.cli(&["builds:cancel", pending["id"].as_str().unwrap()]).success();
    let said = by_deploy.wait();
    assert_eq!(said.code(), 1, "{said}");
    assert!(said.everything().contains("The build was canceled by"), "{said}");
    let builds = app.json(&["builds"]);
    assert!(builds.as_array().unwrap().iter().all(|build| build["status"] == "failed"));
    assert_eq!(app.cli(&["builds:cancel"]).code(), 4, "nothing is under way");
}

#[test]
fn the_build_cache_is_kept_until_it_is_purged() {
    let server = shared_server!();
    let app = create_inline(&server, "purge");
    let repository = building("ls \"$2\"; echo cached > \"$2/found-it\"");
    let build = |message: &str| {
        repository.commit(message);
        let pushed = app.push(&repository);
        let said = pushed.everything();
        let _ = pushed.success();
        said
    };
    let first = build("first");
    assert!(!first.contains("found-it"), "{first}");
    let second = build("second");
    assert!(second.contains("found-it"), "{second}");
    let _ = app.cli(&["builds:cache:purge"]).success();
    let third = build("third");
    assert!(!third.contains("found-it"), "{third}");
}

#[test]
fn a_build_that_fills_the_disk_is_stopped() {
    let server = own_server!(&[("build-disk", "100")]);
    let app = create_inline(&server, "filler");
    let refused = |compile: &str| {
        let said = app.push(&building(compile)).failure();
        assert!(said.contains("it used more than its disk limit of 100M"), "{said}");
    };
    refused("head -c 200M /dev/zero > filler; sleep 300");
    refused("head -c 200M /dev/zero > \"$2/filler\"; sleep 300");
    let _ = app.cli(&["builds:cache:purge"]).success();
    // Outside of what is kept, and a file that is large only by name.
    refused("head -c 200M /dev/zero > /tmp/filler; sleep 300");
    refused("truncate -s 20G filler");
    let _ = app.push(&building("head -c 20M /dev/zero > filler")).success();
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn an_app_with_many_builds_does_not_hold_up_another() {
    let server = own_server!(&[("build-concurrent", "1")]);
    let (busy, other) = (create_inline(&server, "busy"), create_inline(&server, "other"));
    let repository = building("echo building; sleep 4");
    let path = text(repository.path());
    let first = busy.start_cli(&["deploy", path]);
    wait_until("the first to build", Duration::from_secs(30), || {
        first.so_far().contains("building")
    });
    let second = busy.start_cli(&["deploy", path]);
    wait_until("the second to wait", Duration::from_secs(30), || {
        second.so_far().contains("Another build of this app is under way")
    });
    let third = other.start_cli(&["deploy", path]);
    wait_until("the other app to wait", Duration::from_secs(30), || {
        third.so_far().contains("Waiting: the server builds other apps...")
    });
    wait_until("the other app to build", Duration::from_secs(60), || {
        third.so_far().contains("building")
    });
    assert!(!second.so_far().contains("building"), "it is not its turn");
    for deploy in [first, second, third] {
        let _ = deploy.wait().success();
    }
    let sources = std::fs::read_dir(server.data_directory().join("sources")).unwrap();
    let left = sources.flatten().filter(|entry| entry.path().extension().is_some());
    assert_eq!(left.count(), 0, "each build removes its copy of the source");
}
