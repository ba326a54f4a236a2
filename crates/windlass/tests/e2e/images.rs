//! Dockerfiles, and images as archives. Their base is made here: no registry is needed.

use crate::support::{own_server, python, shared_server};
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::{self, Finished};
use windlass_testkit::git::Repository;
use windlass_testkit::server::TestServer;
use windlass_testkit::{skip, wait_until};

/// Makes `localhost/base` of busybox in the server's storage for images; `None` (and says why) where
/// that cannot be.
fn base(server: &TestServer) -> Option<()> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(busybox) = ["/usr/bin/busybox", "/bin/busybox"].iter().find(|b| Path::new(b).exists())
    else {
        skip("busybox is not installed");
        return None;
    };
    if !Path::new("/usr/bin/buildah").exists() {
        skip("buildah is not installed");
        return None;
    }
    if buildah(server, &["inspect", "--type", "image", "localhost/base"]).status.success() {
        return Some(());
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for folder in ["bin", "etc", "tmp"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "echo", "id", "sleep"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let users = "root:x:0:0::/:/bin/sh\nweb:x:1234:4321::/srv:/bin/sh\n";
    std::fs::write(root.join("etc/passwd"), users).unwrap();
    let container = buildah(server, &["from", "scratch"]).success();
    let container = container.trim();
    let _ = buildah(server, &["copy", container, root.to_str().unwrap(), "/"]).success();
    let _ = buildah(server, &["commit", container, "localhost/base"]).success();
    let _ = buildah(server, &["rm", container]).success();
    Some(())
}

/// Runs buildah on the server's storage, in a mount namespace of its own: it leaves mounts behind.
fn buildah(server: &TestServer, arguments: &[&str]) -> Finished {
    let mut command = Command::new("unshare");
    command.args(["--mount", "buildah"]);
    command.arg("--root").arg(server.data_directory().join("buildah/storage"));
    command.arg("--runroot").arg(server.run_directory().join("buildah"));
    command.args(["--storage-driver", "overlay"]).args(arguments);
    command::run(&mut command, b"")
}

fn saved(app: &TestApp) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let _ = app.cli(&["image:save", "--output", file.path().to_str().unwrap()]).success();
    std::fs::read(file.path()).unwrap()
}

fn load(app: &TestApp, archive: &[u8]) -> Finished {
    let mut client = app.server.client(&["image:load", "--app", &app.name]);
    command::run(&mut client, archive)
}

pub fn server_with_base() -> Option<Arc<TestServer>> {
    let server = crate::support::start_shared()?;
    base(&server).map(|()| server)
}

/// Whether somebody on this machine sleeps for so many seconds.
fn sleeps(marker: &str) -> bool {
    let pattern = format!("^sleep {marker}");
    let found = Command::new("pgrep").args(["-f", &pattern]).output().unwrap();
    !found.stdout.is_empty()
}

#[test]
fn a_dockerfile_is_built_and_run_as_it_says() {
    let Some(server) = server_with_base() else { return };
    let app = TestApp::create(&server, "docker");
    let secret = format!("tops3cret-{}", std::process::id());
    let set = [
        "config:set",
        "WINDLASS_DOCKER_BUILD_ARGS=GREETING",
        "GREETING=Servus",
        &format!("API_KEY={secret}"),
    ];
    let _ = app.cli(&set).success();
    let repository = Repository::of_example("dockerfile");
    let said = app.push(&repository).everything();
    assert!(said.contains("Building with the Dockerfile"), "{said}");
    assert!(!said.contains(&secret), "a secret was shown: {said}");
    let page = app.get("/index.html").text();
    assert_eq!(
        page,
        "Servus from a Dockerfile\nIt has two stages, a user of its own and an entrypoint.\nbuilt with a key\n"
    );
    let process = &app.json(&["ps"])[0];
    assert_eq!(process["command"], "/bin/busybox httpd -f -v -p 8000 -h /srv");

    let inside =
        app.cli(&["run", "--", "id; echo $SITE $PORT $GREETING; cat /proc/1/comm"]).success();
    assert!(inside.contains("uid=1234(web) gid=4321"), "{inside}");
    assert!(inside.contains("/srv 8000 Servus"), "image's variables, port, config vars: {inside}");

    // A Procfile's commands go before the image's own.
    repository.write(
        "Procfile",
        "worker: sleep 1000\nweb: echo mine > /tmp/x; exec busybox httpd -f -p $PORT -h /tmp\n",
    );
    repository.commit("a Procfile");
    let again = app.push(&repository).everything();
    assert!(again.contains("Using cache"), "layers are kept: {again}");
    assert_eq!(app.get("/x").text(), "mine\n");
    let archive = saved(&app);
    let shown = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    assert!(!shown(&archive), "the secret is in the image, its history or its configuration");
    assert!(!shown(app.cli(&["builds:output"]).success().as_bytes()), "and not in what is kept");
    // Nor in buildah's layers, logs and caches; config vars in the database are sealed.
    let hits = Command::new("grep")
        .args(["--recursive", "--files-with-matches", "--text", "--fixed-strings", "--", &secret])
        .arg(server.data_directory())
        .output()
        .unwrap();
    assert_eq!(hits.status.code(), Some(1), "{}", String::from_utf8_lossy(&hits.stdout));
}

