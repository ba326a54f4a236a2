//! What strangers, people with few permissions, and people who have left try.

use super::support::{Answer, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn path(url: &Value) -> String {
    format!("/{}", url.as_str().unwrap().splitn(4, '/').last().unwrap())
}

impl Server {
    /// Lets somebody in who may only look at an app.
    async fn viewer(&self, app: &str, email: &str) -> String {
        let token = self.let_in(email).await;
        let body = json!({"user": email, "permissions": ["view"]});
        let given = self.post(&format!("/apps/{app}/collaborators"), body).await;
        assert_eq!(given.status, 201, "{given:?}");
        token
    }

    async fn get_with(&self, token: &str, path: &str) -> Answer {
        self.as_user(token, Method::GET, path, Value::Null).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_gets_no_code_and_sends_none() {
    let server = Server::start().await;
    server.app("shop").await;
    let eve = server.viewer("shop", "eve@example.com").await;
    let made = server.post("/apps/shop/slugs", json!({"process_types": {"web": "x"}})).await.json();
    let slug = format!("/apps/shop/slugs/{}", made["id"].as_str().unwrap());
    let hers = path(&server.get_with(&eve, &slug).await.json()["blob"]["url"]);
    let sent = server.send_as_is(Method::PUT, &hers, &[], b"evil").await;
    sent.refused(403, "forbidden");
    let own = path(&made["blob"]["url"]);
    assert_eq!(server.send_as_is(Method::PUT, &own, &[], b"the code").await.status, 200);
    let hers = path(&server.get_with(&eve, &slug).await.json()["blob"]["url"]);
    server.send_as_is(Method::GET, &hers, &[], b"").await.refused(403, "forbidden");
    assert_eq!(server.send_as_is(Method::GET, &own, &[], b"").await.body, b"the code"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_somebody_follows_ends_when_they_may_not_see_the_app_any_more() {
    let server = Server::start().await;
    server.app("shop").await;
    let eve = server.viewer("shop", "eve@example.com").await;
    let sessions = "/apps/shop/log-sessions";
    let session = server.as_user(&eve, Method::POST, sessions, json!({"tail": true})).await.json();
    let log = path(&session["logplex_url"]);
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {log} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
    let taken = server.delete("/apps/shop/collaborators/eve@example.com").await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let end = async {
        let mut rest = Vec::new();
        let mut piece = [0; 1024];
        // The end of a chunked answer.
        while !rest.ends_with(b"\r\n0\r\n\r\n") {
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "the connection is not cut");
            rest.extend_from_slice(&piece[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), end).await.expect("the stream ends");
    server.send_as_is(Method::GET, &log, &[], b"").await.refused(404, "not_found");
}

/// The admin of a team holds the secret of an invitation to somebody who then leaves the server.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_back_by_an_invitation_from_before() {
    let server = Server::start().await;
    let eve = server.let_in("eve@example.com").await;
    let ben = server.let_in("ben@example.com").await;
    let token = json!({"host": "github.com", "token": "hush"});
    let stored = server.as_user(&ben, Method::PUT, "/account/git-credentials", token).await;
    assert_eq!(stored.status, 200, "{stored:?}");
    let pipeline = server.as_user(&ben, Method::POST, "/pipelines", json!({"name": "line"})).await;
    assert_eq!(pipeline.status, 201, "{pipeline:?}");
    server.as_user(&eve, Method::POST, "/teams", json!({"name": "makers"})).await;
    let body = json!({"email": "ben@example.com", "role": "member"});
    let invited = server.as_user(&eve, Method::PUT, "/teams/makers/invitations", body).await;
    let secret = invited.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(server.delete("/users/ben@example.com").await.status, 200);
    let accept = async |secret: &str| {
        let headers = [("content-type", "application/json")];
        let body = json!({"token": secret}).to_string();
        let path = "/invitations/actions/accept";
        server.send_as_is(Method::POST, path, &headers, body.as_bytes()).await
    };
    accept(&secret).await.refused(404, "not_found");

    // Invited again they find nothing of what they had.
    let ben = server.let_in("ben@example.com").await;
    let tokens = server.get_with(&ben, "/account/git-credentials").await;
    assert_eq!(tokens.json(), json!([]));
    server.get_with(&ben, "/pipelines/line").await.refused(404, "not_found");
    assert_eq!(server.get("/pipelines/line").await.json()["owner"]["type"], "user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_widen_or_outlive_itself_by_other_doors() {
    let server = Server::start().await;
    server.app("shop").await;
    let token = async |scope: &str| {
        let made = server.post("/oauth/authorizations", json!({"scope": [scope]})).await.json();
        made["access_token"]["token"].as_str().unwrap().to_owned()
    };
    // A command of one's own sees the config vars.
    let job = json!({"name": "spy", "schedule": "@daily", "command": "env"});
    let write = token("write").await;
    let path = "/apps/shop/cron-jobs";
    let made = server.as_user(&write, Method::POST, path, job).await;
    assert!(made.refused(403, "forbidden").contains("write-protected"));

    let read = token("read").await;
    let begun = server.post("/auth", json!({})).await.json();
    let page = begun["browser_url"].as_str().unwrap();
    let form = format!("token={read}&code=");
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let answer = server.send_as_is(Method::POST, page, &kind, form.as_bytes()).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_counted_at_every_door() {
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("heroku:{secret}")));
    for (method, path, condition) in [
        (Method::GET, "/shop.git/info/refs?service=git-upload-pack", None),
        (Method::GET, "/v2/", None),
        (Method::GET, "/v2/shop/web/tags/list", None),
        // What is asked to see whether the condition holds.
        (Method::PATCH, "/apps/shop", Some(("if-match", "\"x\""))),
    ] {
        let server = Server::start().await;
        server.app("shop").await;
        let ask = async |secret: &str| {
            let authorization = basic(secret);
            let mut headers = vec![("authorization", authorization.as_str())];
            headers.extend(condition);
            server.send_as_is(method.clone(), path, &headers, b"").await.status.as_u16()
        };
        assert_eq!(ask("wrong").await, 401, "{path}");
        let mut last = 401;
        for _ in 0..30 {
            last = ask("wrong").await;
        }
        assert_eq!(last, 429, "{path}");
        let right = ask(&server.token).await;
        assert!(![401, 429].contains(&right), "{path}: a right token goes on being right: {right}");
    }
}
