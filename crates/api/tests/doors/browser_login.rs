//! Logging a client in by a browser.

use super::support::{Answer, Server};
use http::Method;
use serde_json::{Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn begin(server: &Server) -> Value {
    let body = json!({"description": "Heroku CLI login from <laptop>"}).to_string();
    let headers = [("content-type", "application/json")];
    let answer = server.send_as_is(Method::POST, "/auth", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn wait(server: &Server, login: &Value, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    let path = login["cli_url"].as_str().unwrap();
    server.send_as_is(Method::GET, path, &[("authorization", &authorization)], b"").await
}

async fn submit(server: &Server, login: &Value, form: &str) -> Answer {
    let path = login["browser_url"].as_str().unwrap();
    server.send_as_is(Method::POST, path, &[FORM], form.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_proves_who_they_are_and_the_client_gets_a_token() {
    let server = Server::start().await;
    let login = begin(&server).await;
    let path = login["browser_url"].as_str().unwrap();
    let page = server.send_as_is(Method::GET, path, &[("accept", "text/html")], b"").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("'none'"));
    let text = page.text();
    assert!(text.contains("Heroku CLI login from &lt;laptop&gt;"), "{text}");
    assert!(text.contains("127.0.0.1"), "where it comes from: {text}");

    let token = login["token"].as_str().unwrap();
    wait(&server, &login, "wrong").await.refused(401, "unauthorized");
    let (outcome, page) = tokio::join!(wait(&server, &login, token), async {
        let wrong = submit(&server, &login, "token=wl-wrong&code=").await;
        assert_eq!(wrong.status, 401, "{wrong:?}");
        assert!(wrong.text().contains("role=alert"), "{wrong:?}");
        submit(&server, &login, &format!("token={}&code=", server.token)).await
    });
    assert!(page.text().contains("ada@example.com"), "{page:?}");
    let secret = outcome.json()["access_token"].as_str().unwrap().to_owned();
    assert_ne!(secret, server.token, "a token of its own");
    let authorization = format!("Bearer {secret}");
    let headers = [("authorization", authorization.as_str())];
    let account = server.send_as_is(Method::GET, "/account", &headers, b"").await;
    assert_eq!(account.json()["email"], "ada@example.com");
    // It is over, for everybody.
    wait(&server, &login, token).await.refused(404, "not_found");
    assert_eq!(submit(&server, &login, "token=x").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_refused_and_guessed_at_a_few_times_only() {
    let server = Server::start().await;
    let login = begin(&server).await;
    let token = login["token"].as_str().unwrap();
    let refused = submit(&server, &login, "token=&refuse=yes").await;
    assert_eq!(refused.status, 200, "{refused:?}");
    let outcome = wait(&server, &login, token).await.json();
    assert!(outcome["error"].as_str().unwrap().contains("refused"), "{outcome}");

    let login = begin(&server).await;
    let mut last = submit(&server, &login, "token=wl-1").await;
    for _ in 0..8 {
        if last.status == 404 {
            break;
        }
        last = submit(&server, &login, "token=wl-1").await;
    }
    assert_eq!(last.status, 404, "{last:?}");
    let outcome = wait(&server, &login, login["token"].as_str().unwrap()).await.json();
    assert!(outcome["error"].as_str().unwrap().contains("too often"), "{outcome}");
}
