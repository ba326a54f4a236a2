//! Pipelines and review apps, with real git and containers.

use crate::support::{own_server, python, python_version, shared_server};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::Finished;
use windlass_testkit::server::TestServer;
use windlass_testkit::wait_for;

/// How long a build, or the destruction of an app, may take.
const LIMIT: Duration = Duration::from_secs(120);

fn json(server: &TestServer, arguments: &[&str]) -> Value {
    let text = server.cli(&[arguments, &["--json"]].concat()).success();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {text}"))
}

#[test]
fn what_was_tested_in_staging_is_served_in_production_without_a_build() {
    let server = shared_server!();
    let repository = python_version("first\n");
    let staging = TestApp::deployed(&server, "pipe-staging", &repository);
    let production = TestApp::deployed(&server, "pipe-prod", &python_version("old\n"));
    let name = server.unused_name("pipe");
    let refused = staging.cli(&["pipelines:promote"]);
    assert_eq!(refused.code(), 4, "{refused}");
    let _ = staging.cli(&["pipelines:create", &name, "--stage", "staging"]).success();
    let _ = production.cli(&["pipelines:add", &name, "--stage", "production"]).success();
    let shown = server.cli(&["pipelines:info", &name]).success();
    assert!(shown.find(&staging.name) < shown.find(&production.name), "{shown}");
    let _ = production.cli(&["config:set", "OWN=kept"]).success();
    let _ = staging.cli(&["config:set", "OWN=staging", "ONLY=staging"]).success();
    let builds = production.json(&["builds"]);
    let load = production.load();

    let said = staging.cli(&["pipelines:promote"]);
    assert!(said.everything().contains("succeeded"), "{said}");
    let _ = said.success();

    assert!(production.get("/").text().ends_with("first\n"));
    load.wait_for(20);
    load.stop().assert_nothing_lost();
    assert_eq!(production.json(&["builds"]), builds, "nothing was built");
    let config = production.json(&["config"]);
    assert_eq!((&config["OWN"], &config["ONLY"]), (&Value::from("kept"), &Value::Null));
    let release = production.json(&["releases"])[0].clone();
    let description = release["description"].as_str().unwrap();
    assert!(description.starts_with(&format!("Promote {} v", staging.name)), "{description}");

    // What is in staging and not yet in production.
    let same = staging.cli(&["pipelines:diff"]);
    assert!(same.everything().contains("is up to date with"), "{same}");
    let commit = repository.change("VERSION", "second\n");
    let _ = staging.push(&repository).success();
    let ahead = staging.cli(&["pipelines:diff"]).success();
    assert!(ahead.contains("by 1 commit") && ahead.contains(&commit[..7]), "{ahead}");

    // A release command that fails there changes nothing there.
    let _ = production.cli(&["config:set", "REFUSE=1"]).success();
    let version = production.version();
    repository.change("Procfile", "web: python3 server.py\nrelease: test -z \"$REFUSE\"\n");
    let _ = staging.push(&repository).success();
    let failed = staging.cli(&["pipelines:promote"]);
    assert_eq!(failed.code(), 1, "{failed}");
    assert!(failed.everything().contains("release command exited with status 1"), "{failed}");
    assert_eq!(production.version(), version);
    assert!(production.get("/").text().ends_with("first\n"));
    let _ = server.cli(&["pipelines:destroy", &name]).success();
    assert!(production.get("/").text().ends_with("first\n"), "its apps stay");
}

/// Returns all that a push said, which must have succeeded.
#[track_caller]
fn told(push: Finished) -> String {
    assert!(push.status.success(), "{push}");
    push.everything()
}

/// Returns the review apps of a pipeline.
fn reviews(server: &TestServer, pipeline: &str) -> Vec<Value> {
    json(server, &["reviewapps", "--pipeline", pipeline]).as_array().unwrap().clone()
}

/// Waits until the only review app of a pipeline is there; returns its app.
fn made(server: &Arc<TestServer>, pipeline: &str) -> TestApp {
    let app = wait_for("the review app", LIMIT, || {
        let reviews = reviews(server, pipeline);
        let review = reviews.first()?;
        assert_ne!(review["status"], "errored", "{review}");
        (review["status"] == "created").then(|| review["app"]["id"].as_str().unwrap().to_owned())
    });
    let info = json(server, &["info", "--app", &app]);
    let name = info["name"].as_str().or_else(|| info["app"]["name"].as_str()).unwrap().to_owned();
    TestApp::existing(server, &name)
}

fn wait_until_gone(server: &TestServer, pipeline: &str, app: &TestApp) {
    wait_for("the end of the review app", LIMIT, || {
        reviews(server, pipeline).is_empty().then_some(())
    });
    assert_eq!(server.cli(&["info", "--app", &app.name]).code(), 4, "it is gone");
}

