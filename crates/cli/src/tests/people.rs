use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};

fn collaborator(email: &str, role: &str, permissions: &[&str]) -> Value {
    let permissions: Vec<_> =
        permissions.iter().map(|name| json!({"name": name, "description": ""})).collect();
    json!({
        "id": U, "app": reference("bibly"), "user": {"id": U, "email": email, "federated": false},
        "role": role, "permissions": permissions, "created_at": T, "updated_at": T,
    })
}

fn authorization(token: &str) -> Value {
    json!({
        "id": "a1", "access_token": {"id": U, "token": token, "expires_in": null},
        "client": null, "grant": null, "refresh_token": null, "session": null,
        "scope": ["read"], "description": "CI",
        "user": {"id": U, "email": "ben@example.com", "full_name": null},
        "created_at": T, "updated_at": T, "expires_at": "2026-02-02T03:04:05Z", "last_used_at": null,
    })
}

#[test]
fn access_is_listed_given_changed_and_taken() {
    let server = Server::start();
    let path = "/apps/bibly/collaborators";
    let ben = collaborator("ben@example.com", "collaborator", &["view", "deploy"]);
    let owner = collaborator("owner@example.com", "owner", &["view", "manage"]);
    let one = format!("{path}/ben%40example.com");
    server
        .on(&format!("GET {path}"), 200, json!([owner, ben]))
        .on(&format!("POST {path}"), 201, ben.clone())
        .on(&format!("PATCH {one}"), 200, ben)
        .on(&format!("DELETE {one}"), 200, "{}");
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("access").stdout,
        "Who                Role          Permissions\n\
         owner@example.com  owner         view, manage\n\
         ben@example.com    collaborator  view, deploy\n"
    );
    let added = machine.run("access:add ben@example.com --permissions view,deploy").stderr;
    assert_eq!(added, "Adding ben@example.com to ⬢ bibly... done, with view, deploy\n");
    let body = json!({"user": "ben@example.com", "permissions": ["view", "deploy"]});
    assert_eq!(server.body(&format!("POST {path}")), body);
    machine.run("access:update ben@example.com -p deploy").result.unwrap();
    assert_eq!(server.body(&format!("PATCH {one}")), json!({"permissions": ["deploy"]}));
    let removed = machine.run("access:remove ben@example.com").stderr;
    assert_eq!(removed, "Removing ben@example.com from ⬢ bibly... done\n");
}

#[test]
fn an_invitation_is_a_link_that_logs_in() {
    let server = Server::start();
    let url = format!("{}/invitations/5e0f", server.url());
    let invitation = json!({
        "id": U, "email": "ben@example.com", "invited_by": {"id": U, "email": "owner@example.com"},
        "created_at": T, "expires_at": T, "token": "5e0f", "url": url,
    });
    let accepted = json!({
        "user": {"id": U, "email": "ben@example.com", "name": "Ben"},
        "authorization": authorization("wl-1"),
    });
    server
        .on("POST /invitations", 201, invitation)
        .on("POST /invitations/actions/accept", 201, accepted)
        .on("GET /account", 200, account());
    let invited = Machine::using(&server).run("users:invite ben@example.com");
    assert_eq!(invited.stdout, format!("{url}\n"));
    assert!(invited.stderr.contains("good once"), "{}", invited.stderr);

    let machine = Machine::bare();
    let ended = machine.run_words(&["invitations:accept", &url, "--name", "Ben"]);
    ended.result.unwrap();
    assert!(ended.stderr.ends_with("as ben@example.com\n"), "{}", ended.stderr);
    let body = json!({"token": "5e0f", "name": "Ben"});
    assert_eq!(server.body("POST /invitations/actions/accept"), body);
    machine.run("whoami").result.unwrap();
    let sent = server.requests().pop().unwrap().headers["authorization"].clone();
    assert_eq!(sent, "Bearer wl-1");
    for wrong in ["https://example.com", "https://example.com/invitations/", "x/invitations/a%2fb"]
    {
        let error = Machine::bare().run_words(&["invitations:accept", wrong]).error();
        assert_eq!(error.kind, ErrorKind::Usage, "{wrong}");
    }
}

