//! Who comes in, what they are given, and what is kept of it.

use super::support::{Answer, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl Server {
    /// Invites somebody, accepts for them, and returns their token.
    pub async fn let_in(&self, email: &str) -> String {
        let invited = self.post("/invitations", json!({"email": email})).await;
        assert_eq!(invited.status, 201, "{invited:?}");
        let body = json!({"token": invited.json()["token"], "name": "A Newcomer"}).to_string();
        let path = "/invitations/actions/accept";
        let headers = [("content-type", "application/json")];
        let came = self.send_as_is(Method::POST, path, &headers, body.as_bytes()).await;
        assert_eq!(came.status, 201, "{came:?}");
        let came = came.json();
        came["authorization"]["access_token"]["token"].as_str().unwrap().to_owned()
    }

    /// Sends JSON with somebody's token.
    pub async fn as_user(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("authorization", authorization.as_str())];
        let body = if method.is_safe() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.send_as_is(method, path, &headers, body.as_bytes()).await
    }

    async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.as_user(token, Method::GET, path, Value::Null).await
    }

    /// Asks until `found` says yes.
    async fn wait_for(&self, token: &str, path: &str, found: impl Fn(&Answer) -> bool) -> Answer {
        let started = Instant::now();
        loop {
            let answer = self.get_as(token, path).await;
            if found(&answer) {
                return answer;
            }
            assert!(started.elapsed() < Duration::from_secs(120), "{path}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn names(list: &Value, pointer: &str) -> Vec<String> {
    let text = |one: &Value| one.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    list.as_array().unwrap().iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_comes_in_by_a_link_that_is_good_once() {
    let server = Server::start().await;
    let invited = server.post("/invitations", json!({"email": "Ben@Example.com"})).await.json();
    assert_eq!(invited["email"], "ben@example.com");
    let (secret, url) = (invited["token"].as_str().unwrap(), invited["url"].as_str().unwrap());
    assert!(url.ends_with(&format!("/invitations/{secret}")), "{url}");
    let page = server.send_as_is(Method::GET, &format!("/invitations/{secret}"), &[], b"").await;
    assert!(page.text().contains("windlass invitations:accept http"), "{page:?}");
    let open = server.get("/invitations").await.json();
    assert_eq!(open[0]["email"], "ben@example.com");
    assert_eq!(open[0].get("token"), None, "only its hash is kept");

    let body = json!({"token": secret, "name": "Ben"}).to_string();
    let accept = async || {
        let headers = [("content-type", "application/json")];
        let path = "/invitations/actions/accept";
        server.send_as_is(Method::POST, path, &headers, body.as_bytes()).await
    };
    let came = accept().await;
    assert_eq!(came.status, StatusCode::CREATED, "{came:?}");
    let token = came.json()["authorization"]["access_token"]["token"].as_str().unwrap().to_owned();
    accept().await.refused(404, "not_found");
    let account = server.get_as(&token, "/account").await.json();
    assert_eq!((&account["email"], &account["name"]), (&json!("ben@example.com"), &json!("Ben")));
    server
        .post("/invitations", json!({"email": "ben@example.com"}))
        .await
        .refused(422, "invalid_params");
    server.get_as(&token, "/users").await.refused(403, "forbidden");
    server.get_as(&token, "/users/ada@example.com").await.refused(404, "not_found");
    assert_eq!(
        names(&server.get("/users").await.json(), "/email"),
        ["ada@example.com", "ben@example.com"]
    );

    let renamed =
        server.as_user(&token, Method::PATCH, "/account", json!({"name": "Benjamin"})).await;
    assert_eq!(renamed.json()["name"], "Benjamin");
    let password = json!({"password": "s3cret"});
    server
        .as_user(&token, Method::PATCH, "/account", password)
        .await
        .refused(403, "passwords_unsupported");
    assert_eq!(
        server.as_user(&token, Method::POST, "/apps", json!({"name": "bens"})).await.status,
        201
    );
    let message = server.delete("/users/ben@example.com").await.refused(409, "conflict");
    assert!(message.contains("bens"), "{message}");
    server.delete("/apps/bens").await;
    assert_eq!(server.delete("/users/ben@example.com").await.status, 200);
    server.get_as(&token, "/account").await.refused(401, "unauthorized");
    server.delete("/users/ada@example.com").await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn collaborators_get_what_they_are_given() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    server.app("bibly").await;
    server.get_as(&ben, "/apps/bibly").await.refused(404, "not_found");
    let path = "/apps/bibly/collaborators";
    let unknown = server.post(path, json!({"user": "eve@example.com"})).await;
    assert!(
        unknown.refused(422, "invalid_params").contains("windlass users:invite eve@example.com")
    );
    let added = server.post(path, json!({"user": "ben@example.com", "silent": true})).await;
    assert_eq!(added.status, 201);
    assert_eq!(names(&added.json()["permissions"], "/name"), ["view", "deploy", "operate"]);
    server.post(path, json!({"user": "ben@example.com"})).await.refused(422, "invalid_params");
    assert_eq!(names(&server.get(path).await.json(), "/role"), ["owner", "collaborator"]);
    assert_eq!(names(&server.get_as(&ben, "/apps").await.json(), "/name"), ["bibly"]);
    let one = format!("{path}/ben%40example.com");
    assert_eq!(server.get(&one).await.json()["id"], added.json()["id"]);
    assert_eq!(server.get(&format!("{path}/ada@example.com")).await.json()["role"], "owner");
    assert_eq!(server.get_as(&ben, &format!("{path}/~")).await.json()["id"], added.json()["id"]);

    let all = json!({"permissions": ["manage"]});
    server.as_user(&ben, Method::PATCH, &one, all).await.refused(403, "forbidden");
    let look = json!({"permissions": ["view"]});
    assert_eq!(server.patch(&one, look).await.status, 200);
    server.patch(&one, json!({"permissions": ["rule"]})).await.refused(422, "invalid_params");
    server.patch(&one, json!({"permissions": []})).await.refused(422, "invalid_params");
    server.get_as(&ben, "/apps/bibly/config-vars").await.refused(403, "forbidden");
    let left = server.as_user(&ben, Method::DELETE, &format!("{path}/~"), json!({})).await;
    assert_eq!(left.status, 200);
    server.get_as(&ben, "/apps/bibly").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_has_apps_and_members_with_roles() {
    let server = Server::start().await;
    let [ann, ben, eve] = [
        server.let_in("ann@example.com").await,
        server.let_in("ben@example.com").await,
        server.let_in("eve@example.com").await,
    ];
    let made = server.as_user(&ann, Method::POST, "/teams", json!({"name": "makers"})).await;
    assert_eq!((made.status, &made.json()["role"]), (StatusCode::CREATED, &json!("admin")));
    server.get_as(&ben, "/teams/makers").await.refused(404, "not_found");
    let members = "/teams/makers/members";
    let put = |who: &'static str, role: &'static str| {
        server.as_user(&ann, Method::PUT, members, json!({"email": who, "role": role}))
    };
    assert_eq!(put("ben@example.com", "member").await.status, 200);
    assert_eq!(put("eve@example.com", "viewer").await.status, 200);
    put("ben@example.com", "owner").await.refused(422, "invalid_params");
    put("ann@example.com", "member").await.refused(409, "conflict");
    let promoted = json!({"email": "eve@example.com", "role": "admin"});
    server.as_user(&ben, Method::PUT, members, promoted).await.refused(403, "forbidden");
    assert_eq!(server.get_as(&ben, "/teams").await.json()[0]["role"], "member");

    let create = json!({"name": "bibly", "team": "makers"});
    server
        .as_user(&eve, Method::POST, "/teams/apps", create.clone())
        .await
        .refused(403, "forbidden");
    let app = server.as_user(&ann, Method::POST, "/teams/apps", create).await;
    assert_eq!(app.status, 201, "{app:?}");
    let app = app.json();
    assert_eq!(app["owner"]["email"], "makers@herokumanager.com");
    assert_eq!((&app["team"]["name"], &app["joined"]), (&json!("makers"), &json!(true)));
    assert_eq!(server.get_as(&ben, "/apps/bibly").await.json()["organization"]["name"], "makers");
    server.get_as(&ben, "/apps/bibly/config-vars").await.refused(403, "forbidden");

    let join = json!({"user": "ben@example.com", "permissions": ["manage"]});
    let path = "/teams/apps/bibly/collaborators";
    server.as_user(&eve, Method::POST, path, json!({"user": "~"})).await.refused(403, "forbidden");
    let joined = server.as_user(&ben, Method::POST, path, join).await.json();
    assert_eq!(
        names(&joined["permissions"], "/name"),
        ["view", "deploy", "operate"],
        "no more than is usual"
    );
    assert_eq!(server.get_as(&ben, "/apps/bibly/config-vars").await.status, 200);
    // Clients list admins by themselves, and know by the role whom they have already.
    let listed = server.get_as(&ben, path).await.json();
    assert_eq!(names(&listed, "/role"), ["owner", "admin", "member"], "{listed}");
    assert_eq!(names(&listed[1]["permissions"], "/name").len(), 4, "{listed}");
    let entities = server.get_as(&ben, "/teams/makers/permissions").await.json();
    assert_eq!(names(&entities, "/name"), ["bibly"]);
    let users = &entities[0]["users"];
    assert_eq!(names(users, "/email"), ["ann@example.com", "ben@example.com"], "{users}");
    assert_eq!(users[1]["permissions"], json!(["view", "deploy", "operate"]));
    let lock = json!({"locked": true});
    server
        .as_user(&ben, Method::PATCH, "/teams/apps/bibly", lock.clone())
        .await
        .refused(403, "forbidden");
    assert_eq!(
        server.as_user(&ann, Method::PATCH, "/teams/apps/bibly", lock).await.json()["locked"],
        true
    );
    server.get_as(&eve, "/apps/bibly").await.refused(404, "not_found");
    assert_eq!(names(&server.get_as(&ben, "/teams/makers/apps").await.json(), "/name"), ["bibly"]);
    assert_eq!(server.get_as(&eve, "/teams/makers/apps").await.json(), json!([]));

    server.as_user(&ann, Method::DELETE, "/teams/makers", json!({})).await.refused(409, "conflict");
    let out = format!("{members}/ben@example.com");
    assert_eq!(server.as_user(&ann, Method::DELETE, &out, json!({})).await.status, 200);
    server.get_as(&ben, "/apps/bibly").await.refused(404, "not_found");
    let own = json!({"owner": "ann@example.com"});
    let given = server.as_user(&ann, Method::PATCH, "/teams/apps/bibly", own).await;
    assert_eq!(
        (&given.json()["owner"]["email"], &given.json()["team"]),
        (&json!("ann@example.com"), &json!(null))
    );
    let back = json!({"owner": "makers"});
    let given = server.as_user(&ann, Method::PATCH, "/teams/apps/bibly", back).await;
    assert_eq!(given.json()["team"]["name"], "makers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_to_a_team_is_for_its_address() {
    let server = Server::start().await;
    let [ann, ben] =
        [server.let_in("ann@example.com").await, server.let_in("ben@example.com").await];
    server.as_user(&ann, Method::POST, "/teams", json!({"name": "makers"})).await;
    let path = "/teams/makers/invitations";
    let invite = |email: &str| json!({"email": email, "role": "member"});
    let newcomer = server.as_user(&ann, Method::PUT, path, invite("new@example.com")).await;
    assert!(newcomer.refused(403, "forbidden").contains("the server's owner"));
    let invited = server.as_user(&ann, Method::PUT, path, invite("ben@example.com")).await.json();
    let secret = invited["token"].as_str().unwrap();
    let accept = format!("/teams/invitations/{secret}/accept");
    server.post(&accept, json!({})).await.refused(403, "forbidden");
    let seen = server.get_as(&ben, &format!("/teams/invitations/{secret}")).await.json();
    assert_eq!((&seen["team"]["name"], &seen["role"]), (&json!("makers"), &json!("member")));
    let joined = server.as_user(&ben, Method::POST, &accept, json!({})).await;
    assert_eq!(joined.json()["role"], "member", "{joined:?}");
    server.as_user(&ben, Method::POST, &accept, json!({})).await.refused(404, "not_found");
    let token = server.token.clone();
    let second = server.as_user(&token, Method::PUT, path, invite("new@example.com")).await.json();
    let open = server.get_as(&ben, path).await.json();
    assert_eq!(names(&open, "/user/email"), ["new@example.com"]);
    let one = format!("{path}/{}", second["id"].as_str().unwrap());
    server.as_user(&ben, Method::DELETE, &one, json!({})).await.refused(403, "forbidden");
    assert_eq!(server.delete(&one).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_handed_over_when_its_recipient_accepts() {
    let server = Server::start().await;
    let [ann, ben] =
        [server.let_in("ann@example.com").await, server.let_in("ben@example.com").await];
    server.as_user(&ann, Method::POST, "/apps", json!({"name": "bibly"})).await;
    let path = "/account/app-transfers";
    let offer = json!({"app": "bibly", "recipient": "ben@example.com"});
    server.as_user(&ben, Method::POST, path, offer.clone()).await.refused(404, "not_found");
    let offered = server.as_user(&ann, Method::POST, path, offer).await;
    assert_eq!(offered.json()["state"], "pending", "{offered:?}");
    let one = format!("{path}/{}", offered.json()["id"].as_str().unwrap());
    let answer = |state: &str| json!({"state": state});
    server.as_user(&ann, Method::PATCH, &one, answer("accepted")).await.refused(403, "forbidden");
    server.patch(&one, answer("accepted")).await.refused(404, "not_found");
    let accepted = server.as_user(&ben, Method::PATCH, &one, answer("accepted")).await;
    assert_eq!(accepted.json()["state"], "accepted");
    server.as_user(&ben, Method::PATCH, &one, answer("declined")).await.refused(409, "conflict");
    assert_eq!(
        server.get_as(&ben, "/apps/bibly").await.json()["owner"]["email"],
        "ben@example.com"
    );
    server.get_as(&ann, "/apps/bibly").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changed_what_is_written_down() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    server.app("bibly").await;
    server
        .post(
            "/apps/bibly/collaborators",
            json!({"user": "ben@example.com", "permissions": ["deploy"]}),
        )
        .await;
    let changed =
        server.as_user(&ben, Method::PATCH, "/apps/bibly/config-vars", json!({"A": "1"})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    server.as_user(&ben, Method::DELETE, "/apps/bibly", json!({})).await.refused(403, "forbidden");
    server.get_as(&ben, "/apps/bibly/activity").await.refused(403, "forbidden");
    server.get_as(&ben, "/activity").await.refused(403, "forbidden");
    let path = "/apps/bibly/activity";
    let trail = server.wait_for(&server.token, path, |answer| {
        answer.json().as_array().is_some_and(|entries| entries.len() == 3)
    });
    let trail = trail.await.json();
    let actions = ["PATCH /apps/{app}/config-vars", "POST /apps/{app}/collaborators", "POST /apps"];
    assert_eq!(names(&trail, "/action"), actions);
    let newest = &trail[0];
    assert_eq!(
        (&newest["user"]["email"], &newest["address"]),
        (&json!("ben@example.com"), &json!("127.0.0.1"))
    );
    assert_eq!(newest["request_id"], changed.headers["request-id"].to_str().unwrap());
    assert_eq!(newest["token"], "First token, of the invitation");
    let all = server.get("/activity").await.json();
    let came = json!("POST /invitations/actions/accept");
    let came = all.as_array().unwrap().iter().find(|entry| entry["action"] == came);
    assert_eq!(came.unwrap()["address"], "127.0.0.1", "{all}");
}
