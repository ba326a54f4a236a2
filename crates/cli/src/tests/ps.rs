use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

#[test]
fn processes_are_grouped_and_sorted_by_number() {
    let server = Server::start();
    let processes = json!([
        dyno("run.4711", "up", None),
        dyno("web.10", "starting", None),
        dyno("web.2", "up", None),
    ]);
    server.on("GET /apps/bibly/dynos", 200, processes);
    assert_eq!(
        Machine::using(&server).run("ps").stdout,
        "=== web (Standard-1X): python app.py (2)\n\n\
         web.2: up 2026/01/02 03:04:05 +0000 (~ 1m ago)\n\
         web.10: starting 2026/01/02 03:04:05 +0000 (~ 1m ago)\n\n\
         === run: one-off processes (1)\n\n\
         run.4711: up 2026/01/02 03:04:05 +0000 (~ 1m ago): python app.py\n"
    );
}

#[test]
fn a_crashed_process_says_why() {
    let server = Server::start();
    let mut crashed = dyno("web.1", "crashed", None);
    crashed["reason"] = json!("out of memory");
    server.on("GET /apps/bibly/dynos", 200, json!([crashed]));
    let shown = Machine::using(&server).run("ps").stdout;
    assert!(shown.contains("web.1: crashed (out of memory) 2026/01/02"), "{shown}");
}

#[test]
fn limits_are_shown_set_and_unset() {
    let server = Server::start();
    let limit = |name, value, source| json!({"name": name, "value": value, "source": source});
    let limits = json!([{"process_type": "web", "limits": [
        limit("memory", json!("256M"), "app"),
        limit("cpu", json!(null), "server"),
    ]}]);
    server.on("GET /apps/bibly/limits", 200, &limits).on(
        "PATCH /apps/bibly/limits/web",
        200,
        &limits,
    );
    let machine = Machine::using(&server);
    let shown = machine.run("limits").stdout;
    assert!(shown.contains("256M") && shown.contains("none"), "{shown}");
    assert_eq!(machine.run("limits:set web memory=256M").stdout, shown);
    assert_eq!(server.body("PATCH /apps/bibly/limits/web"), json!({"limits": {"memory": "256M"}}));
    assert_eq!(machine.run("limits:set web memory").error().kind, ErrorKind::Usage);

    let server = Server::start();
    server.on("PATCH /apps/bibly/limits/web", 200, &limits);
    let _ = Machine::using(&server).run("limits:unset web memory");
    assert_eq!(server.body("PATCH /apps/bibly/limits/web"), json!({"limits": {"memory": null}}));
}

#[test]
fn scale_shows_and_changes() {
    let server = Server::start();
    let both = json!([formation("web", 2), formation("worker", 0)]);
    server.on("GET /apps/bibly/formation", 200, &both).on(
        "PATCH /apps/bibly/formation",
        200,
        &both,
    );
    let machine = Machine::using(&server);
    let shown = machine.run("ps:scale").stdout;
    assert_eq!(shown, "web=2:Standard-1X worker=0:Standard-1X\n");
    let ended = machine.run("scale web=2 worker-1");
    assert_eq!(
        ended.stderr,
        "Scaling processes... done, now running web at 2:Standard-1X, worker at 0:Standard-1X\n"
    );
    assert_eq!(
        server.body("PATCH /apps/bibly/formation"),
        json!({"updates": [
            {"type": "web", "quantity": "2"},
            {"type": "worker", "quantity": "-1"},
        ]})
    );
    assert_eq!(machine.run("ps:scale web=x").error().kind, ErrorKind::Usage);
}

#[test]
fn restart_and_stop_address_processes_and_types() {
    let server = Server::start();
    let cases = [
        ("ps:restart", "DELETE /apps/bibly/dynos", "Restarting all processes on ⬢ bibly... done\n"),
        (
            "ps:restart web.1",
            "DELETE /apps/bibly/dynos/web.1",
            "Restarting web.1 on ⬢ bibly... done\n",
        ),
        (
            "restart web",
            "DELETE /apps/bibly/formations/web",
            "Restarting all web processes on ⬢ bibly... done\n",
        ),
        (
            "ps:stop run.1",
            "POST /apps/bibly/dynos/run.1/actions/stop",
            "Stopping run.1 on ⬢ bibly... done\n",
        ),
    ];
    for (line, request, said) in cases {
        server.on(request, 202, "{}");
        let ended = Machine::using(&server).run(line);
        ended.result.unwrap();
        assert_eq!(ended.stderr, said);
        assert_eq!(server.requests().pop().unwrap().line, request);
    }
}

#[test]
fn detached_runs_are_started_and_named() {
    let server = Server::start();
    server.on("POST /apps/bibly/dynos", 201, dyno("run.7", "starting", None));
    let ended = Machine::using(&server).run("run:detached -e A=1 rake db:migrate --trace");
    assert_eq!(
        ended.stderr,
        "Running rake db:migrate --trace on ⬢ bibly... done, run.7\n\
         Follow it with: windlass logs -a bibly -t --ps run.7\n"
    );
    let body = server.body("POST /apps/bibly/dynos");
    assert_eq!(body["command"], "rake db:migrate --trace");
    assert_eq!(body["attach"], false);
    assert_eq!(body["env"], json!({"A": "1"}));
}
