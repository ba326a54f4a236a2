//! Apps from create to destroy, their config, and git.

use crate::support::{python, shared_server};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[CREATE, CONFIG, PUSH, REJECTED, SETTINGS, DESTROY];

const CREATE: &[Step] = &[
    ("apps:info --app {app}", 2, &["Error: Couldn't find that app.", "Error ID: not_found"]),
    (
        "apps:create {app}",
        0,
        &[
            "Creating {app}... done",
            "http://{app}.localhost:{http}/ | https://localhost:{port}/{app}.git",
        ],
    ),
    ("apps:create {app}", 2, &["Creating {app}... !", "Error: Name {app} is already taken"]),
    ("apps:create No_Name", 2, &["Error: *", "Error ID: invalid_params"]),
    ("git remote --verbose", 0, &["heroku https://localhost:{port}/{app}.git (push)"]),
    ("apps", 0, &["=== owner@localhost Apps", "{app} (local)"]),
    (
        "apps:info --app {app}",
        0,
        &[
            "=== {app}",
            "Auto Cert Mgmt: false",
            "Web URL: http://{app}.localhost:{http}/",
            "Owner: owner@localhost",
            "Region: local",
            "Stack: debian-12",
        ],
    ),
    ("apps:info --app {app} --shell", 0, &["region=local", "stack=debian-12"]),
    ("apps:open --app {app}", 0, &["Opening http://{app}.localhost:{http}/..."]),
];

const CONFIG: &[Step] = &[
    ("config --app {app}", 0, &["=== {app} Config Vars", "!GREETING: *"]),
    (
        "config:set GREETING='good day' COLOR=blue --app {app}",
        0,
        &["Setting GREETING, COLOR and restarting {app}... done, v2", "GREETING: good day"],
    ),
    ("config:set COLOR=blue --app {app}", 0, &["Setting COLOR and restarting {app}... done, v2"]),
    ("config:set 9=1 --app {app}", 2, &["Error: *", "Error ID: invalid_params"]),
    ("config --app {app}", 0, &["COLOR: blue", "GREETING: good day"]),
    ("config --shell --app {app}", 0, &["GREETING='good day'"]),
    ("config --json --app {app}", 0, &["\"GREETING\": \"good day\""]),
    ("config:get GREETING --app {app}", 0, &["good day"]),
    ("config:unset COLOR --app {app}", 0, &["Unsetting COLOR and restarting {app}... done, v3"]),
    ("config --app {app}", 0, &["!COLOR: *"]),
];

/// Inside the repository, so that the app comes from its remote.
const PUSH: &[Step] = &[
    ("git remote remove heroku", 0, &["!fatal: *"]),
    ("git:remote --app {app}", 0, &["set git remote heroku to https://localhost:{port}/{app}.git"]),
    (
        "git push heroku main",
        0,
        &[
            "remote: -----> Python app detected",
            "remote: Released v4",
            "remote: Verifying deploy... done.",
            "* [new branch] main -> main",
        ],
    ),
    ("@up web.1", 0, &[]),
    ("apps:info", 0, &["=== {app}", "Dynos: web: 1", "!Slug Size: 0 B"]),
    ("git:clone --app {app} {clone}", 0, &["Cloning into '{clone}'..."]),
    ("sh -c 'cat {clone}/Procfile'", 0, &["web: python3 server.py"]),
];

const REJECTED: &[Step] = &[
    ("git push heroku main", 1, &["! [remote rejected] main -> main (pre-receive hook declined)"]),
    ("releases", 0, &["=== {app} Releases - Current: v4"]),
];

const SETTINGS: &[Step] = &[
    ("maintenance", 0, &["off"]),
    ("maintenance:on", 0, &["Enabling maintenance mode for {app}... done"]),
    ("maintenance", 0, &["on"]),
    ("maintenance:off", 0, &["Disabling maintenance mode for {app}... done"]),
    ("stack", 0, &["=== {app} Available Stacks", "* debian-12"]),
    (
        "stack:set heroku-24",
        2,
        &["Setting stack to heroku-24... !", "Error: There is no stack \"heroku-24\" here: *"],
    ),
    ("stack:set debian-12", 0, &["Setting stack to debian-12... done"]),
    ("apps:diff {app} {app}", 0, &["{app} property {app}"]),
];

const DESTROY: &[Step] = &[
    (
        "apps:rename {app}-new",
        0,
        &[
            "Renaming {app} to {app}-new... done",
            "http://{app}-new.localhost:{http}/ | https://localhost:{port}/{app}-new.git",
        ],
    ),
    ("git remote --verbose", 0, &["heroku https://localhost:{port}/{app}-new.git (push)"]),
    (
        "apps:destroy --confirm {app}",
        1,
        &["Error: Confirmation {app} did not match {app}-new. Aborted."],
    ),
    (
        "apps:destroy --confirm {app}-new",
        0,
        &["Destroying {app}-new (including all add-ons)... done"],
    ),
    ("git remote --verbose", 0, &["!heroku *"]),
    ("apps:info --app {app}-new", 2, &["Error: Couldn't find that app."]),
];

#[test]
fn apps_from_create_to_destroy() {
    let server = shared_server!();
    let Some(mut session) = Session::begin(&server, "app", python()) else { return };
    let clone = session.path("clone").display().to_string();
    session.set("clone", clone);
    for script in [CREATE, CONFIG, PUSH] {
        session.run(script);
    }
    assert_eq!(session.app().get("/healthz").text(), "ok\n");
    session.repository().change("requirements.txt", "no such requirement !\n");
    for script in [REJECTED, SETTINGS, DESTROY] {
        session.run(script);
    }
    session.end();
}
