//! Images from a real registry. Everything in it is made here: no other registry is needed.

use crate::support::shared_server;
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::{self, Finished};
use windlass_testkit::git::Repository;
use windlass_testkit::registry::{PASSWORD, Registry, USERNAME};
use windlass_testkit::server::TestServer;
use windlass_testkit::{skip, wait_until};

/// Makes images and pushes them, with a storage of its own.
pub struct Maker {
    pub folder: tempfile::TempDir,
}

impl Maker {
    /// `None` (and says why) where images cannot be made.
    pub fn new() -> Option<Self> {
        for program in ["/usr/bin/busybox", "/usr/bin/buildah"] {
            if !Path::new(program).exists() {
                skip(&format!("{program} is not installed"));
                return None;
            }
        }
        Some(Self { folder: tempfile::tempdir().unwrap() })
    }

    /// buildah leaves mounts behind: they are in a mount namespace of its own.
    pub fn buildah(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("unshare");
        command.args(["--mount", "buildah", "--root"]).arg(self.folder.path().join("storage"));
        command.arg("--runroot").arg(self.folder.path().join("run"));
        command.args(["--storage-driver", "overlay"]).args(arguments);
        command::run(&mut command, b"").success().trim().to_owned()
    }

    /// Makes an image that serves a page; `architecture` only says what it is for.
    pub fn image(&self, name: &str, page: &str, architecture: Option<&str>) {
        let root = self.folder.path().join("root");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::create_dir_all(root.join("srv")).unwrap();
        std::fs::create_dir_all(root.join("tmp")).unwrap();
        std::fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
        std::fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
        let _ = std::os::unix::fs::symlink("busybox", root.join("bin/sh"));
        std::fs::write(root.join("srv/index.html"), page).unwrap();
        let container = self.buildah(&["from", "scratch"]);
        self.buildah(&["copy", &container, root.to_str().unwrap(), "/"]);
        let serve = r#"["/bin/busybox","httpd","-f","-p","8000","-h","/srv"]"#;
        self.buildah(&["config", "--port", "8000", "--entrypoint", serve, &container]);
        if let Some(architecture) = architecture {
            self.buildah(&["config", "--arch", architecture, &container]);
        }
        self.buildah(&["commit", "--quiet", &container, &format!("localhost/{name}")]);
        self.buildah(&["rm", &container]);
    }

    /// Pushes an image or an index; returns its digest.
    fn push(&self, registry: &Registry, name: &str, reference: &str) -> String {
        let (digest, target) = (
            self.folder.path().join("digest"),
            format!("docker://{}/{reference}", registry.address),
        );
        let login = format!("{USERNAME}:{PASSWORD}");
        let source = format!("localhost/{name}");
        let to =
            ["--tls-verify=false", "--creds", &login, "--digestfile", digest.to_str().unwrap()];
        let is_index = name.starts_with("index");
        let push: &[&str] = if is_index { &["manifest", "push", "--all"] } else { &["push"] };
        self.buildah(&[push, &["--quiet"], &to, &[&source, &target]].concat());
        std::fs::read_to_string(digest).unwrap().trim().to_owned()
    }

    /// Makes an index of images.
    pub fn index(&self, name: &str, images: &[&str]) {
        let name = format!("localhost/{name}");
        self.buildah(&["manifest", "create", &name]);
        for image in images {
            self.buildah(&["manifest", "add", &name, &format!("localhost/{image}")]);
        }
    }
}

fn login(server: &Arc<TestServer>, host: &str, password: &str) -> Finished {
    let arguments =
        ["registry:login", host, "--username", USERNAME, "--password-stdin", "--insecure"];
    command::run(&mut server.client(&arguments), password.as_bytes())
}

fn deploy(app: &TestApp, reference: &str) -> Finished {
    app.cli(&["image:deploy", reference])
}

