//! What goes on beside an app: features, drains, webhooks, and add-ons, which are refused.

use crate::support::{python, shared_server};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[FEATURES, DRAINS, WEBHOOKS, ADDONS];

const FEATURES: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("features", 0, &["=== App Features {app}", "[ ] http-session-affinity *", "[+] preboot *"]),
    (
        "features:enable http-session-affinity",
        0,
        &["Enabling http-session-affinity for {app}... done"],
    ),
    ("features:info http-session-affinity", 0, &["=== http-session-affinity", "Enabled: true"]),
    ("features", 0, &["[+] http-session-affinity *"]),
    (
        "features:disable http-session-affinity",
        0,
        &["Disabling http-session-affinity for {app}... done"],
    ),
    ("features:enable time-travel", 2, &["Error: Couldn't find that app feature."]),
    ("labs:info http-session-affinity", 0, &["=== http-session-affinity", "Enabled: false"]),
    ("labs:enable time-travel", 2, &["Error: Couldn't find that app feature."]),
];

const DRAINS: &[Step] = &[
    ("drains", 0, &["!*logs.example.com*"]),
    (
        "drains:add https://logs.example.com/in?key=x",
        0,
        &["Successfully added drain https://logs.example.com/in?key=x"],
    ),
    ("drains:add syslog+tls://logs.example.com:6514", 0, &["Successfully added drain *"]),
    ("drains:add ftp://logs.example.com", 2, &["Error: *", "Error ID: invalid_params"]),
    (
        "drains",
        0,
        &[
            "=== Drains",
            "https://logs.example.com/in?key=x (d.*)",
            "syslog+tls://logs.example.com:6514 (<drain>)",
        ],
    ),
    (
        "drains:remove https://logs.example.com/in?key=x",
        0,
        &["Successfully removed drain https://logs.example.com/in?key=x"],
    ),
    ("drains:remove {drain}", 0, &["Successfully removed drain *"]),
    ("drains:remove {drain}", 2, &["Error: Couldn't find that log drain."]),
];

const WEBHOOKS: &[Step] = &[
    ("webhooks", 0, &["{app} has no webhooks"]),
    (
        "webhooks:add --include api:release,api:build --level notify --url https://hooks.example.com/x",
        0,
        &["Adding webhook to {app}... done", "=== Webhooks Signing Secret"],
    ),
    (
        "webhooks:add --include api:moon --level notify --url https://hooks.example.com/x",
        2,
        &["Error: *api:moon*"],
    ),
    ("webhooks", 0, &["<webhook> https://hooks.example.com/x api:build,api:release notify"]),
    ("webhooks:info {webhook}", 0, &["=== {webhook}", "URL: https://hooks.example.com/x"]),
    (
        "webhooks:update {webhook} --include api:release --level sync --url https://hooks.example.com/y",
        0,
        &["Updating webhook {webhook} for {app}... done"],
    ),
    ("webhooks", 0, &["{webhook} https://hooks.example.com/y api:release sync"]),
    ("webhooks:deliveries", 0, &["{app} has no deliveries"]),
    ("webhooks:events", 0, &["{app} has no events"]),
    ("webhooks:remove {webhook}", 0, &["Removing webhook {webhook} from {app}... done"]),
];

/// There are none yet: refusals say so, and lists are empty.
const ADDONS: &[Step] = &[
    ("addons", 0, &["No add-ons for app {app}."]),
    (
        "addons:create heroku-postgresql:essential-0",
        2,
        &["Error: There are no add-ons on this server yet; *"],
    ),
    ("addons:info heroku-postgresql", 2, &["Error: Couldn't find that add on."]),
    ("addons:plans heroku-postgresql", 2, &["Error: Couldn't find that add on service."]),
    ("pg:info", 0, &["{app} has no heroku-postgresql databases."]),
    ("pg:psql", 1, &["Error: {app} has no databases"]),
    ("telemetry --app {app}", 0, &["There are no telemetry drains in {app}"]),
    (
        "telemetry:add https://otel.example.com --app {app} --transport http",
        2,
        &["Error: There are no telemetry drains here. *"],
    ),
    ("usage:addons --app {app}", 0, &["No usage found for app {app}"]),
    ("apps:destroy --confirm {app}", 0, &["Destroying {app} *... done"]),
];

#[test]
fn features_drains_webhooks_and_no_addons() {
    let server = shared_server!();
    let Some(mut session) = Session::begin(&server, "beside", python()) else { return };
    for script in SCRIPTS {
        session.run(script);
    }
    session.end();
}
