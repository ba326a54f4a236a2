//! Cron jobs. That they run when they are due is tried with a clock of its own, in
//! `control/tests/platform/cron.rs`; here they run when they are told to.

use crate::support::{own_server, python, shared_server};
use nix::sys::signal::Signal;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::wait_until;

fn wait_for_status(app: &TestApp, job: &str, status: &str) -> serde_json::Value {
    wait_until(status, Duration::from_secs(30), || {
        app.json(&["cron:runs", job])[0]["status"] == status
    });
    app.json(&["cron:runs", job])[0].clone()
}

#[test]
fn a_job_is_added_run_suspended_and_removed() {
    let server = shared_server!();
    let app = TestApp::create(&server, "cron");
    let add = ["cron:add", "30 2 * * *", "--timezone", "Europe/Berlin", "--name", "report", "--"];
    let command = "echo $DYNO says $COLOUR; echo twice >&2; exit 4";
    let said = app.cli(&[&add[..], &[command]].concat()).everything();
    assert!(said.contains("report runs at 20"), "{said}");
    let refused = app.cli(&["cron:run", "report"]).failure();
    assert!(refused.contains("Nothing has been deployed"), "{refused}");

    let _ = app.cli(&["config:set", "COLOUR=green"]).success();
    let _ = app.push(&python()).success();
    let said = app.cli(&["cron:run", "report"]).everything();
    assert!(said.contains("done, cron.1"), "{said}");
    let run = wait_for_status(&app, "report", "failed");
    assert_eq!((&run["exit_code"], &run["cause"]), (&4.into(), &"manual".into()));
    let output = app.cli(&["cron:output", "report"]).success();
    assert_eq!(output, "cron.1 says green\ntwice\n");
    assert_eq!(app.cli(&["cron:output", "report", "1"]).success(), output);
    app.wait_for_log("app[cron.1]: cron.1 says green");
    app.wait_for_log("heroku[cron.1]: Process exited with status 4");
    let table = app.cli(&["cron:runs", "report"]).success();
    assert!(table.contains("cron.1") && table.contains("failed (4)"), "{table}");

    let _ = app.cli(&["cron:suspend", "report"]).success();
    let list = app.cli(&["cron"]).success();
    assert!(list.contains("30 2 * * * Europe/Berlin") && list.contains("suspended"), "{list}");
    assert_eq!(app.json(&["cron"])[0]["next_run_at"], serde_json::Value::Null);
    let _ = app.cli(&["cron:resume", "report"]).success();
    assert!(app.json(&["cron"])[0]["next_run_at"].is_string());
    let _ = app.cli(&["cron:remove", "report"]).success();
    assert_eq!(app.json(&["cron"]), serde_json::json!([]));
    let wrong = app.cli(&["cron:add", "61 * * * *", "--", "true"]).failure();
    assert!(wrong.contains("\"61\" is no minute"), "{wrong}");
}

#[test]
fn jobs_of_app_json_come_and_go_with_releases() {
    let server = shared_server!();
    let repository = python();
    let job = |schedule: &str| {
        let job =
            format!(r#"{{"name": "clean", "command": "echo cleaned", "schedule": "{schedule}"}}"#);
        repository.change("app.json", &format!(r#"{{"cron": [{job}]}}"#));
    };
    job("@daily");
    let app = TestApp::deployed(&server, "cronjson", &repository);
    let jobs = app.json(&["cron"]);
    assert_eq!((&jobs[0]["name"], &jobs[0]["source"]), (&"clean".into(), &"app.json".into()));
    let refused = app.cli(&["cron:remove", "clean"]).failure();
    assert!(refused.contains("is in app.json"), "{refused}");
    let _ = app.cli(&["cron:run", "clean"]).success();
    let _ = wait_for_status(&app, "clean", "succeeded");
    assert_eq!(app.cli(&["cron:output", "clean"]).success(), "cleaned\n");

    let version = app.version();
    job("@sometimes");
    let said = app.push(&repository).failure();
    assert!(said.contains("app.json: cron[0].schedule: \"@sometimes\" is not known"), "{said}");
    assert!(!said.contains("Building on the"), "{said}");
    assert_eq!((app.version(), &app.json(&["cron"])[0]["schedule"]), (version, &"@daily".into()));

    repository.change("app.json", "{}");
    let _ = app.push(&repository).success();
    assert_eq!(app.json(&["cron"]), serde_json::json!([]));
    let _ = app.cli(&["rollback"]).success();
    assert_eq!(app.json(&["cron"])[0]["name"], "clean");
}

#[test]
fn a_run_goes_on_while_the_server_is_killed() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "cronkill", &python());
    let command = "echo begun; sleep 4; echo ended";
    let _ = app.cli(&["cron:add", "@yearly", "--name", "long", "--", command]).success();
    let _ = app.cli(&["cron:run", "long"]).success();
    app.wait_for_log(": begun");
    server.stop(Signal::SIGKILL);
    server.start_again();
    assert_eq!(app.json(&["cron:runs", "long"]).as_array().map(Vec::len), Some(1));
    let run = wait_for_status(&app, "long", "succeeded");
    assert_eq!(run["exit_code"], 0);
    assert_eq!(app.cli(&["cron:output", "long"]).success(), "begun\nended\n");
}
