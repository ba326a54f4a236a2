//! Who somebody is: login, tokens, keys, and what is the same for all.

use crate::support::{own_server, python};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[TOKENS, KEYS, SERVER];

const TOKENS: &[Step] = &[
    ("auth:whoami", 0, &["owner@localhost"]),
    ("auth:token", 0, &["{token}"]),
    ("authorizations", 0, &["Description ID Scope", "Owner's first token * global"]),
    (
        "authorizations:create --description ci --expires-in 3600 --scope read",
        0,
        &[
            "Creating OAuth Authorization... done",
            "Client: <none>",
            "ID: <authorization>",
            "Description: ci",
            "Scope: read",
            "Token: <created>",
        ],
    ),
    ("authorizations:info {authorization}", 0, &["Description: ci", "Scope: read"]),
    (
        "authorizations:update {authorization} --description nightly",
        0,
        &["Updating OAuth Authorization... done", "Description: nightly"],
    ),
    (
        "authorizations:rotate {authorization}",
        0,
        &["Rotating OAuth Authorization... done", "Token: <rotated>", "!Token: {created}"],
    ),
    ("authorizations", 0, &["nightly {authorization} read", "!* {created} *"]),
    (
        "authorizations:revoke {authorization}",
        0,
        &["Revoking OAuth Authorization... done, revoked authorization from nightly"],
    ),
    ("authorizations:info {authorization}", 2, &["Error: Couldn't find that *"]),
    ("clients", 2, &["Error: There are no OAuth clients here: *"]),
    ("sessions", 0, &["No OAuth sessions."]),
    ("sessions:destroy one", 2, &["Error: Couldn't find that session."]),
];

const KEYS: &[Step] = &[
    ("keys", 0, &["Warning: You have no SSH keys."]),
    ("keys:add {key}.pub --yes", 0, &["Uploading {key}.pub SSH key... done"]),
    ("keys", 0, &["=== owner@localhost keys", "ssh-ed25519 AAAAC3NzaC...* me@laptop"]),
    ("keys --long", 0, &["{public}"]),
    ("keys:add {key}.pub --yes", 2, &["Error: *already *"]),
    ("keys:add {key} --yes", 2, &["Error: *"]),
    ("keys:remove you@desktop", 1, &["Error: SSH Key you@desktop not found."]),
    ("keys:remove me@laptop", 0, &["Removing me@laptop SSH key... done"]),
    ("keys:clear", 0, &["Removing all SSH keys... done"]),
];

const SERVER: &[Step] = &[
    ("regions", 0, &["ID Location Runtime", "local This server Common Runtime"]),
    ("status", 0, &["Apps: No known issues at this time.", "Tools: No known issues at this time."]),
    ("labs", 0, &["=== User Features owner@localhost"]),
    ("spaces", 2, &["Error: You do not have access to any spaces."]),
];

#[test]
fn account_tokens_and_keys() {
    let server = own_server!();
    let Some(mut session) = Session::begin(&server, "account", python()) else { return };
    let key = session.path("id_ed25519").display().to_string();
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f", &key]);
    let _ = windlass_testkit::command::run(&mut keygen, b"").success();
    let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
    session.set("key", key);
    session.set("public", public.trim());
    for script in SCRIPTS {
        session.run(script);
    }
    session.end();
}
