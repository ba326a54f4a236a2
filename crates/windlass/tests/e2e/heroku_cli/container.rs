//! Images that are built elsewhere, pushed to the registry and released.

use crate::support::own_server;
use std::path::Path;
use windlass_testkit::git::Repository;
use windlass_testkit::heroku::{Session, Step};
use windlass_testkit::skip;

pub(super) const SCRIPTS: &[&[Step]] = &[REFUSED, PUSH, REMOVE];

const REFUSED: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("container:push web --app {app}", 1, &["Error: This command is for Docker apps only. *"]),
    ("stack:set container --app {app}", 0, &["Setting stack to container... done"]),
    ("stack --app {app}", 0, &["* container", "debian-12"]),
];

/// In a folder with a Dockerfile, and with something that stands for docker.
const PUSH: &[Step] = &[
    ("container:login", 0, &["Login Succeeded*"]),
    ("container:release web --app {app}", 1, &["Error: HTTP Error 404 *"]),
    (
        "container:push web --app {app}",
        0,
        &["=== Building web (*Dockerfile)", "Your image has been successfully pushed. *"],
    ),
    ("container:release web --app {app}", 0, &["Releasing images web to {app}... done"]),
    ("releases --app {app}", 0, &["v2 Deployed web (*) owner@localhost *"]),
    ("@up web.1", 0, &[]),
];

const REMOVE: &[Step] = &[
    ("ps --app {app}", 0, &["web.1: up *"]),
    ("container:rm web --app {app}", 0, &["Removing container web for {app}... done"]),
    ("ps --app {app}", 0, &["!web.1: *"]),
    ("apps:destroy --app {app} --confirm {app}", 0, &["Destroying {app} *... done"]),
];

const DOCKERFILE: &str = "FROM scratch\nCOPY . /\nENV PATH=/bin\nCMD [\"sh\", \"/web\"]\n";
/// Busybox' own web server, in the foreground.
const WEB: &str = "exec busybox httpd -f -p $PORT -h /www\n";

#[test]
fn images_are_pushed_and_released() {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|b| Path::new(b).exists());
    let (Some(busybox), true) = (busybox, Path::new("/usr/bin/buildah").exists()) else {
        return skip("busybox or buildah is not installed");
    };
    let server = own_server!();
    let files = [("Dockerfile", DOCKERFILE), ("web", WEB), ("www/index.html", "an image\n")];
    let repository = Repository::of_files(&files);
    std::fs::create_dir(repository.path().join("bin")).unwrap();
    for name in ["busybox", "sh"] {
        std::fs::copy(busybox, repository.path().join("bin").join(name)).unwrap();
    }
    let Some(mut session) = Session::begin(&server, "image", repository) else { return };
    session.run(REFUSED);
    session.by_names(include_str!("docker.sh"));
    session.run(PUSH);
    assert_eq!(session.app().get("/").text(), "an image\n");
    session.run(REMOVE);
    session.end();
}