#[test]
fn an_account_is_taken_only_from_whom_was_meant() {
    let server = Server::start();
    let path = "/users/owner%40example.com";
    server.on(&format!("GET {path}"), 200, account()).on(&format!("DELETE {path}"), 200, account());
    let deletes = || server.requests().iter().filter(|one| one.line.starts_with("DELETE")).count();
    let mut machine = Machine::using(&server);
    let line = "users:remove owner@example.com";
    let error = machine.run(line).error();
    assert_eq!(
        (error.kind, error.hint.as_deref()),
        (ErrorKind::Refused, Some("Pass --confirm owner@example.com to go ahead."))
    );
    let error = machine.run(&format!("{line} --confirm ben@example.com")).error();
    assert_eq!(error.kind, ErrorKind::Refused);
    machine.stdin_terminal = true;
    machine.input = "no\n".to_owned();
    assert_eq!(machine.run(line).error().kind, ErrorKind::Refused);
    assert_eq!(deletes(), 0);
    machine.input = "owner@example.com\n".to_owned();
    let ended = machine.run(line);
    assert!(ended.stderr.contains("type owner@example.com or pass"), "{}", ended.stderr);
    ended.result.unwrap();
    machine.run(&format!("{line} --confirm owner@example.com")).result.unwrap();
    assert_eq!(deletes(), 2);
}

#[test]
fn tokens_are_made_with_scope_expiry_and_a_code() {
    let server = Server::start();
    let path = "/oauth/authorizations";
    server.on(&format!("POST {path}"), 201, authorization("wl-1")).on(
        &format!("POST {path}/a1/actions/regenerate-tokens"),
        200,
        authorization("wl-2"),
    );
    let machine = Machine::using(&server);
    let line = "authorizations:create -d CI --scope read,write --expires-in 60 --code 123456";
    assert_eq!(
        machine.run(line).stdout,
        "Description: CI\nId:          a1\nScope:       read\nExpires:     2026/02/02 03:04 +0000 (in 30d)\nToken:       wl-1\n"
    );
    let body = json!({"description": "CI", "scope": ["read", "write"], "expires_in": 60});
    assert_eq!(server.body(&format!("POST {path}")), body);
    assert_eq!(server.requests()[0].headers["heroku-two-factor-code"], "123456");
    assert_eq!(machine.run("authorizations:rotate a1 -S").stdout, "wl-2\n");

    let refusing = Server::start();
    refusing.on(&format!("POST {path}"), 403, error("two_factor", "This needs your code."));
    let error = Machine::using(&refusing).run("authorizations:create").error();
    assert_eq!(
        (error.kind, error.hint.as_deref()),
        (ErrorKind::Refused, Some("Pass it with --code CODE."))
    );
}

#[test]
fn a_second_factor_is_shown_confirmed_and_given_up() {
    let server = Server::start();
    let path = "/account/two-factor";
    server
        .on(&format!("GET {path}"), 200, json!({"enabled": true, "recovery_codes_left": 9}))
        .on(&format!("POST {path}"), 201, json!({"secret": "MZXW", "url": "otpauth://x"}))
        .on(
            &format!("POST {path}/actions/confirm"),
            200,
            json!({"recovery_codes": ["aa-bb", "cc-dd"]}),
        )
        .on(&format!("DELETE {path}"), 200, json!({"enabled": false, "recovery_codes_left": 0}));
    let mut machine = Machine::using(&server);
    assert_eq!(machine.run("2fa").stdout, "on, 9 recovery codes left\n");
    assert_eq!(machine.run("2fa:enable").error().kind, ErrorKind::Usage, "there is nobody to ask");
    machine.input = "123456\n".to_owned();
    let enabled = machine.run("2fa:enable").stdout;
    assert_eq!(enabled, "Secret: MZXW\nURL:    otpauth://x\naa-bb\ncc-dd\n");
    assert_eq!(server.body(&format!("POST {path}/actions/confirm")), json!({"code": "123456"}));
    machine.run("2fa:disable --code 654321").result.unwrap();
    assert_eq!(server.requests().pop().unwrap().headers["heroku-two-factor-code"], "654321");
}

