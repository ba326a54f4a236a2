//! The registry that the server is: images are pushed to it with the usual tools and released, one
//! of each process type.

use crate::registries::Maker;
use crate::support::{python, shared_server};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::{self, Finished};
use windlass_testkit::git::Repository;
use windlass_testkit::load::Load;
use windlass_testkit::server::TestServer;
use windlass_testkit::{skip, wait_until};

/// Somebody who makes images and pushes them to the server.
pub struct Pusher {
    pub maker: Maker,
    server: Arc<TestServer>,
}

impl Pusher {
    /// `None` (and says why) where that cannot be.
    pub fn new(server: &Arc<TestServer>) -> Option<Self> {
        if !Path::new("/usr/bin/skopeo").exists() {
            skip("skopeo is not installed");
            return None;
        }
        Some(Self { maker: Maker::new()?, server: server.clone() })
    }

    pub fn login(&self) -> String {
        format!("_:{}", self.server.token())
    }

    /// Makes an image of busybox that runs a script of its shell.
    fn script(&self, name: &str, script: &str) {
        self.maker.image(name, script, None);
        let container = self.maker.buildah(&["from", &format!("localhost/{name}")]);
        let entrypoint = serde_json::json!(["/bin/busybox", "sh", "-c", script]).to_string();
        self.maker.buildah(&["config", "--entrypoint", &entrypoint, &container]);
        self.maker.buildah(&["commit", "--quiet", &container, &format!("localhost/{name}")]);
        self.maker.buildah(&["rm", &container]);
    }

    /// Pushes with skopeo, from an archive.
    fn skopeo(&self, name: &str, repository: &str) -> Finished {
        let archive = self.maker.folder.path().join(format!("{name}.tar"));
        let _ = std::fs::remove_file(&archive);
        let archive = format!("oci-archive:{}", archive.display());
        self.maker.buildah(&["push", "--quiet", &format!("localhost/{name}"), &archive]);
        let target = format!("docker://{}/{repository}", self.server.api());
        let creds = self.login();
        skopeo(&["copy", "--dest-tls-verify=false", "--dest-creds", &creds, &archive, &target])
    }

    /// Pushes with buildah, from its storage.
    fn buildah(&self, name: &str, repository: &str) {
        let target = format!("docker://{}/{repository}", self.server.api());
        let (login, image) = (self.login(), format!("localhost/{name}"));
        let push = ["push", "--quiet", "--tls-verify=false", "--creds", &login, &image, &target];
        self.maker.buildah(&push);
    }
}

pub fn skopeo(arguments: &[&str]) -> Finished {
    let policy = ["--insecure-policy"];
    command::run(Command::new("skopeo").args(policy).args(arguments), b"")
}

