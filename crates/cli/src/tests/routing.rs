use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};
use std::fs;

fn routing(https: &str, source: &str) -> Value {
    json!({
        "settings": [
            {"name": "https", "value": https, "source": source},
            {"name": "allow", "value": null, "source": "built-in"},
            {"name": "response-header:server", "value": "", "source": "app"},
        ],
        "redirects": [{"domain": "x.org", "to": "www.x.org", "status": 301}],
        "pages": [{"kind": "error", "bytes": 42}],
    })
}

#[test]
fn routing_is_shown_and_changed() {
    let server = Server::start();
    server.on("GET /apps/bibly/routing", 200, routing("allow", "built-in")).on(
        "PATCH /apps/bibly/routing",
        200,
        routing("redirect", "app"),
    );
    let machine = Machine::using(&server);
    let shown = machine.run("routing");
    assert_eq!(
        shown.stdout,
        "=== bibly routing\n\n\
         Setting                 Value      Set by\n\
         https                   allow      built in\n\
         allow                   none       built in\n\
         response-header:server  (removed)  app\n\
         \n\
         Domain  Leads to   Status\n\
         x.org   www.x.org  301\n"
    );
    assert_eq!(shown.stderr, "Own error page of 42 bytes.\n");
    let set = machine.run("routing:set https=redirect response-header:Server=");
    assert_eq!(set.stderr, "Setting https, response-header:server on ⬢ bibly... done\n");
    assert!(set.stdout.contains("https                   redirect   app\n"), "{}", set.stdout);
    assert!(!set.stdout.contains("allow"), "only what was changed: {}", set.stdout);
    let body = server.body("PATCH /apps/bibly/routing");
    assert_eq!(body, json!({"settings": {"https": "redirect", "response-header:Server": ""}}));
    assert_eq!(machine.run("routing:set https").error().kind, ErrorKind::Usage);
}

#[test]
fn settings_go_back_to_their_defaults() {
    let server = Server::start();
    server.on("PATCH /apps/bibly/routing", 200, routing("allow", "built-in"));
    let machine = Machine::using(&server);
    let unset = machine.run("routing:unset https");
    assert_eq!(unset.stderr, "Setting https on ⬢ bibly... done\n");
    assert!(unset.stdout.ends_with("https    allow  built in\n"), "{}", unset.stdout);
    let body = server.body("PATCH /apps/bibly/routing");
    assert_eq!(body, json!({"settings": {"https": null}}));
}

#[test]
fn pages_are_put_and_removed() {
    let server = Server::start();
    server.on("PUT /apps/bibly/routing/pages/error", 200, routing("allow", "built-in")).on(
        "DELETE /apps/bibly/routing/pages/error",
        200,
        routing("allow", "built-in"),
    );
    let machine = Machine::using(&server);
    fs::write(machine.path("error.html"), "<h1>Sorry</h1>").unwrap();
    let file = machine.path("error.html");
    let put = machine.run(&format!("routing:page error {}", file.display()));
    assert_eq!(put.stderr, "Setting the error page of ⬢ bibly... done\n");
    let body = server.body("PUT /apps/bibly/routing/pages/error");
    assert_eq!(body, json!({"html": "<h1>Sorry</h1>"}));
    let removed = machine.run("routing:page error --remove");
    assert_eq!(removed.stderr, "Removing the error page of ⬢ bibly... done\n");
    assert_eq!(machine.run("routing:page error nowhere.html").error().kind, ErrorKind::Usage);
}

#[test]
fn domains_are_redirected_and_waited_for() {
    let server = Server::start();
    let check = |points_here| {
        json!({
            "hostname": "www.x.org", "addresses": ["203.0.113.1"], "target": "bibly.host",
            "target_addresses": ["198.51.100.1"], "points_here": points_here,
        })
    };
    server
        .on("PUT /apps/bibly/domains/x.org/redirect", 200, routing("allow", "built-in"))
        .on("DELETE /apps/bibly/domains/x.org/redirect", 200, routing("allow", "built-in"))
        .on(
            "GET /apps/bibly/domains",
            200,
            json!([domain("www.x.org", "custom", Some("bibly.host"))]),
        )
        .on("POST /apps/bibly/domains/www.x.org/actions/check", 200, check(true))
        .on("POST /apps/bibly/domains/x.org/actions/check", 200, check(false));
    let machine = Machine::using(&server);
    let redirected = machine.run("domains:redirect x.org www.x.org --status 308");
    assert_eq!(redirected.stderr, "Redirecting x.org of ⬢ bibly to www.x.org... done\n");
    let body = server.body("PUT /apps/bibly/domains/x.org/redirect");
    assert_eq!(body, json!({"to": "www.x.org", "status": 308}));
    let again = machine.run("domains:redirect x.org --off");
    assert_eq!(again.stderr, "Serving x.org on ⬢ bibly again... done\n");
    assert_eq!(machine.run("domains:wait").stderr, "Waiting for www.x.org... done\n");
    let error = machine.run("domains:wait x.org --timeout 0").error();
    assert_eq!(error.message, "www.x.org leads to 203.0.113.1; bibly.host leads to 198.51.100.1.");
    assert!(error.hint.unwrap().contains("CNAME"));
}
