//! Who works on an app: collaborators, teams and their members.

use crate::support::{own_server, python};
use windlass_testkit::command;
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[ACCESS, TEAMS];

const ACCESS: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("access", 0, &["owner@localhost owner deploy, manage, operate, view"]),
    ("access:add bob@example.com", 0, &["Adding bob@example.com access to the app {app}... done"]),
    (
        "access:add bob@example.com",
        2,
        &["Error: bob@example.com is a collaborator of {app} already."],
    ),
    ("access", 0, &["bob@example.com collaborator deploy, operate, view"]),
    (
        "access:remove bob@example.com",
        0,
        &["Removing bob@example.com access from the app {app}... done"],
    ),
    ("access:remove bob@example.com", 2, &["Error: Couldn't find that collaborator."]),
    ("access", 0, &["!bob@example.com *"]),
    ("access:add nobody@example.com", 2, &["Error: nobody@example.com has no account here yet. *"]),
    ("apps:transfer nobody@example.com", 2, &["Error: nobody@example.com has no account *"]),
    ("apps:transfer bob@example.com", 0, &["Initiating transfer of {app} to bob@example.com... *"]),
];

const TEAMS: &[Step] = &[
    ("teams", 0, &["acme admin"]),
    ("members --team acme", 0, &["owner@localhost admin*"]),
    (
        "members:add --team acme --role member bob@example.com",
        0,
        &["Adding bob@example.com to acme as member... done"],
    ),
    ("members --team acme", 0, &["bob@example.com member*"]),
    (
        "members:set --team acme --role admin bob@example.com",
        0,
        &["Adding bob@example.com to acme as admin... done"],
    ),
    ("members --team acme --role admin", 0, &["bob@example.com admin*"]),
    ("create {app}-team --team acme --remote team", 0, &["Creating {app}-team... done"]),
    ("apps --team acme", 0, &["=== Apps in team acme", "{app}-team (local)"]),
    (
        "access --app {app}-team",
        0,
        &["owner@localhost admin deploy, manage, operate, view", "!owner@localhost collaborator *"],
    ),
    ("apps:transfer acme --app {app}", 0, &["Transferring {app} to acme... done"]),
    ("apps:lock --app {app}", 0, &["Locking {app}... done"]),
    ("apps:unlock --app {app}", 0, &["Unlocking {app}... done"]),
    (
        "members:remove --team acme bob@example.com",
        0,
        &["Removing bob@example.com from acme... done"],
    ),
    ("apps:destroy --app {app}-team --confirm {app}-team", 0, &["Destroying {app}-team *... done"]),
    ("apps:destroy --app {app} --confirm {app}", 0, &["Destroying {app} *... done"]),
];

#[test]
fn collaborators_and_teams() {
    let server = own_server!();
    let Some(mut session) = Session::begin(&server, "shared", python()) else { return };
    let invited = server.cli(&["users:invite", "bob@example.com"]).success();
    let link = invited.split_whitespace().find(|word| word.contains("/invitations/"));
    let mut accept = server.bare_client(&["invitations:accept", link.expect("there is a link")]);
    let _ = command::run(accept.env("HOME", session.path("bob")), b"").success();
    session.run(ACCESS);
    let _ = server.cli(&["teams:create", "acme"]).success();
    session.run(TEAMS);
    session.end();
}