fn types(app: &TestApp) -> Vec<String> {
    let formation = app.json(&["ps:scale"]);
    let names = formation.as_array().unwrap().iter();
    names.map(|entry| entry["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pushed_images_are_released_for_each_process_type_and_rolled_back() {
    let server = shared_server!();
    let Some(pusher) = Pusher::new(&server) else { return };
    let app = TestApp::create(&server, "boxes");
    let repository = |process: &str| format!("{}/{process}", app.name);
    let missing = app.cli(&["container:release", "web"]).failure();
    assert!(missing.contains("windlass container:push web"), "{missing}");

    pusher.maker.image("one", "first", None);
    pusher.script("ticker", "echo the worker says $WORD; exec /bin/busybox sleep 1000");
    let _ = pusher.skopeo("one", &format!("{}:latest", repository("web"))).success();
    pusher.buildah("ticker", &repository("worker"));
    let _ = app.cli(&["config:set", "WORD=hello"]).success();
    let said = app.cli(&["container:release", "web", "worker"]).everything();
    assert!(said.contains("Releasing web, worker") && said.contains("v3"), "{said}");
    assert_eq!(app.get("/").text(), "first");
    let release = &app.json(&["releases"])[0];
    let description = release["description"].as_str().unwrap();
    assert!(
        description.starts_with("Deployed web (") && description.contains("worker ("),
        "{release}"
    );
    assert!(release["slug"].is_null());
    assert_eq!(app.json(&["stack"])["stack"]["name"], "container");
    assert_eq!(types(&app), ["web", "worker"]);
    let _ = app.cli(&["ps:scale", "worker=1"]).success();
    app.wait_for_log("the worker says hello");

    // Another image of one type: the other stays as it is.
    pusher.maker.image("two", "second", None);
    let _ = pusher.skopeo("two", &repository("web")).success();
    assert_eq!(app.get("/").text(), "first", "to push is not to release");
    let load = Load::start(server.http(), &app.host(), "/");
    load.wait_for(20);
    let _ = app.cli(&["container:release", "web"]).success();
    load.stop().assert_nothing_lost();
    assert_eq!(app.get("/").text(), "second");
    assert_eq!(types(&app), ["web", "worker"]);
    let _ = app.cli(&["rollback", "v3"]).success();
    assert_eq!(app.get("/").text(), "first");
    let inside = app.cli(&["run", "--", "cat /srv/index.html"]).success();
    assert_eq!(inside.trim(), "first", "one-off commands run on the image of web");

    let _ = app.cli(&["container:rm", "worker"]).success();
    assert_eq!(types(&app), ["web"]);
    let refused = app.cli(&["container:rm", "worker"]).failure();
    assert!(refused.contains("no process type worker"), "{refused}");
    assert_eq!(app.get("/").text(), "first");

    // What is served can be fetched again, by tag of its release.
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (
        format!("docker://{}/{}:v3", server.api(), repository("web")),
        format!("dir:{}", folder.path().display()),
    );
    let login = pusher.login();
    let _ =
        skopeo(&["copy", "--src-tls-verify=false", "--src-creds", &login, &from, &to]).success();
    assert!(folder.path().join("manifest.json").exists());
}

#[test]
fn a_pushed_release_image_runs_before_the_rest_is_served() {
    let server = shared_server!();
    let Some(pusher) = Pusher::new(&server) else { return };
    let app = TestApp::create(&server, "boxphase");
    let repository = |process: &str| format!("{}/{process}", app.name);
    pusher.maker.image("page", "first", None);
    pusher.script("migrate", "echo migrating");
    pusher.buildah("page", &repository("web"));
    pusher.buildah("migrate", &repository("release"));
    let _ = app.cli(&["container:release", "web", "release"]).success();
    assert_eq!(app.get("/").text(), "first");
    assert_eq!(app.cli(&["releases:output"]).success(), "migrating\n");

    pusher.maker.image("page2", "second", None);
    pusher.script("broken", "echo no database; exit 3");
    pusher.buildah("page2", &repository("web"));
    pusher.buildah("broken", &repository("release"));
    let said = app.cli(&["container:release", "web", "release"]).failure();
    assert!(said.contains("exited with status 3") && said.contains("no database"), "{said}");
    assert_eq!(app.get("/").text(), "first");
}

#[test]
fn the_client_builds_and_pushes() {
    let server = shared_server!();
    let Some(pusher) = Pusher::new(&server) else { return };
    let app = TestApp::create(&server, "boxcli");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::copy("/usr/bin/busybox", folder.path().join("busybox")).unwrap();
    let serve = r#"CMD ["/bin/busybox", "httpd", "-f", "-p", "8000", "-h", "/srv"]"#;
    let base =
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nCOPY busybox /tmp/\n";
    write("Dockerfile.web", &format!("{base}COPY page /srv/index.html\nEXPOSE 8000\n{serve}\n"));
    write("page", "built here");
    // buildah leaves mounts behind, and its storage is not the machine's.
    let storage = pusher.maker.folder.path().join("client");
    let place = |name: &str| storage.join(name).display().to_string();
    let config = pusher.maker.folder.path().join("storage.conf");
    let text = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = {:?}\nrunroot = {:?}\n",
        place("graph"),
        place("run")
    );
    std::fs::write(&config, text).unwrap();
    let client = |arguments: &[&str]| {
        let inner = server.client(arguments);
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command::run(command.env("CONTAINERS_STORAGE_CONF", &config), b"")
    };
    let context = folder.path().to_str().unwrap();
    let push = ["container:push", "--recursive", "--engine", "buildah", "--context-path", context];
    let said = client(&[&push[..], &["--app", &app.name]].concat()).everything();
    assert!(said.contains("windlass container:release web"), "{said}");
    let _ = app.cli(&["container:release", "web"]).success();
    assert_eq!(app.get("/").text(), "built here");
    let absent = client(&["container:push", "--context-path", "/var/empty", "--app", &app.name]);
    assert!(absent.failure().contains("neither Dockerfile.web nor Dockerfile"));
}

#[test]
fn a_container_app_wants_a_dockerfile_and_a_built_app_can_be_pulled() {
    let server = shared_server!();
    let app = TestApp::create(&server, "boxgit");
    let _ = app.cli(&["stack:set", "container"]).success();
    let said = python().push(&app.url(), "HEAD:refs/heads/main").failure();
    assert!(said.contains("the source has no Dockerfile"), "{said}");
    let _ = app.cli(&["stack:set", "debian-12"]).success();
    let _ = app.push(&Repository::of_example("python-stdlib")).everything();
    wait_until("the app", Duration::from_secs(20), || app.get("/").status == 200);
    if !Path::new("/usr/bin/skopeo").exists() {
        return skip("skopeo is not installed");
    }
    let image = format!("docker://{}/{}/web:latest", server.api(), app.name);
    let login = format!("_:{}", server.token());
    let inspect = ["inspect", "--tls-verify=false", "--creds", &login, &image];
    let told: serde_json::Value = serde_json::from_str(&skopeo(&inspect).success()).unwrap();
    assert!(told["RepoTags"].as_array().unwrap().contains(&"latest".into()), "{told}");
    assert!(told["Layers"].as_array().unwrap().len() > 1, "{told}");
    let stranger = ["inspect", "--tls-verify=false", "--creds", "_:wrong", &image];
    assert!(skopeo(&stranger).failure().contains("Invalid credentials"));
}