#[test]
fn a_dockerfile_that_fails_leaves_the_old_release() {
    let Some(server) = server_with_base() else { return };
    let app = TestApp::deployed(&server, "dockfail", &Repository::of_example("dockerfile"));
    let load = app.load();
    load.wait_for(20);
    for (dockerfile, says) in [
        ("FROM localhost/base\nRUN echo about to fail && exit 3\n", "about to fail"),
        ("FORM localhost/base\n", "no FROM statement"),
        ("FROM localhost/base\nUSER nobody-knows\nCMD [\"sh\"]\n", "is not in its /etc/passwd"),
        ("FROM localhost/no-such-base\n", "no-such-base"),
    ] {
        let repository = Repository::of_files(&[("Dockerfile", dockerfile)]);
        let said = repository.push(&app.url(), "+HEAD:refs/heads/main").failure();
        assert!(said.contains(says), "{dockerfile}: {said}");
        assert!(said.contains("Push rejected"), "{said}");
    }
    load.stop().assert_nothing_lost();
    assert!(app.get("/index.html").text().contains("from a Dockerfile"));
}

#[test]
fn a_client_that_goes_away_ends_its_dockerfile_build() {
    let Some(server) = server_with_base() else { return };
    let app = TestApp::create(&server, "dockgone");
    let marker = "86399.25";
    let dockerfile = format!("FROM localhost/base\nRUN echo sleeping && sleep {marker}\n");
    let repository = Repository::of_files(&[("Dockerfile", &dockerfile)]);
    let mut push = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the build to sleep", Duration::from_secs(40), || sleeps(marker));
    push.kill();
    wait_until("its end", Duration::from_secs(20), || !sleeps(marker));
}

#[test]
fn a_dockerfile_build_ends_with_its_server() {
    let server = own_server!();
    let Some(()) = base(&server) else { return };
    let app = TestApp::create(&server, "docklost");
    let marker = "86398.75";
    let dockerfile = format!("FROM localhost/base\nRUN sleep {marker}\n");
    let repository = Repository::of_files(&[("Dockerfile", &dockerfile)]);
    let push = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    wait_until("the build to sleep", Duration::from_secs(40), || sleeps(marker));
    server.stop(Signal::SIGKILL);
    server.start_again();
    wait_until("its end", Duration::from_secs(20), || !sleeps(marker));
    drop(push);
}

