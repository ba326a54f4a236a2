//! Dockerfiles are looked at by the real hadolint, where it is installed.

use crate::images::server_with_base;
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::skip;

const DOCKERFILE: &str = "FROM localhost/base
RUN cd /tmp && echo looked at > index.html
EXPOSE 8000
CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8000\", \"-h\", \"/tmp\"]
";

#[test]
fn a_dockerfile_is_linted_before_it_is_built() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("hadolint").is_file()) {
        skip("hadolint is not installed");
        return;
    }
    let Some(server) = server_with_base() else { return };
    let app = TestApp::create(&server, "linted");
    let repository = Repository::of_files(&[("Dockerfile", DOCKERFILE)]);
    let said = app.push(&repository).everything();
    let finding = " !     Dockerfile:2 DL3003 Use WORKDIR to switch to a directory";
    let (before, after) = said.split_once(finding).unwrap_or_else(|| panic!("no finding: {said}"));
    assert!(before.contains("-----> Linting the Dockerfile with hadolint..."), "{said}");
    assert!(after.contains("-----> Building with the Dockerfile..."), "before the build: {said}");
    assert_eq!(app.get("/").text(), "looked at\n", "a warning holds nothing up");

    let _ = app.cli(&["config:set", "WINDLASS_DOCKERFILE_LINT=error"]).success();
    let version = app.version();
    repository.write("again", "1");
    repository.commit("again");
    let said = repository.push(&app.url(), "HEAD:refs/heads/main").failure();
    assert!(said.contains("DL3003") && said.contains("WINDLASS_DOCKERFILE_LINT=error"), "{said}");
    assert!(!said.contains("Building with the Dockerfile"), "{said}");
    assert_eq!(app.version(), version, "the old release stays");

    // The app's own settings decide what counts.
    repository.write(".hadolint.yaml", "ignored: [DL3003, DL3006]\n");
    repository.commit("settings");
    let said = app.push(&repository).everything();
    assert!(said.contains("Nothing to complain about."), "{said}");
    assert_eq!(app.get("/").text(), "looked at\n");
}
