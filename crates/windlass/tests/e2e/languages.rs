//! The examples of every language. Some need the network.

use crate::support::shared_server;
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::skip;

/// What tools say when there is no network.
const NO_NETWORK: &[&str] = &[
    "Could not resolve",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "timed out",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ETIMEDOUT",
    "Connection refused",
];

/// Pushes an example; `None` if its dependencies cannot be fetched here.
fn push(hint: &str, example: &str) -> Option<(TestApp, Repository)> {
    let server = crate::support::start_shared()?;
    let (app, repository) = (TestApp::create(&server, hint), Repository::of_example(example));
    let pushed = app.push(&repository);
    let said = pushed.everything();
    if !pushed.status.success() && NO_NETWORK.iter().any(|sign| said.contains(sign)) {
        skip("the package registry cannot be reached");
        return None;
    }
    let _ = pushed.success();
    Some((app, repository))
}

#[test]
fn a_static_site_needs_no_code() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "static", &Repository::of_example("static-site"));
    let index = app.get("/");
    assert_eq!(index.status, 200);
    assert!(index.header("content-type").unwrap().starts_with("text/html"), "{index:?}");
    assert_eq!(app.get("/style.css").header("content-type").unwrap(), "text/css; charset=utf-8");
    assert_eq!(app.get("/no-such-page").status, 404);
    assert_ne!(app.get("/../Procfile").status, 200);
}

#[test]
fn express_is_installed_once_and_served() {
    let Some((app, repository)) = push("express", "express") else { return };
    assert_eq!(app.get("/healthz").status, 200);
    repository.change("VERSION", "changed\n");
    let again = app.push(&repository).everything();
    assert!(!again.contains("added "), "unchanged dependencies are not installed again: {again}");
    assert_eq!(app.get("/").status, 200);
    assert!(app.get("/").text().contains("changed"));
}

#[test]
fn bibly_is_installed_once_and_served() {
    let Some((app, repository)) = push("bibly", "bibly") else { return };
    let page = app.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().to_lowercase().contains("bibly"), "{}", page.text());
    repository.change("VERSION", "2.0-test\n");
    let again = app.push(&repository).everything();
    assert!(
        !again.contains("Collecting "),
        "unchanged dependencies are not installed again: {again}"
    );
    assert!(app.get("/").text().contains("2.0-test"));
}
