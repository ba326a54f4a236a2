//! app.json and the release phase.

use crate::support::{python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;

/// The app that most tests use, with an app.json.
fn with_app_json(content: &str) -> Repository {
    let repository = python();
    repository.change("app.json", content);
    repository
}

/// Replaces a file of a served app by something that must be refused; under load. Returns what the
/// pusher was told.
#[track_caller]
fn refused_over_a_good_one(
    app: &TestApp,
    repository: &Repository,
    file: &str,
    text: &str,
) -> String {
    let (load, version) = (app.load(), app.version());
    repository.change(file, text);
    let said = repository.push(&app.url(), "+HEAD:refs/heads/main").failure();
    assert!(said.contains("Push rejected to"), "{said}");
    assert_eq!(app.version(), version);
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    said
}

#[test]
fn wrong_types_end_the_push_before_anything_is_built() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "types", &repository);
    for (content, problem) in [
        (r#"{"env": {"A": 5}}"#, "app.json: env.A must be text or an object, not a number."),
        (r#"{"buildpacks": ["x"]}"#, "app.json: buildpacks[0] must be an object, not text."),
        ("{", "app.json is not JSON: "),
        (
            r#"{"buildpacks": [{"url": "heroku/cobol"}]}"#,
            "app.json: There is no buildpack named heroku/cobol.",
        ),
    ] {
        let said = refused_over_a_good_one(&app, &repository, "app.json", content);
        assert!(said.contains(problem), "{said}");
        assert!(!said.contains("Building on the"), "{said}");
    }
}

#[test]
fn config_vars_that_are_missing_are_named_in_one_line() {
    let server = shared_server!();
    let app = TestApp::create(&server, "missing");
    let repository = with_app_json(
        r#"{"env": {"API_KEY": {"description": "d"}, "MAIL_URL": {}, "FREE": {"required": false}}}"#,
    );
    let said = app.push(&repository).failure();
    let line = "app.json requires config vars that are not set: API_KEY, MAIL_URL. Set them with";
    assert!(said.contains(line), "{said}");
    assert!(!said.contains("Building on the"), "{said}");
    let _ = app.cli(&["config:set", "API_KEY=1", "MAIL_URL=2"]).success();
    let _ = app.push(&repository).success();
    let more = r#"{"env": {"API_KEY": {}, "QUEUE_URL": {}}}"#;
    let said = refused_over_a_good_one(&app, &repository, "app.json", more);
    assert!(said.contains("config vars that are not set: QUEUE_URL."), "{said}");
}

#[test]
fn the_first_deploy_and_only_that_sets_what_app_json_says() {
    let server = shared_server!();
    let app = TestApp::create(&server, "first");
    let _ = app.cli(&["config:set", "MINE=kept"]).success();
    let repository = with_app_json(
        r#"{
            "nmae": "a typing mistake",
            "stack": "heroku-24",
            "env": {"MINE": "theirs", "PLAIN": "from app.json", "KEY": {"generator": "secret"}},
            "formation": {"web": {"quantity": 2}, "worker": {"quantity": 1}, "clock": {"quantity": 1}},
            "scripts": {
                "postdeploy": "echo seeded with $PLAIN",
                "dokku": {"predeploy": {"command": "echo before $WHAT", "env": {"WHAT": "all"}}}
            }
        }"#,
    );

    let said = app.push(&repository).everything();

    for expected in [
        "Warning: app.json: nmae is not known here and is ignored.",
        "Warning: app.json: stack heroku-24 is not here, debian-12 is used.",
        "Warning: app.json: formation.clock: the app has no such process type.",
        "Config vars from app.json: KEY, PLAIN",
        "before all",
        "seeded with from app.json",
        "Verifying deploy... done.",
    ] {
        assert!(said.contains(expected), "{expected:?} in {said}");
    }
    app.wait_for_processes(&["web.1", "web.2", "worker.1"]);
    let config = app.json(&["config"]);
    assert_eq!((&config["MINE"], &config["PLAIN"]), (&"kept".into(), &"from app.json".into()));
    let key = config["KEY"].as_str().unwrap();
    assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
    assert!(!said.contains(key), "a secret is not shown");
    assert_eq!(app.version(), 3, "config vars and code are one release");

    let _ = app.cli(&["config:unset", "PLAIN"]).success();
    let _ = app.cli(&["ps:scale", "web=1", "worker=0"]).success();
    repository.change("VERSION", "two");
    let again = app.push(&repository).everything();
    assert!(!again.contains("seeded with") && again.contains("before all"), "{again}");
    let config = app.json(&["config"]);
    assert_eq!((&config["PLAIN"], &config["KEY"]), (&serde_json::Value::Null, &key.into()));
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_postdeploy_script_that_fails_is_reported_and_the_release_stays() {
    let server = shared_server!();
    let app = TestApp::create(&server, "after");
    let repository = with_app_json(r#"{"scripts": {"postdeploy": "echo no database; exit 7"}}"#);
    let pushed = app.push(&repository);
    let said = pushed.everything();
    assert!(pushed.status.success(), "{said}");
    assert!(said.contains("no database"), "{said}");
    assert!(
        said.contains(
            "the postdeploy command exited with status 7. The release is served all the same"
        ),
        "{said}"
    );
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn the_release_command_runs_with_the_new_code_and_config() {
    let server = shared_server!();
    let app = TestApp::create(&server, "phase");
    let _ = app.cli(&["config:set", "COLOUR=green"]).success();
    let repository = python();
    let release = "release: echo $DYNO migrates to $COLOUR $(cat VERSION) in $(pwd)\n";
    repository.write("Procfile", &format!("web: python3 server.py\n{release}"));
    repository.change("VERSION", "seven");
    let said = app.push(&repository).everything();
    assert!(said.contains("Running release command..."), "{said}");
    assert!(said.contains("migrates to green seven in /app"), "{said}");
    app.wait_for_processes(&["web.1"]);
    app.wait_for_log("migrates to green seven in /app");
    assert!(app.logs().contains(" app[release."), "{}", app.logs());

    let _ = app.cli(&["config:set", "COLOUR=red"]).success();
    let output = app.cli(&["releases:output"]).success();
    assert!(output.starts_with("release.") && output.contains("migrates to red seven"), "{output}");
    let first = app.cli(&["releases:output", "v3"]).success();
    assert!(first.contains("migrates to green seven"), "{first}");
    let none = app.cli(&["releases:output", "v1"]).everything();
    assert!(none.contains("Release v1 has no release output."), "{none}");
}

#[test]
fn a_release_command_that_fails_leaves_the_old_release_serving() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "nophase", &repository);
    let before = app.json(&["ps"])[0]["id"].clone();
    let procfile = "web: python3 server.py\nrelease: echo table exists >&2; exit 3\n";
    let said = refused_over_a_good_one(&app, &repository, "Procfile", procfile);
    assert!(said.contains("table exists"), "{said}");
    assert!(said.contains("the release command exited with status 3"), "{said}");
    assert!(said.contains("The release before it goes on serving."), "{said}");
    assert_eq!(app.json(&["ps"])[0]["id"], before, "the instance was not touched");
    assert_eq!(app.json(&["releases"])[0]["status"], "failed");
}

#[test]
fn a_client_that_goes_away_ends_the_release_command() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "gophase", &repository);
    repository.change("Procfile", "web: python3 server.py\nrelease: echo under way; sleep 1000\n");
    let mut push = repository.start_push(&app.url(), "HEAD:refs/heads/main");
    let limit = std::time::Duration::from_secs(30);
    windlass_testkit::wait_until("the release command", limit, || {
        push.so_far().contains("under way")
    });
    assert_eq!(app.json(&["releases"])[0]["status"], "pending");
    push.kill();
    app.wait_for_processes(&["web.1"]);
    windlass_testkit::wait_until("the release to have failed", limit, || {
        app.json(&["releases"])[0]["status"] == "failed"
    });
    assert_eq!(app.version(), 2);
}