#[test]
fn a_branch_has_its_app_as_long_as_it_is_there() {
    let server = own_server!();
    let repository = python();
    let staging = TestApp::deployed(&server, "rev-staging", &repository);
    let name = server.unused_name("rev");
    let _ = staging.cli(&["pipelines:create", &name, "--stage", "staging"]).success();
    let pipeline = ["--pipeline", &name];
    let _ =
        server.cli(&[&["reviewapps:config", "KEY=of-reviews"], &pipeline[..]].concat()).success();
    let _ = server.cli(&[&["reviewapps:enable", "--autodeploy"], &pipeline[..]].concat()).success();

    repository.change(
        "app.json",
        r#"{"env": {"MODE": "plain"}, "scripts": {"postdeploy": "echo seeded $MODE"},
            "addons": ["heroku-postgresql"],
            "environments": {"review": {"env": {"MODE": "review"}, "formation": {"worker": {"quantity": 1}}}}}"#,
    );
    repository.change("VERSION", "of the branch\n");
    let said = told(repository.push(&staging.url(), "HEAD:refs/heads/feature/login"));
    assert!(said.contains("Making a review app of feature/login"), "{said}");
    let app = made(&server, &name);
    assert!(app.name.contains("feature-login"), "{}", app.name);
    assert!(app.get("/").text().ends_with("of the branch\n"));
    app.wait_for_processes(&["web.1", "worker.1"]);
    let config = app.json(&["config"]);
    for (key, value) in [
        ("KEY", "of-reviews"),
        ("MODE", "review"),
        ("HEROKU_BRANCH", "feature/login"),
        ("HEROKU_APP_NAME", app.name.as_str()),
    ] {
        assert_eq!(config[key], value, "{config}");
    }
    assert!(app.logs().contains("seeded review"), "the script after the first deploy ran");
    assert_eq!(staging.version(), 2, "staging is left alone");
    let shown = server.cli(&["pipelines:info", &name]).success();
    assert!(shown.contains("review"), "{shown}");

    // Another push deploys it again.
    repository.change("VERSION", "once more\n");
    let said = told(repository.push(&staging.url(), "HEAD:refs/heads/feature/login"));
    assert!(said.contains("Deploying feature/login to its review app"), "{said}");
    wait_for("the second deploy", LIMIT, || {
        app.get("/").text().ends_with("once more\n").then_some(())
    });

    let said = told(repository.git(&["push", &staging.url(), "--delete", "feature/login"]));
    assert!(said.contains("Destroying the review app of feature/login"), "{said}");
    wait_until_gone(&server, &name, &app);

    // One that somebody asks for, from a branch that is there already.
    let _ = server.cli(&[&["reviewapps:disable"], &pipeline[..]].concat()).success();
    let said = told(repository.push(&staging.url(), "HEAD:refs/heads/quiet"));
    assert!(!said.contains("review app"), "{said}");
    let create =
        ["reviewapps:create", "--branch", "quiet", "--pr", "7", "--env", "MODE=own", "--wait"];
    let _ = server.cli(&[&create[..], &pipeline[..]].concat()).success();
    let app = made(&server, &name);
    assert_eq!(app.name, format!("{name}-pr-7"));
    assert_eq!(app.json(&["config"])["MODE"], "own");
    let again = server.cli(&[&["reviewapps:create", "--branch", "quiet"], &pipeline[..]].concat());
    assert_eq!(again.code(), 5, "{again}");
    let none = server.cli(&[&["reviewapps:create", "--branch", "none"], &pipeline[..]].concat());
    assert!(none.everything().contains("has no branch none"), "{none}");
    let _ = server
        .cli(&[&["reviewapps:destroy", "--branch", "quiet"], &pipeline[..]].concat())
        .success();
    wait_until_gone(&server, &name, &app);
}

#[test]
fn a_review_app_comes_from_a_repository_elsewhere() {
    let server = own_server!();
    let repository = python_version("elsewhere\n");
    // A host that knows tokens: this server itself.
    let host = TestApp::create(&server, "rev-host");
    let _ = repository.push(&host.url(), "HEAD:refs/heads/fix").success();
    let origin = format!("http://{}", server.api());
    let _ = server.cli(&["git:auth", &origin, "--token", server.token()]).success();
    let name = server.unused_name("far");
    let _ = server.cli(&["pipelines:create", &name, "--empty"]).success();
    let url = format!("{origin}/{}.git", host.name);
    let _ = server.cli(&["pipelines:connect", &name, "--repo", &url]).success();
    let create = ["reviewapps:create", "--pipeline", &name, "--branch", "fix", "--wait"];
    let _ = server.cli(&create).success();
    let app = made(&server, &name);
    assert!(app.get("/").text().ends_with("elsewhere\n"));
    let _ = server.cli(&["reviewapps:destroy", "--pipeline", &name, "--branch", "fix"]).success();
    wait_until_gone(&server, &name, &app);
}
