//! Pipelines: stages, promotion of what was tested, and review apps.

use crate::support::{python, shared_server};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[COUPLE, PROMOTE, REVIEW, DESTROY];

const COUPLE: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("create {app}-live --remote live", 0, &["Creating {app}-live... done"]),
    ("git push heroku main", 0, &["remote: Released v2"]),
    (
        "pipelines:create {app}-line --stage staging --app {app}",
        0,
        &[
            "Creating {app}-line pipeline... done",
            "Adding {app} to {app}-line pipeline as staging... done",
        ],
    ),
    ("pipelines:create {app}-line --stage staging --app {app}", 2, &["Error: *"]),
    (
        "pipelines:add {app}-line --stage production --app {app}-live",
        0,
        &["Adding {app}-live to {app}-line pipeline as production... done"],
    ),
    ("pipelines", 0, &["=== My Pipelines", "{app}-line"]),
    ("pipelines:info {app}-line", 0, &["=== {app}-line", "{app} staging", "{app}-live production"]),
    ("apps:info --app {app}", 0, &["Pipeline: {app}-line - staging"]),
    ("pipelines:info no-such-line", 1, &["Error: Pipeline not found"]),
];

const PROMOTE: &[Step] = &[
    (
        "pipelines:promote --app {app}",
        0,
        &[
            "Fetching apps from {app}-line...",
            "Starting promotion to production...",
            "Waiting for promotion to complete...",
            "Promotion successful",
            "{app}-live: succeeded",
        ],
    ),
    ("releases --app {app}-live", 0, &["v2 Promote {app} v2 * owner@localhost *"]),
    ("ps --app {app}-live", 0, &["=== web (Standard-1X): python3 server.py (1)"]),
    (
        "pipelines:promote --app {app}-live",
        1,
        &["Error: Cannot promote {app}-live from 'production' stage"],
    ),
    (
        "pipelines:update --stage development --app {app}",
        0,
        &["Changing {app} to development... done"],
    ),
    ("pipelines:info {app}-line", 0, &["{app} development"]),
    (
        "pipelines:rename {app}-line {app}-tube",
        0,
        &["Renaming {app}-line pipeline to {app}-tube... done"],
    ),
];

const REVIEW: &[Step] = &[
    (
        "reviewapps:create --pipeline {app}-tube --branch main",
        0,
        &[
            "Creating review app from main... done",
            "Run heroku reviewapps:wait <review> to check progress.",
        ],
    ),
    ("reviewapps:wait {review}", 0, &["!*Error*"]),
    ("apps:info --app {review}", 0, &["Pipeline: {app}-tube - review", "Dynos: web: 1"]),
    ("pipelines:info {app}-tube", 0, &["{review} review"]),
    (
        "reviewapps:create --pipeline {app}-tube --branch main",
        2,
        &["Error: There is a review app of main already *"],
    ),
    (
        "reviewapps:create --pipeline {app}-tube --branch nowhere",
        1,
        &["Error: The branch nowhere doesn't exist. *"],
    ),
    ("reviewapps:enable --pipeline {app}-tube", 0, &["Configuring pipeline... done"]),
    ("reviewapps:disable --pipeline {app}-tube", 0, &["Configuring pipeline... done"]),
    ("pipelines:destroy {app}-tube", 2, &["Error: The pipeline {app}-tube has review apps: *"]),
    ("apps:destroy --app {review} --confirm {review}", 0, &["Destroying {review} *... done"]),
];

const DESTROY: &[Step] = &[
    ("pipelines:remove --app {app}", 0, &["Removing {app}... done"]),
    ("pipelines:promote --app {app}", 2, &["Error: Couldn't find that pipeline coupling."]),
    ("pipelines:destroy {app}-tube", 0, &["Destroying {app}-tube pipeline... done"]),
    ("pipelines:info {app}-tube", 1, &["Error: Pipeline not found"]),
    ("apps:destroy --app {app}-live --confirm {app}-live", 0, &["Destroying {app}-live *... done"]),
    ("apps:destroy --app {app} --confirm {app}", 0, &["Destroying {app} *... done"]),
];

#[test]
fn pipelines_promote_what_was_tested() {
    let server = shared_server!();
    let Some(mut session) = Session::begin(&server, "pipe", python()) else { return };
    for script in SCRIPTS {
        session.run(script);
    }
    session.end();
}
