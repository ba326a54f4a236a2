//! People: a newcomer, what they are given, and what is kept of it, with the real client.

use crate::support::{own_server, python};
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::server::TestServer;
use windlass_testkit::{command, wait_until};

/// Runs the client as somebody else than the owner.
fn as_user(server: &TestServer, token: &str, arguments: &[&str]) -> command::Finished {
    command::run(server.client(arguments).env("WINDLASS_TOKEN", token), b"")
}

/// Invites somebody, accepts for them in a home of their own, and returns a token of theirs.
fn let_in(server: &TestServer, email: &str) -> String {
    let link = server.cli(&["users:invite", email]).success();
    let home = tempfile::tempdir().unwrap();
    let accept = |arguments: &[&str]| {
        command::run(server.bare_client(arguments).env("HOME", home.path()), b"")
    };
    let _ = accept(&["invitations:accept", link.trim()]).success();
    assert!(accept(&["whoami"]).success().contains(email));
    accept(&["authorizations:create", "-S", "-d", "laptop"]).success().trim().to_owned()
}

#[test]
fn somebody_comes_in_shares_an_app_and_leaves() {
    let server = own_server!(&[]);
    let app = TestApp::create(&server, "shared");
    let ben = let_in(&server, "ben@example.com");
    let hidden = as_user(&server, &ben, &["info", "-a", &app.name]).failure();
    assert!(hidden.contains("Couldn't find that app."), "{hidden}");

    let add = ["access:add", "ben@example.com", "--permissions", "deploy"];
    let _ = app.cli(&add).success();
    let url = app.url().replace(server.token(), &ben);
    assert_ne!(url, app.url());
    let _ = python().push(&url, "HEAD:refs/heads/main").success();
    let refused = as_user(&server, &ben, &["ps:scale", "web=2", "-a", &app.name]).failure();
    assert!(refused.contains("`operate`"), "{refused}");
    let read =
        as_user(&server, &ben, &["authorizations:create", "-S", "--scope", "read"]).success();
    let looks = as_user(&server, read.trim(), &["releases", "-a", &app.name]).success();
    assert!(looks.contains("Deploy"), "{looks}");
    let _ = as_user(&server, read.trim(), &["config", "-a", &app.name]).failure();

    wait_until("the push is in the trail", Duration::from_secs(20), || {
        let trail = app.cli(&["activity"]).success();
        trail.contains("git push") && trail.contains("ben@example.com")
    });
    let _ =
        server.cli(&["users:remove", "ben@example.com", "--confirm", "ben@example.com"]).success();
    assert_eq!(as_user(&server, &ben, &["apps"]).code(), 3);
    let releases = app.cli(&["releases"]).success();
    assert!(releases.contains("ben@example.com"), "releases go on naming them: {releases}");
}