/// Deploys what must not be deployed; the reason must be in exactly one line.
#[track_caller]
fn refused(app: &TestApp, reference: &str, says: &str) {
    let version = app.version();
    let said = deploy(app, reference).failure();
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with(" !  ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(says), "{says:?} in one line: {said}");
    assert_eq!(app.version(), version, "no release was made");
}

/// A registry, somebody who makes images, and an app.
macro_rules! set_up {
    ($private:expr, $name:expr) => {{
        let server = shared_server!();
        let (Some(registry), Some(maker)) = (Registry::start($private), Maker::new()) else {
            return;
        };
        let app = TestApp::create(&server, $name);
        (server, registry, maker, app)
    }};
}

#[test]
fn an_image_is_deployed_by_tag_and_by_digest() {
    let (server, registry, maker, app) = set_up!(false, "tagged");
    let host = &registry.address;
    maker.image("one", "first", None);
    let first = maker.push(&registry, "one", "shop/web:1");
    let reference = format!("{host}/shop/web:1");
    refused(&app, &reference, &format!("`windlass registry:login {host} --insecure`"));
    let _ = server.cli(&["registry:login", host, "--insecure"]).success();

    let said = deploy(&app, &reference).success();
    assert!(said.contains(&format!("-----> Pulling {reference}...")), "{said}");
    assert!(said.contains("Copying blob") && said.contains(&first), "{said}");
    assert_eq!(app.get("/").text(), "first");
    let release = &app.json(&["releases"])[0];
    assert_eq!(release["description"], format!("Deploy image {reference}@{first}"));
    let build = &app.json(&["builds"])[0];
    assert_eq!(build["status"], "succeeded");
    assert!(app.cli(&["builds:output"]).success().contains("Pulling"), "it is kept");

    // The tag moves, and the digest stays.
    maker.image("two", "second", None);
    let _ = maker.push(&registry, "two", "shop/web:1");
    let _ = deploy(&app, &reference).success();
    assert_eq!(app.get("/").text(), "second");
    let by_digest = format!("{host}/shop/web@{first}");
    let _ = deploy(&app, &by_digest).success();
    assert_eq!(app.get("/").text(), "first");
    assert_eq!(app.json(&["releases"])[0]["description"], format!("Deploy image {by_digest}"));

    refused(&app, &format!("{host}/shop/web:9"), "There is no image");
    refused(&app, &format!("{host}/shop/none:1"), "There is no image");
    let nobody = "127.0.0.1:9";
    refused(&app, &format!("{nobody}/a:1"), "127.0.0.1:9 could not be reached");
    let said = deploy(&app, "Not An Image").failure();
    assert!(said.contains("is no image reference"), "{said}");
    assert_eq!(app.get("/").text(), "first", "the old release serves");
    let _ = server.cli(&["registry:logout", host]).success();
}

#[test]
fn a_private_image_needs_a_login() {
    let (server, registry, maker, app) = set_up!(true, "private");
    let host = &registry.address;
    maker.image("private", "for members", None);
    let _ = maker.push(&registry, "private", "web:1");
    let reference = format!("{host}/web:1");
    let _ = server.cli(&["registry:login", host, "--insecure"]).success();
    refused(&app, &reference, &format!("run `windlass registry:login {host}` first"));

    let said = login(&server, host, "falsch").failure();
    assert!(said.contains(&format!("{host} refuses this user name and password.")), "{said}");
    assert!(!said.contains("falsch"), "{said}");
    let nobody = login(&server, "127.0.0.1:9", PASSWORD).failure();
    assert!(nobody.contains("127.0.0.1:9 could not be reached"), "{nobody}");
    let said = login(&server, host, &format!("{PASSWORD}\n")).everything();
    assert!(said.contains("done") && !said.contains(PASSWORD), "{said}");
    let listed = server.cli(&["registries", "--json"]).success();
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let ours = listed.iter().find(|entry| entry["host"] == **host).unwrap();
    assert_eq!((&ours["username"], &ours["insecure"]), (&USERNAME.into(), &true.into()));
    assert!(ours.get("password").is_none());

    let said = deploy(&app, &reference).success();
    assert!(!said.contains(PASSWORD), "{said}");
    assert_eq!(app.get("/").text(), "for members");

    // A Dockerfile's base image is private too.
    let dockerfile = format!("FROM {host}/web:1\nRUN echo from a base > /srv/index.html\n");
    let repository = Repository::of_files(&[("Dockerfile", &dockerfile)]);
    let said = app.push(&repository).everything();
    assert_eq!(app.get("/").text(), "from a base\n", "{said}");

    let _ = server.cli(&["registry:logout", host]).success();
    let said = server.cli(&["registry:logout", host]).failure();
    assert!(said.contains("find that registry"), "{said}");
    refused(&app, &reference, "does not prove who it is");
    assert!(!server.log().contains(PASSWORD), "the password is in the server's log");
    // Pulls of other tests that began before the logout have it until they end.
    let folders = server.run_directory().join("registry");
    wait_until("the last file with the login to be gone", Duration::from_secs(60), || {
        let left = std::fs::read_dir(&folders).into_iter().flatten().flatten();
        let read =
            |folder: std::fs::DirEntry| std::fs::read_to_string(folder.path().join("auth.json"));
        !left.filter_map(|folder| read(folder).ok()).any(|logins| logins.contains(host.as_str()))
    });
}

#[test]
fn an_index_is_resolved_to_this_processor_and_others_are_refused() {
    let (server, registry, maker, app) = set_up!(false, "multiarch");
    let host = &registry.address;
    let _ = server.cli(&["registry:login", host, "--insecure"]).success();
    maker.image("ours", "for this processor", None);
    maker.image("other", "for another", Some("s390x"));
    maker.index("index", &["other", "ours"]);
    maker.index("index-foreign", &["other"]);
    for (name, reference) in
        [("index", "multi:1"), ("index-foreign", "foreign:1"), ("other", "other:1")]
    {
        let _ = maker.push(&registry, name, reference);
    }
    let _ = deploy(&app, &format!("{host}/multi:1")).success();
    assert_eq!(app.get("/").text(), "for this processor");
    refused(&app, &format!("{host}/foreign:1"), "not made for this server's processor");
    refused(&app, &format!("{host}/other:1"), "The image is for linux/s390x");
    assert_eq!(app.get("/").text(), "for this processor");
    let _ = server.cli(&["registry:logout", host]).success();
}

#[test]
fn a_pull_can_be_canceled() {
    let server = shared_server!();
    if Maker::new().is_none() {
        return;
    }
    let app = TestApp::create(&server, "pullstop");
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/web:1", silent.local_addr().unwrap());
    let pulls = || {
        let found = Command::new("pgrep").args(["-f", &format!("pull .*{reference}$")]).output();
        !found.unwrap().stdout.is_empty()
    };
    let deploying = app.start_cli(&["image:deploy", &reference]);
    wait_until("the pull to begin", Duration::from_secs(30), pulls);
    let _ = app.cli(&["builds:cancel"]).success();
    let said = deploying.wait().failure();
    assert!(said.contains("The build was canceled by"), "{said}");
    wait_until("its end", Duration::from_secs(20), || !pulls());
    assert_eq!(app.json(&["builds"])[0]["status"], "failed");
}
