//! Heroku's exec manager: who may ask it for what.

use super::support::{Answer, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;
use windlass_control::TunnelHost;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHf9ZNi1l7Sv7FmmcPKEjJOaeQXju7TlyBqyNMvZC3Ne";

/// Asks as the CLI does: the app's name and the token as Basic credentials.
async fn ask(server: &Server, method: Method, path: &str, app: &str, token: &str) -> Answer {
    let authorization = format!("Basic {}", STANDARD.encode(format!("{app}:{token}")));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body =
        if method == Method::PUT { json!({"client_key": KEY}).to_string() } else { String::new() };
    server.send_as_is(method, path, &headers, body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_operate_the_app_is_answered() {
    let server = Server::start().await;
    let made = server.post("/apps", json!({"name": "bibly-exec"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let viewer = server.let_in("viewer@example.com").await;
    let operator = server.let_in("operator@example.com").await;
    let stranger = server.let_in("stranger@example.com").await;
    for (name, permissions) in [("viewer", json!(["view"])), ("operator", json!(["operate"]))] {
        let body = json!({"user": format!("{name}@example.com"), "permissions": permissions});
        let added = server.post("/apps/bibly-exec/collaborators", body).await;
        assert_eq!(added.status, 201, "{added:?}");
    }
    let put = async |app: &str, token: &str| {
        let answer = ask(&server, Method::PUT, "/api/v2/web.1", app, token).await;
        (answer.status.as_u16(), answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(put("bibly-exec", "no-such-token").await.0, 401);
    assert_eq!(put("bibly-exec", &viewer).await.0, 403);
    assert_eq!(put("bibly-exec", &stranger).await.0, 404);
    assert_eq!(put("no-such-app", &operator).await.0, 404);
    let (status, message) = put("bibly-exec", &operator).await;
    assert_eq!((status, message.as_str()), (404, "Couldn't find that dyno."), "nothing runs");
    let listed = ask(&server, Method::GET, "/api/v2", "bibly-exec", &operator).await;
    assert_eq!((listed.status.as_u16(), listed.json()), (200, json!([])));
    let hidden = ask(&server, Method::GET, "/api/v2", "bibly-exec", &viewer).await;
    assert_eq!(hidden.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_off_it_says_what_to_do() {
    let server = Server::start_with(|settings| settings.exec_tunnel_host = TunnelHost::Off).await;
    let made = server.post("/apps", json!({"name": "bibly-exec"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let answer = ask(&server, Method::PUT, "/api/v2/web.1", "bibly-exec", &server.token).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap().ends_with("use windlass ps:exec."));
}
