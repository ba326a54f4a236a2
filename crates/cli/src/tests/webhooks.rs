use super::*;
use crate::test_support::{Machine, Server};

const LIST: &str = "GET /apps/bibly/webhooks";

fn webhook() -> Value {
    json!({
        "id": U, "app": reference("bibly"), "include": ["api:release", "dyno"], "level": "notify",
        "url": "https://example.com/in", "created_at": T, "updated_at": T,
    })
}

fn delivery(status: &str, attempt: Value) -> Value {
    json!({
        "id": "d-1", "event": {"id": "e-1", "include": "api:release"},
        "webhook": {"id": U, "level": "notify"}, "status": status, "num_attempts": 1,
        "next_attempt_at": null, "last_attempt": attempt, "created_at": T, "updated_at": T,
    })
}

fn attempt(code: Value, error: Value) -> Value {
    json!({"id": "a", "code": code, "error_class": error, "status": "failed", "created_at": T, "updated_at": T})
}

#[test]
fn webhooks_are_listed_and_shown() {
    let server = Server::start();
    server.on(LIST, 200, json!([webhook()])).on(LIST, 200, json!([])).on(
        &format!("{LIST}/{U}"),
        200,
        webhook(),
    );
    let machine = Machine::using(&server);
    let listed = machine.run("webhooks").stdout;
    assert!(listed.contains("https://example.com/in  api:release,dyno  notify"), "{listed}");
    let shown = machine.run(&format!("webhooks:info {U}")).stdout;
    assert!(shown.contains("Include: api:release,dyno"), "{shown}");
    assert!(machine.run("webhooks").stderr.contains("bibly has no webhooks. Add one with"));
}

#[test]
fn a_secret_that_the_server_made_is_printed_once() {
    let server = Server::start();
    let path = "POST /apps/bibly/webhooks";
    server.on_with(path, 201, "Heroku-Webhook-Secret: hush\r\n", webhook());
    let machine = Machine::using(&server);
    let ended = machine.run("webhooks:add -i api:release,dyno -u https://example.com/in");
    assert_eq!(ended.stdout, "hush\n");
    assert!(ended.stderr.contains("Adding a webhook to ⬢ bibly... done"), "{}", ended.stderr);
    let sent = json!({"include": ["api:release", "dyno"], "level": "notify", "url": "https://example.com/in"});
    assert_eq!(server.body(path), sent);
    let given = machine.run("webhooks:add -i dyno -l sync -u https://example.com/ -s mine");
    assert_eq!(given.stdout, "", "whoever gave it has it");
}

#[test]
fn webhooks_are_changed_and_removed() {
    let server = Server::start();
    let path = format!("PATCH /apps/bibly/webhooks/{U}");
    server.on_with(&path, 200, "Heroku-Webhook-Secret: other\r\n", webhook()).on(
        &format!("DELETE /apps/bibly/webhooks/{U}"),
        200,
        webhook(),
    );
    let machine = Machine::using(&server);
    let ended = machine.run(&format!("webhooks:update {U} --level sync --secret"));
    assert_eq!(ended.stdout, "other\n");
    assert_eq!(server.body(&path), json!({"level": "sync", "secret": null}));
    let nothing = machine.run(&format!("webhooks:update {U}")).error();
    assert!(nothing.message.contains("Nothing to change"), "{}", nothing.message);
    let removed = machine.run(&format!("webhooks:remove {U}")).stderr;
    assert_eq!(removed, "Removing a webhook from ⬢ bibly... done\n");
}

#[test]
fn deliveries_and_events_are_listed() {
    let server = Server::start();
    let timed_out = delivery("retrying", attempt(Value::Null, json!("timeout")));
    let refused = delivery("failed", attempt(json!(500), Value::Null));
    server
        .on(
            "GET /apps/bibly/webhook-deliveries?eq%5Bstatus%5D=failed",
            200,
            json!([refused.clone()]),
        )
        .on("GET /apps/bibly/webhook-deliveries", 200, json!([timed_out, refused]))
        .on("GET /apps/bibly/webhook-deliveries/d-1", 200, refused);
    let machine = Machine::using(&server);
    let listed = machine.run("webhooks:deliveries").stdout;
    assert!(listed.contains("timeout") && listed.contains("500"), "{listed}");
    assert_eq!(server.requests()[0].headers["range"], "created_at ..; order=desc,max=25");
    let cut = machine.run("webhooks:deliveries --num 2").stderr;
    assert!(cut.starts_with("The newest 2; --num shows more"), "{cut}");
    let failed = machine.run("webhooks:deliveries --status failed").stdout;
    assert!(!failed.contains("timeout") && failed.contains("500"), "{failed}");
    let shown = machine.run("webhooks:deliveries:info d-1").stdout;
    assert!(shown.contains("Last answer:") && shown.contains("500"), "{shown}");
    let event = json!({
        "id": "e-1", "include": "api:release", "created_at": T, "updated_at": T,
        "payload": {"action": "create", "actor": {"email": "a@example.com", "id": U}, "data": {},
                    "previous_data": {}, "resource": "release", "version": "3"},
    });
    server.on("GET /apps/bibly/webhook-events", 200, json!([event]));
    let events = machine.run("webhooks:events").stdout;
    assert!(events.contains("api:release  create"), "{events}");
}

#[test]
fn drains_are_listed_added_and_removed() {
    let server = Server::start();
    let drain = json!({
        "id": U, "token": "d.1", "url": "https://a/b?c", "addon": null, "app": reference("bibly"),
        "created_at": T, "updated_at": T,
    });
    server
        .on("GET /apps/bibly/log-drains", 200, json!([drain.clone()]))
        .on("POST /apps/bibly/log-drains", 201, drain.clone())
        .on("DELETE /apps/bibly/log-drains/https%3A%2F%2Fa%2Fb%3Fc", 200, drain);
    let machine = Machine::using(&server);
    assert_eq!(machine.run("drains").stdout, "URL            Token\nhttps://a/b?c  d.1\n");
    let added = machine.run("drains:add https://a/b?c").stderr;
    assert_eq!(added, "Adding a log drain to ⬢ bibly... done, d.1\n");
    assert_eq!(server.body("POST /apps/bibly/log-drains"), json!({"url": "https://a/b?c"}));
    let removed = machine.run("drains:remove https://a/b?c").stderr;
    assert_eq!(removed, "Removing a log drain from ⬢ bibly... done\n");
}

#[test]
fn features_are_shown_and_switched_and_there_are_no_addons() {
    let server = Server::start();
    let preboot = |enabled: bool| {
        json!({
            "id": U, "name": "preboot", "display_name": "Preboot", "description": "Starts first.",
            "doc_url": "", "feedback_email": "", "enabled": enabled, "state": "general",
            "created_at": T, "updated_at": T,
        })
    };
    server
        .on("GET /apps/bibly/features", 200, json!([preboot(true)]))
        .on("GET /apps/bibly/features/preboot", 200, preboot(true))
        .on("PATCH /apps/bibly/features/preboot", 200, preboot(false))
        .on("GET /apps/bibly/addons", 200, json!([]));
    let machine = Machine::using(&server);
    let listed = machine.run("features").stdout;
    assert!(listed.contains("preboot  yes  Starts first."), "{listed}");
    assert!(machine.run("labs:info preboot").stdout.contains("It is on."));
    let off = machine.run("features:disable preboot").stderr;
    assert_eq!(off, "Disabling preboot of ⬢ bibly... done\n");
    assert_eq!(server.body("PATCH /apps/bibly/features/preboot"), json!({"enabled": false}));
    assert!(machine.run("addons").stderr.contains("bibly has no add-ons"));
}
