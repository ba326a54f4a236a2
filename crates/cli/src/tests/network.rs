use super::*;
use crate::test_support::{Machine, Server};

fn link(app: &str, other: &str) -> Value {
    json!({
        "id": U, "app": reference(app), "linked_app": reference(other), "created_at": T,
        "updated_at": T,
    })
}

#[test]
fn names_and_links_are_shown() {
    let server = Server::start();
    let dynos = json!([
        dyno("web.10", "up", None),
        dyno("web.2", "up", None),
        dyno("worker.1", "up", None),
        dyno("worker.2", "crashed", None),
        dyno("run.4711", "up", None),
    ]);
    server.on("GET /apps/bibly/network-links", 200, json!([link("bibly", "shop")])).on(
        "GET /apps/bibly/dynos",
        200,
        dynos,
    );
    assert_eq!(
        Machine::using(&server).run("network").stdout,
        "=== bibly Private network\n\n\
         Name                   Instances\n\
         web.bibly.internal     web.2, web.10\n\
         worker.bibly.internal  worker.1\n\
         \n\
         Linked with shop\n"
    );
}

#[test]
fn an_app_without_instances_or_links_says_so() {
    let server = Server::start();
    server.on("GET /apps/bibly/network-links", 200, json!([])).on(
        "GET /apps/bibly/dynos",
        200,
        json!([]),
    );
    let ended = Machine::using(&server).run("network");
    assert!(ended.stdout.contains("Linked with no other app"), "{}", ended.stdout);
    assert_eq!(ended.stderr, "No instance of bibly is up, so it has no names now.\n");
}

#[test]
fn apps_are_linked_and_unlinked() {
    let server = Server::start();
    server.on("POST /apps/bibly/network-links", 201, link("bibly", "shop")).on(
        "DELETE /apps/bibly/network-links/shop",
        200,
        "{}",
    );
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("network:link shop").stderr,
        "Linking ⬢ bibly with shop... done\nInstances of bibly find shop at web.shop.internal, \
         and the other way round at web.bibly.internal.\n"
    );
    let body = server.body("POST /apps/bibly/network-links");
    assert_eq!(body, json!({"linked_app": "shop"}));
    let unlinked = machine.run("network:unlink shop").stderr;
    assert_eq!(unlinked, "Unlinking ⬢ bibly from shop... done\n");
}
