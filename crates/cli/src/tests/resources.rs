use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};
use std::fs;

#[test]
fn domains_are_listed_added_and_removed() {
    let server = Server::start();
    let custom = domain("www.x.org", "custom", Some("bibly.host"));
    server
        .on(
            "GET /apps/bibly/domains",
            200,
            json!([domain("bibly.localhost", "heroku", None), custom]),
        )
        .on("POST /apps/bibly/domains", 201, custom)
        .on("DELETE /apps/bibly/domains/www.x.org", 200, "{}");
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("domains").stdout,
        "=== bibly Domains\n\n\
         Domain           Kind     DNS target  Status\n\
         bibly.localhost  default\n\
         www.x.org        custom   bibly.host\n"
    );
    assert_eq!(
        machine.run("domains:add www.x.org").stderr,
        "Adding www.x.org to ⬢ bibly... done\nPoint the domain's DNS record at bibly.host\n"
    );
    let body = server.body("POST /apps/bibly/domains");
    assert_eq!(body, json!({"hostname": "www.x.org", "sni_endpoint": null}));
    let removed = machine.run("domains:remove www.x.org").stderr;
    assert_eq!(removed, "Removing www.x.org from ⬢ bibly... done\n");
}

fn key(comment: &str, fingerprint: &str) -> Value {
    json!({
        "id": format!("id-of-{comment}"), "public_key": format!("ssh-ed25519 AAAA {comment}"),
        "comment": comment, "email": "owner@example.com", "fingerprint": fingerprint,
        "created_at": T, "updated_at": T,
    })
}

#[test]
fn keys_are_listed_added_and_removed() {
    let server = Server::start();
    server
        .on("GET /account/keys", 200, json!([key("me@home", "17:63"), key("me@work", "20:1f")]))
        .on("POST /account/keys", 201, key("me@home", "17:63"))
        .on("DELETE /account/keys/id-of-me@work", 200, "{}")
        .on("DELETE /account/keys/id-of-me%40work", 200, "{}");
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("keys").stdout,
        "Comment  Type         Fingerprint\n\
         me@home  ssh-ed25519  17:63\n\
         me@work  ssh-ed25519  20:1f\n"
    );
    assert_eq!(machine.run("keys:add").error().kind, ErrorKind::Usage);
    fs::create_dir(machine.path(".ssh")).unwrap();
    fs::write(machine.path(".ssh/id_ed25519.pub"), "ssh-ed25519 AAAA me@home\n").unwrap();
    let ended = machine.run("keys:add");
    assert!(ended.stderr.ends_with("/.ssh/id_ed25519.pub... done, 17:63\n"), "{}", ended.stderr);
    let body = server.body("POST /account/keys");
    assert_eq!(body, json!({"public_key": "ssh-ed25519 AAAA me@home"}));
    machine.run("keys:remove me@work").result.unwrap();
    assert_eq!(machine.run("keys:remove nobody").error().kind, ErrorKind::NotFound);
}

#[test]
fn a_private_key_never_leaves_the_machine() {
    let machine = Machine::bare();
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nxyz\n-----END OPENSSH PRIVATE KEY-----\n";
    fs::write(machine.path("id_ed25519"), private).unwrap();
    let error = machine.run("keys:add id_ed25519").error();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.message.ends_with("is a private key."), "{error}");
}

#[test]
fn builds_are_listed() {
    let server = Server::start();
    let build = json!({
        "id": "b1", "app": {"id": U}, "status": "failed", "buildpacks": null,
        "source_blob": {
            "url": "", "checksum": null, "version": "1a2b3c4d5e6f", "version_description": null,
        },
        "output_stream_url": "", "release": null, "slug": null, "stack": "debian-12",
        "generation": "cedar", "user": {"id": U, "email": "owner@example.com"},
        "created_at": T, "updated_at": T,
    });
    server.on("GET /apps/bibly/builds", 200, json!([build]));
    assert_eq!(
        Machine::using(&server).run("builds").stdout,
        "=== bibly Builds\n\n\
         Build  Status  Version   Stack      By                 Created\n\
         b1     failed  1a2b3c4d  debian-12  owner@example.com  \
         2026/01/02 03:04:05 +0000 (~ 1m ago)\n"
    );
    let range = &server.requests()[0].headers["range"];
    assert_eq!(range, "created_at ..; order=desc,max=15");
}

fn build(id: &str, status: &str) -> Value {
    json!({
        "id": id, "app": {"id": U}, "status": status, "buildpacks": null,
        "source_blob": {
            "url": "", "checksum": null, "version": null, "version_description": null,
        },
        "output_stream_url": "", "release": null, "slug": null, "stack": "debian-12",
        "generation": "cedar", "user": {"id": U, "email": "owner@example.com"},
        "created_at": T, "updated_at": T,
    })
}

#[test]
fn the_newest_build_under_way_is_canceled_unless_one_is_named() {
    let server = Server::start();
    server
        .on(
            "GET /apps/bibly/builds",
            200,
            json!([build("b3", "failed"), build("b2", "pending"), build("b1", "pending")]),
        )
        .on("DELETE /apps/bibly/builds/b2", 200, "{}")
        .on("DELETE /apps/bibly/builds/b1", 200, "{}")
        .on("DELETE /apps/bibly/build-cache", 200, "{}");
    let machine = Machine::using(&server);
    let said = machine.run("builds:cancel").stderr;
    assert_eq!(said, "Canceling build b2 of ⬢ bibly... done\n");
    machine.run("builds:cancel b1").result.unwrap();
    assert_eq!(machine.run("builds:cancel b9").error().kind, ErrorKind::NotFound);
    let said = machine.run("builds:cache:purge").stderr;
    assert_eq!(said, "Purging the build cache of ⬢ bibly... done\n");
}

#[test]
fn maintenance_is_shown_and_switched() {
    let server = Server::start();
    server.on("GET /apps/bibly", 200, app("bibly", "http://git")).on(
        "PATCH /apps/bibly",
        200,
        app("bibly", "http://git"),
    );
    let machine = Machine::using(&server);
    assert_eq!(machine.run("maintenance").stdout, "off\n");
    let said = machine.run("maintenance:on").stderr;
    assert_eq!(said, "Enabling maintenance mode for ⬢ bibly... done\n");
    assert_eq!(server.body("PATCH /apps/bibly"), json!({"maintenance": true}));
}

#[test]
fn authorizations_are_listed_made_and_revoked() {
    let server = Server::start();
    let entry = |token: Value| {
        json!({
            "id": "a1", "access_token": token, "client": null, "grant": null,
            "refresh_token": null, "session": null, "scope": ["global"], "description": "CI",
            "user": {"id": U, "email": "owner@example.com", "full_name": null},
            "created_at": T, "updated_at": T,
        })
    };
    let token = json!({"id": U, "token": "wl-123", "expires_in": null});
    server
        .on("GET /oauth/authorizations", 200, json!([entry(Value::Null)]))
        .on("POST /oauth/authorizations", 201, entry(token))
        .on("DELETE /oauth/authorizations/a1", 200, "{}");
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("authorizations").stdout,
        "Description  Id  Scope   Created                               Last used  Expires\n\
         CI           a1  global  2026/01/02 03:04:05 +0000 (~ 1m ago)  never      never\n"
    );
    let ended = machine.run("authorizations:create -d CI");
    assert_eq!(
        ended.stdout,
        "Description: CI\nId:          a1\nScope:       global\nToken:       wl-123\n"
    );
    let revoked = machine.run("authorizations:revoke a1").stderr;
    assert_eq!(revoked, "Revoking a1... done\n");
}