#[test]
fn a_dockerfile_build_has_limits() {
    let limits = [
        ("build-memory", "256"),
        ("build-timeout", "90"),
        ("build-processes", "64"),
        ("build-disk", "200"),
    ];
    let server = own_server!(&limits);
    let Some(()) = base(&server) else { return };
    let app = TestApp::deployed(&server, "docklimit", &Repository::of_example("dockerfile"));
    let load = app.load();
    let push = |step: &str| {
        let dockerfile = format!("FROM localhost/base\nRUN {step}\n");
        let repository = Repository::of_files(&[("Dockerfile", &dockerfile)]);
        let said = repository.push(&app.url(), "+HEAD:refs/heads/main").failure();
        let line = " !     The build was stopped in its Dockerfile: it ";
        assert_eq!(said.matches(line).count(), 1, "{said}");
        said
    };
    let said = push("busybox dd if=/dev/zero of=/dev/null bs=1G count=1");
    assert!(said.contains("more than its memory limit of 256M (`build.memory`"), "{said}");
    let said = push("bomb() { bomb | bomb & }; bomb; sleep 1000");
    assert!(said.contains("its limit of 64 processes and threads (`build.processes`"), "{said}");
    for fill in [
        "busybox dd if=/dev/zero of=/fill bs=1M count=400",
        "busybox dd if=/dev/zero of=/fill bs=1M count=400; sleep 1000",
        "busybox truncate -s 20G /sparse",
    ] {
        let said = push(fill);
        assert!(said.contains("more than its disk limit of 200M (`build.disk`"), "{said}");
    }
    let said = push("echo /proc/[0-9]* && sleep 1000");
    assert!(said.contains("longer than its limit of 90 seconds (`build.timeout`"), "{said}");
    let seen = said.lines().find(|line| line.contains("/proc/1 ")).expect("it sees itself");
    assert!(seen.matches("/proc/").count() < 12, "only processes of the build are seen: {seen}");
    assert!(!seen.contains(&format!("/proc/{} ", server.pid())), "{seen}");
    load.stop().assert_nothing_lost();
    assert_eq!(app.version(), 2);
    wait_until("what the builds left to be removed", Duration::from_secs(20), || {
        buildah(&server, &["containers", "--quiet"]).success().is_empty()
    });
}

/// Each gets out of its own root with some version of buildah: by `chroot`, by a link in another
/// stage (CVE-2024-1753), by the name of a cache (CVE-2024-9675).
#[test]
fn a_step_of_a_dockerfile_does_not_get_at_the_host() {
    let server = shared_server!();
    let Some(()) = base(&server) else { return };
    let app = TestApp::create(&server, "dockout");
    let data = server.data_directory().display().to_string();
    assert!(server.data_directory().join("secret.key").exists());
    let other = "FROM localhost/base AS other\nRUN busybox ln -s / /root\n";
    for (before, step) in [
        ("", "busybox chroot / busybox true".to_owned()),
        (
            other,
            format!(
                "--mount=type=bind,from=other,source=/root,target=/host busybox test -e /host{data}/secret.key"
            ),
        ),
        (
            "",
            format!(
                "--mount=type=cache,id=../../../../../../../../../../../..{data},target=/host busybox test -e /host/secret.key"
            ),
        ),
    ] {
        let dockerfile =
            format!("{before}FROM localhost/base\nRUN {step} && echo \"got\" \"out\"; exit 9\n");
        let repository = Repository::of_files(&[("Dockerfile", &dockerfile)]);
        let said = repository.push(&app.url(), "+HEAD:refs/heads/main").failure();
        assert!(said.contains("The Dockerfile could not be built"), "{said}");
        assert!(!said.contains("got out"), "{said}");
    }
}

