use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

#[test]
fn what_has_not_changed_is_not_built() {
    let server = Server::start();
    let answer =
        json!({"url": "https://x/y", "ref": null, "commit": "0123456789ab", "build": null});
    server.on("POST /apps/bibly/git-sync", 200, answer.clone());
    let ended = Machine::using(&server).run("git:sync https://x/y v1 --if-changed -a bibly");
    assert_eq!(ended.stderr, "bibly is at 01234567 already: nothing to do.\n");
    assert_eq!(
        server.body("POST /apps/bibly/git-sync"),
        json!({"url": "https://x/y", "ref": "v1", "if_changed": true})
    );
    let server = Server::start();
    server.on("POST /apps/bibly/git-sync", 200, answer);
    Machine::using(&server).run("git:sync -a bibly").result.unwrap();
    assert_eq!(server.body("POST /apps/bibly/git-sync"), json!({"if_changed": false}));
}

#[test]
fn tokens_are_stored_and_never_shown() {
    let server = Server::start();
    let stored = json!({"host": "https://github.com", "username": "git"});
    server.on("PUT /account/git-credentials", 200, stored.clone());
    server.on("GET /account/git-credentials", 200, json!([stored]));
    server.on("DELETE /account/git-credentials/http%3A%2F%2Fx%3A1", 200, json!({}));
    let ended = Machine::using(&server).run("git:auth github.com --token hush");
    assert_eq!(
        ended.stderr,
        "Storing a token for github.com... done, used for https://github.com\n"
    );
    assert_eq!(
        server.body("PUT /account/git-credentials"),
        json!({"host": "github.com", "token": "hush"})
    );
    let listed = Machine::using(&server).run("git:auth").stdout;
    assert!(listed.contains("https://github.com") && !listed.contains("hush"), "{listed}");
    Machine::using(&server).run("git:auth http://x:1 --remove").result.unwrap();
    let error = Machine::using(&server).run("git:auth github.com").error();
    assert_eq!(error.kind, ErrorKind::Usage, "no token, no terminal");
}

#[test]
fn keys_and_webhooks_are_printed_for_other_hosts() {
    let server = Server::start();
    server.on("GET /apps/bibly/git-key", 200, json!({"public_key": "ssh-ed25519 AAAA x"}));
    assert_eq!(Machine::using(&server).run("git:key -a bibly").stdout, "ssh-ed25519 AAAA x\n");
    let webhook = json!({"url": "https://w/webhooks/git/1", "secret": "hush"});
    server.on("POST /apps/bibly/git-webhook", 200, webhook);
    server.on("DELETE /apps/bibly/git-webhook", 200, json!({}));
    let printed = Machine::using(&server).run("git:webhook --rotate -a bibly").stdout;
    assert!(printed.contains("https://w/webhooks/git/1") && printed.contains("hush"), "{printed}");
    assert_eq!(server.body("POST /apps/bibly/git-webhook"), json!({"rotate": true}));
    let disabled = Machine::using(&server).run("git:webhook --disable -a bibly");
    assert_eq!(disabled.stderr, "Disabling the webhook of ⬢ bibly... done\n");
}
