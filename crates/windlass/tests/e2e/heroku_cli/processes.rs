//! What runs: dynos, their logs, one-offs with exit codes, releases and rollbacks.

use crate::support::{python, shared_server};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[BLANK, DYNOS, RUN, LOGS, RELEASES];

const BLANK: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("ps", 0, &["No dynos on {app}"]),
    ("ps:scale", 1, &["Error: No process types on {app}."]),
    ("releases:rollback", 2, &["Error: No eligible release found for {app} to roll back to."]),
    ("git push heroku main", 0, &["remote: Released v2"]),
    ("@up web.1", 0, &[]),
];

const DYNOS: &[Step] = &[
    ("ps", 0, &["=== web (Standard-1X): python3 server.py (1)", "web.1: up *"]),
    ("ps:scale", 0, &["web=1:Standard-1X worker=0:Standard-1X"]),
    (
        "ps:scale web=2 worker=1",
        0,
        &["Scaling dynos... done, now running web at 2:Standard-1X, worker at 1:Standard-1X"],
    ),
    ("ps:scale worker+1", 0, &["Scaling dynos... done, now running worker at 2:Standard-1X"]),
    ("ps:wait", 0, &["!*Error*"]),
    ("ps:scale web=1 worker-1", 0, &["Scaling dynos... done, now running *"]),
    (
        "ps:scale cron=1",
        2,
        &["Error: Couldn't find that process type (cron). *", "Error ID: not_found"],
    ),
    ("ps:scale web=1:huge", 2, &["Scaling dynos... !", "Error: *huge*"]),
    ("@up web.1 worker.1", 0, &[]),
    ("ps:type web=standard-2x", 0, &["web Standard-2X 1 *", "worker Standard-1X 1 *"]),
    ("ps", 0, &["=== web (Standard-2X): python3 server.py (1)"]),
    ("ps:restart", 0, &["Restarting all dynos on {app}... done"]),
    ("ps:restart --dyno-name web.1", 0, &["Restarting dyno web.1 on {app}... done"]),
    ("ps:restart --process-type worker", 0, &["Restarting all worker dynos on {app}... done"]),
    ("ps:restart --dyno-name web.9", 2, &["Error: Couldn't find that dyno."]),
    ("ps:stop --dyno-name worker.1", 0, &["Stopping dyno worker.1 on {app}... done"]),
    ("ps:stop --process-type worker", 0, &["Stopping all worker dynos on {app}... done"]),
    ("@up web.1 worker.1", 0, &[]),
    ("ps:scale worker=0", 0, &["Scaling dynos... done, now running worker at 0:Standard-1X"]),
];

const RUN: &[Step] = &[
    (
        "run --no-tty -- echo one-off output",
        0,
        &["Running echo one-off output on {app}... *", "one-off output"],
    ),
    (
        "run --exit-code --no-tty -- sh -c 'echo said; exit 3'",
        3,
        &["said", "Error: Process exited with code 3"],
    ),
    ("run --exit-code --no-tty -- true", 0, &["Running true on {app}... *"]),
    ("run --exit-code --env 'COLOR=blue;SIZE=9' --no-tty -- 'echo $COLOR $SIZE'", 0, &["blue 9"]),
    (
        "run --exit-code --size standard-2x --no-tty -- no-such-program",
        127,
        &["*no-such-program*not found*"],
    ),
    (
        "run:detached -- echo said in the background",
        0,
        &[
            "Running echo said in the background on {app}... done, <oneoff>",
            "Run heroku logs --app {app} --dyno * to view the output.",
        ],
    ),
];

const LOGS: &[Step] = &[
    ("logs --dyno-name {oneoff}", 0, &["* app[{oneoff}]: said in the background"]),
    (
        "logs --source heroku --num 1500",
        0,
        &["* heroku[web.1]: State changed from starting to up", "!* app[*"],
    ),
    ("logs --source app --num 1500", 0, &["* app[web.1]: * listening on port *", "!* heroku[*"]),
    ("logs --process-type worker --num 1500", 0, &["* app[worker.1]: tick 1", "!* app[web.1]: *"]),
];

const RELEASES: &[Step] = &[
    ("labs:enable runtime-dyno-metadata", 0, &["Enabling runtime-dyno-metadata for {app}... done"]),
    ("labs --app {app}", 0, &["[+] runtime-dyno-metadata *", "[ ] runtime-dyno-build-metadata *"]),
    ("config:set COLOR=red", 0, &["Setting COLOR and restarting {app}... done, v3"]),
    (
        "run --exit-code --no-tty -- 'echo $HEROKU_RELEASE_VERSION $HEROKU_APP_NAME'",
        0,
        &["v3 {app}"],
    ),
    (
        "releases",
        0,
        &[
            "=== {app} Releases - Current: v3",
            "v3 Set COLOR config vars owner@localhost *",
            "v2 Deploy * owner@localhost *",
            "v1 Initial release owner@localhost *",
        ],
    ),
    (
        "releases:info",
        0,
        &["=== Release v3", "Change: Set COLOR config vars", "By: owner@localhost", "COLOR: red"],
    ),
    ("releases:info v2", 0, &["=== Release v2", "Eligible for Rollback?: Yes"]),
    ("releases:output", 0, &["Warning: Release v3 has no release output available."]),
    ("releases:retry", 2, &["Error: App must have a release-phase command to use this command."]),
    (
        "releases:rollback",
        0,
        &["Rolling back {app} to v2... done, v4", "*Rollback affects code and config vars; *"],
    ),
    ("config", 0, &["!COLOR: *"]),
    ("releases:rollback v1", 2, &["Rolling back {app} to v1... !", "Error: v1 has no image: *"]),
    ("releases:rollback v99", 2, &["Error: Couldn't find that release."]),
    ("releases --num 1", 0, &["v4 Rollback to v2 owner@localhost *", "!v3 *"]),
    ("apps:destroy --confirm {app}", 0, &["Destroying {app} *... done"]),
];

#[test]
fn processes_logs_and_releases() {
    let server = shared_server!();
    let Some(mut session) = Session::begin(&server, "run", python()) else { return };
    for script in [BLANK, DYNOS, RUN] {
        session.run(script);
    }
    session.app().wait_for_log("said in the background");
    for script in [LOGS, RELEASES] {
        session.run(script);
    }
    session.end();
}