#[test]
fn passkeys_are_listed_added_renamed_and_removed() {
    let server = Server::start();
    let path = "/account/passkeys";
    let passkey = |id: &str, name: &str| {
        json!({
            "id": id, "name": name, "relying_party": "api.example.com", "synced": name == "Phone",
            "transports": ["internal"], "created_at": T, "last_used_at": null,
        })
    };
    let (key, other) = (passkey("p1", "Key"), passkey("p2", "Phone"));
    server
        .on(&format!("GET {path}"), 200, json!([key, other, passkey("p3", "Phone")]))
        .on(
            &format!("POST {path}/links"),
            201,
            json!({"url": "https://api.example.com/auth/passkeys/x", "expires_at": T}),
        )
        .on(&format!("PATCH {path}/p1"), 200, passkey("p1", "Yellow key"))
        .on(&format!("DELETE {path}/p1"), 200, key.clone())
        .on("DELETE /users/ben%40example.com/passkeys", 200, account());
    let machine = Machine::using(&server);
    let listed = machine.run("passkeys").stdout;
    assert!(listed.contains("Key") && listed.contains("never"), "{listed}");
    let listed: Value = serde_json::from_str(&machine.run("passkeys --json").stdout).unwrap();
    assert_eq!(listed[0], key);
    assert_eq!(
        machine.run("passkeys:add --code 123456").stdout,
        "https://api.example.com/auth/passkeys/x\n"
    );
    assert_eq!(server.requests().pop().unwrap().headers["heroku-two-factor-code"], "123456");
    let added = machine.run("passkeys:add --json").stdout;
    assert!(added.contains("expires_at"), "{added}");
    machine.run_words(&["passkeys:rename", "Key", "Yellow key"]).result.unwrap();
    assert_eq!(server.body(&format!("PATCH {path}/p1")), json!({"name": "Yellow key"}));
    machine.run("passkeys:remove p1 --code 654321").result.unwrap();
    assert_eq!(server.requests().pop().unwrap().headers["heroku-two-factor-code"], "654321");
    assert_eq!(machine.run("passkeys:remove Lost").error().kind, ErrorKind::NotFound);
    assert_eq!(machine.run("passkeys:remove Phone").error().kind, ErrorKind::Usage);
    machine.run("users:reset-passkeys ben@example.com").result.unwrap();
    let last = server.requests().pop().unwrap().line;
    assert_eq!(last, "DELETE /users/ben%40example.com/passkeys");
}

#[test]
fn activity_is_shown_oldest_first() {
    let server = Server::start();
    let entry = |number: u64, action: &str| {
        json!({
            "id": U, "number": number, "created_at": T, "user": {"id": U, "email": "ben@example.com"},
            "token": "laptop", "app": reference("bibly"), "action": action, "address": "10.0.0.1",
            "request_id": U,
        })
    };
    let entries = json!([entry(2, "PATCH /apps/{app}"), entry(1, "POST /apps")]);
    server.on("GET /apps/bibly/activity", 200, entries.clone()).on("GET /activity", 200, entries);
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("activity").stdout,
        "When                                  Who              Token   App    What             From\n\
         2026/01/02 03:04:05 +0000 (~ 1m ago)  ben@example.com  laptop  bibly  created the app  10.0.0.1\n\
         2026/01/02 03:04:05 +0000 (~ 1m ago)  ben@example.com  laptop  bibly  changed the app  10.0.0.1\n"
    );
    assert_eq!(server.requests()[0].headers["range"], "created_at ..; order=desc,max=30");
    let json: Value = serde_json::from_str(&machine.run("activity --json").stdout).unwrap();
    assert_eq!(json[0]["action"], "PATCH /apps/{app}", "programs get what the server says");
    machine.run("activity --all --num 5").result.unwrap();
    assert_eq!(server.requests()[2].line, "GET /activity");
}

#[test]
fn teams_and_their_members_are_shown_and_changed() {
    let server = Server::start();
    let team = json!({
        "id": U, "name": "makers", "credit_card_collections": false, "default": false,
        "enterprise_account": null, "identity_provider": null, "membership_limit": null,
        "provisioned_licenses": false, "role": "admin", "type": "team", "created_at": T, "updated_at": T,
    });
    let person = json!({"id": U, "email": "ben@example.com", "name": null});
    let member = json!({
        "id": U, "email": "ben@example.com", "federated": false, "identity_provider": null,
        "role": "member", "two_factor_authentication": true, "user": person,
        "created_at": T, "updated_at": T,
    });
    server
        .on("GET /teams", 200, json!([team]))
        .on("POST /teams", 201, team)
        .on("GET /teams/makers/members", 200, json!([member]))
        .on("GET /teams/makers/invitations", 200, json!([]))
        .on("PUT /teams/makers/members", 200, member)
        .on("DELETE /teams/makers/members/ben%40example.com", 200, "{}");
    let machine = Machine::using(&server);
    assert_eq!(machine.run("teams").stdout, "Team    Your role\nmakers  admin\n");
    machine.run("teams:create makers").result.unwrap();
    assert_eq!(
        machine.run("members -t makers").stdout,
        "Who              Role    Two-factor\nben@example.com  member  yes\n"
    );
    machine.run("members:add ben@example.com -t makers --role viewer").result.unwrap();
    let body = json!({"email": "ben@example.com", "role": "viewer"});
    assert_eq!(server.body("PUT /teams/makers/members"), body);
    machine.run("members:remove ben@example.com -t makers").result.unwrap();
}