#[test]
fn caches_that_no_build_used_for_long_are_removed() {
    let server = own_server!();
    let Some(()) = base(&server) else { return };
    let app = TestApp::create(&server, "dockold");
    let repository = Repository::empty();
    let push = |step: &str| {
        repository
            .change("Dockerfile", &format!("FROM localhost/base\n{step}CMD [\"sleep\", \"9\"]\n"));
        let _ = app.cli(&["ps:scale", "web=0"]);
        app.push(&repository).everything()
    };
    let images = server.data_directory().join("buildah/storage/overlay-images");
    let of_layers = || -> Vec<String> {
        let entries = std::fs::read_dir(&images).unwrap().flatten();
        let names = entries.filter(|entry| entry.path().is_dir());
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let _ = push("RUN echo one\nRUN echo two\n");
    let _ = push("RUN echo one\nRUN echo three\n");
    let caches = server.data_directory().join("caches");
    let (old, young) =
        ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
    std::fs::create_dir_all(caches.join(old).join("files")).unwrap();
    std::fs::create_dir_all(caches.join(young)).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(100 * 24 * 60 * 60);
    let made = of_layers();
    for directory in made.iter().map(|id| images.join(id)).chain([caches.join(old)]) {
        std::fs::File::open(directory).unwrap().set_modified(long_ago).unwrap();
    }
    let again = push("RUN echo one\nRUN echo three\n");
    assert!(again.contains("Using cache"), "{again}");

    server.stop(Signal::SIGTERM);
    server.start_again();

    wait_until("the old to be removed", Duration::from_secs(30), || {
        of_layers().len() < made.len() && !caches.join(old).exists()
    });
    assert!(caches.join(young).exists());
    let again = push("RUN echo one\nRUN echo three\n");
    assert_eq!(again.matches("Using cache").count(), 3, "what is used stays: {again}");
    let again = push("RUN echo one\nRUN echo two\n");
    assert_eq!(again.matches("Using cache").count(), 1, "what is not used has gone: {again}");
}

#[test]
fn an_image_goes_out_and_in_again() {
    let Some(server) = server_with_base() else { return };
    let (first, second) = (
        TestApp::deployed(&server, "saved", &Repository::of_example("dockerfile")),
        TestApp::create(&server, "loaded"),
    );
    let archive = saved(&first);
    let _ = load(&second, &archive).success();
    assert_eq!(second.get("/index.html").text(), first.get("/index.html").text());

    // As another tool reads and writes it.
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (directory.path().join("ours.tar"), directory.path().join("theirs.tar"));
    std::fs::write(&ours, &archive).unwrap();
    let pulled =
        buildah(&server, &["pull", &format!("docker-archive:{}", ours.display())]).success();
    let target = format!("oci-archive:{}", theirs.display());
    let _ = buildah(&server, &["push", pulled.trim(), &target]).success();
    let _ = load(&second, &std::fs::read(&theirs).unwrap()).success();
    assert_eq!(second.version(), 3, "released again");
    assert_eq!(second.get("/index.html").text(), first.get("/index.html").text());
}

#[test]
fn an_image_of_buildpacks_runs_elsewhere_as_before() {
    let server = shared_server!();
    let first = TestApp::deployed(&server, "bpsaved", &python());
    let second = TestApp::create(&server, "bploaded");
    let _ = load(&second, &saved(&first)).success();
    assert_eq!(second.get("/").status, 200);
    let command = |app: &TestApp| app.json(&["ps"])[0]["command"].as_str().unwrap().to_owned();
    assert_eq!(command(&second), command(&first));
}

#[test]
fn archives_that_cannot_be_used_are_refused_in_one_line() {
    let Some(server) = server_with_base() else { return };
    let app = TestApp::deployed(&server, "badimage", &Repository::of_example("dockerfile"));
    let archive = saved(&app);
    let other = foreign(&archive);
    for (archive, says) in [
        (&archive[..archive.len() / 2], "cut short"),
        (&b"not an archive at all"[..], "not an image archive"),
        (&other[..], "The image is for linux/s390x"),
    ] {
        let said = load(&app, archive).failure();
        assert!(said.contains(says), "{said}");
        let lines = said.lines().filter(|line| line.contains("rror") || line.contains(says));
        assert_eq!(lines.count(), 1, "one line: {said}");
    }
    assert_eq!(app.version(), 2, "no release was made");
    assert!(app.get("/index.html").text().contains("from a Dockerfile"));
}

/// Returns a document of an archive.
fn document(archive: &[u8], name: &str) -> serde_json::Value {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let found = entries.find(|entry| entry.path().unwrap().as_os_str() == name);
    serde_json::from_reader(found.expect(name)).unwrap()
}

/// Returns an archive of the same image that says it is for another processor.
fn foreign(archive: &[u8]) -> Vec<u8> {
    let mut manifest = document(archive, "manifest.json");
    let mut config = document(archive, manifest[0]["Config"].as_str().unwrap());
    config["architecture"] = "s390x".into();
    manifest[0]["Config"] = "config.json".into();
    let mut builder = tar::Builder::new(Vec::new());
    for (name, document) in [("manifest.json", manifest), ("config.json", config)] {
        let bytes = document.to_string();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}
