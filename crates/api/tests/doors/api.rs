//! Resources as clients use them.

use super::support::Server;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHf9ZNi1l7Sv7FmmcPKEjJOaeQXju7TlyBqyNMvZC3Ne ada@host";

#[tokio::test(flavor = "multi_thread")]
async fn the_account_and_its_tokens() {
    let server = Server::start().await;
    let account = server.get("/account").await;
    assert_eq!(account.json()["email"], "ada@example.com");
    assert_eq!(account.json(), server.get("/users/~").await.json());
    assert!(account.headers["request-id"].len() == 36);
    assert!(account.headers.contains_key("ratelimit-remaining"));

    let created = server
        .post("/oauth/authorizations", json!({"description": "ci", "expires_in": "3600"}))
        .await;
    assert_eq!(created.status, 201);
    let created = created.json();
    let (id, secret) =
        (created["id"].as_str().unwrap(), created["access_token"]["token"].as_str().unwrap());
    for value in [
        format!("Bearer {secret}"),
        basic(&format!(":{secret}")),
        basic(&format!("ada@example.com:{secret}")),
    ] {
        let headers = [("authorization", value.as_str())];
        let answer = server.send_as_is(Method::GET, "/oauth/authorizations/~", &headers, b"").await;
        assert_eq!(
            (answer.json()["id"].as_str(), answer.json()["description"].as_str()),
            (Some(id), Some("ci"))
        );
    }
    let listed = server.get("/oauth/authorizations").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    for token in listed.as_array().unwrap() {
        let own = token["access_token"]["token"] == server.token.as_str();
        assert!(own || token["access_token"].is_null(), "only one's own secret is shown: {token}");
    }
    assert_eq!(server.delete(&format!("/oauth/authorizations/{id}")).await.status, 200);
    let headers = [("authorization", format!("Bearer {secret}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(server.send_as_is(Method::GET, "/account", &headers, b"").await.status, 401);
    assert_eq!(server.get("/oauth/sessions").await.json(), json!([]));
    for session in ["~", "01234567-89ab-cdef-0123-456789abcdef"] {
        let answer = server.delete(&format!("/oauth/sessions/{session}")).await;
        assert_eq!(answer.refused(404, "not_found"), "Couldn't find that session.");
    }
}

fn basic(text: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_found_and_removed() {
    let server = Server::start().await;
    let key = server.post("/account/keys", json!({"public_key": format!("{KEY}\n")})).await;
    assert_eq!(key.status, 201);
    let key = key.json();
    assert_eq!(
        (key["comment"].as_str(), key["public_key"].as_str()),
        (Some("ada@host"), Some(KEY))
    );
    let fingerprint = key["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint.split(':').count(), 16);
    assert_eq!(server.get(&format!("/account/keys/{fingerprint}")).await.json(), key);
    assert_eq!(server.post("/account/keys", json!({"public_key": KEY})).await.status, 422, "twice");
    let message = server
        .post("/account/keys", json!({"public_key": "nonsense"}))
        .await
        .refused(422, "invalid_params");
    assert!(message.contains("ssh-ed25519 AAAA"));
    assert_eq!(
        server.delete(&format!("/account/keys/{}", key["id"].as_str().unwrap())).await.status,
        200
    );
    assert_eq!(server.get("/account/keys").await.json(), json!([]));
    assert_eq!(
        server.delete(&format!("/account/keys/{fingerprint}")).await.refused(404, "not_found"),
        "Couldn't find that key."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_from_its_making_to_its_end() {
    let server = Server::start().await;
    let made = server.post("/apps", json!({"name": "bibly", "region": null, "stack": null})).await;
    assert_eq!(made.status, 201);
    let app = made.json();
    let host = server.address.to_string();
    assert_eq!(
        app["git_url"],
        format!("http://{host}/bibly.git"),
        "URLs follow the request's host"
    );
    assert_eq!(app["owner"]["email"], "ada@example.com");
    assert_eq!(app["generation"]["name"], "cedar");
    let by_id = format!("/apps/{}", app["id"].as_str().unwrap());
    assert_eq!(server.get(&by_id).await.json(), server.get("/apps/bibly").await.json());
    assert_eq!(server.post("/apps", Value::Null).await.status, 201, "a body of null is none");
    assert_eq!(server.send(Method::POST, "/apps", &[], "").await.status, 201, "a name is made up");
    assert_eq!(server.get("/users/~/apps").await.json().as_array().unwrap().len(), 3);

    server.post("/apps", json!({"name": "bibly"})).await.refused(422, "invalid_params");
    server.post("/apps", json!({"name": "Not-OK"})).await.refused(422, "invalid_params");
    server.post("/apps", json!({"name": 7})).await.refused(422, "invalid_params");
    server
        .post("/apps", json!({"name": "other", "region": "mars"}))
        .await
        .refused(422, "invalid_params");
    server
        .post("/apps", json!({"name": "other", "stack": "cedar-14"}))
        .await
        .refused(422, "invalid_params");
    let json_type = [("content-type", "application/json")];
    server.send(Method::POST, "/apps", &json_type, "{\"name\":").await.refused(400, "bad_request");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    server
        .send(Method::POST, "/apps", &form, "name=x")
        .await
        .refused(415, "unsupported_media_type");

    let renamed =
        server.patch("/apps/bibly", json!({"name": "library", "maintenance": true})).await.json();
    assert_eq!(
        (renamed["name"].as_str(), renamed["maintenance"].as_bool()),
        (Some("library"), Some(true))
    );
    assert_eq!(
        server.get("/apps/bibly").await.refused(404, "not_found"),
        "Couldn't find that app."
    );
    assert_eq!(server.get("/apps/bibly").await.json()["resource"], "app");
    let owner = &server.get("/apps/library/collaborators").await.json()[0];
    assert_eq!(
        (owner["role"].as_str(), owner["user"]["email"].as_str()),
        (Some("owner"), Some("ada@example.com"))
    );
    server.get("/apps/library/pipeline-couplings").await.refused(404, "not_found");
    for list in ["addons", "buildpack-installations", "builds", "dynos", "formation"] {
        assert_eq!(server.get(&format!("/apps/library/{list}")).await.json(), json!([]), "{list}");
    }
    assert_eq!(server.delete("/apps/library").await.json()["name"], "library");
    assert_eq!(server.get(&by_id).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_vars_make_releases_that_can_be_rolled_back_to() {
    let server = Server::start().await;
    server.app("bibly").await;
    let set = server.patch("/apps/bibly/config-vars", json!({"A": "1", "B": 2, "C": null})).await;
    assert_eq!((set.status.as_u16(), set.json()), (200, json!({"A": "1", "B": "2"})));
    assert_eq!(
        server.patch("/apps/bibly/config-vars", json!({"A": null})).await.json(),
        json!({"B": "2"})
    );
    assert_eq!(server.get("/apps/bibly/config-vars").await.json(), json!({"B": "2"}));
    server
        .patch("/apps/bibly/config-vars", json!({"not valid": "1"}))
        .await
        .refused(422, "invalid_params");
    server.patch("/apps/bibly/config-vars", json!(["A"])).await.refused(422, "invalid_params");

    let newest = server.get_range("/apps/bibly/releases", "version ..; max=1, order=desc").await;
    assert_eq!(newest.status, 206);
    let newest = &newest.json()[0];
    assert_eq!((newest["version"].as_u64(), newest["current"].as_bool()), (Some(3), Some(true)));
    for name in ["2", "v2"] {
        let vars = server.get(&format!("/apps/bibly/releases/{name}/config-vars")).await.json();
        assert_eq!(vars, json!({"A": "1", "B": "2"}));
    }
    let by_id =
        server.get(&format!("/apps/bibly/releases/{}", newest["id"].as_str().unwrap())).await;
    assert_eq!(&by_id.json(), newest);
    server.get("/apps/bibly/releases/99").await.refused(404, "not_found");
    server.post("/apps/bibly/releases", json!({"slug": "x"})).await.refused(404, "not_found");
    server.post("/apps/bibly/releases", json!({})).await.refused(422, "invalid_params");
}

#[tokio::test(flavor = "multi_thread")]
async fn config_vars_that_have_no_effect_are_taken_with_a_warning() {
    let server = Server::start().await;
    server.app("bibly").await;
    for (body, warned) in [
        (json!({"A": "1"}), 0),
        (json!({"A": "2", "PORT": "1"}), 1),
        (json!({"DYNO": "x", "PORT": "2"}), 2),
        (json!({"DYNO": null, "PORT": null}), 0),
    ] {
        let set = server.patch("/apps/bibly/config-vars", body.clone()).await;
        assert_eq!(set.status, 200);
        let warnings = set.headers.get_all("warning-message").iter().count();
        assert_eq!(warnings, warned, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn domains() {
    let server = Server::start().await;
    server.app("bibly").await;
    let default = &server.get_range("/apps/bibly/domains", "id ..; max=1000;").await.json()[0];
    assert_eq!(
        (default["kind"].as_str(), default["hostname"].as_str()),
        (Some("heroku"), Some("bibly.localhost"))
    );
    let added = server
        .post("/apps/bibly/domains", json!({"hostname": "www.example.com", "sni_endpoint": null}))
        .await;
    assert_eq!(added.status, 201);
    let added = added.json();
    assert_eq!(
        (added["kind"].as_str(), added["cname"].as_str()),
        (Some("custom"), Some("bibly.localhost"))
    );
    for name in ["www.example.com", added["id"].as_str().unwrap()] {
        assert_eq!(server.get(&format!("/apps/bibly/domains/{name}")).await.json(), added);
    }
    let default_id = default["id"].as_str().unwrap();
    assert_eq!(&server.get(&format!("/apps/bibly/domains/{default_id}")).await.json(), default);
    server.delete("/apps/bibly/domains/bibly.localhost").await.refused(422, "invalid_params");
    assert_eq!(server.delete("/apps/bibly/domains/www.example.com").await.json(), added);
    server.delete("/apps/bibly/domains/www.example.com").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_an_app_without_any() {
    let server = Server::start().await;
    server.app("bibly").await;
    server
        .patch("/apps/bibly/formation", json!({"updates": [{"type": "web", "quantity": "x"}]}))
        .await
        .refused(422, "invalid_params");
    server
        .patch("/apps/bibly/formation", json!({"updates": [{"quantity": 1}]}))
        .await
        .refused(422, "invalid_params");
    let sized = json!({"updates": [{"type": "web", "size": "performance-l"}]});
    server.patch("/apps/bibly/formation", sized).await.refused(404, "not_found");
    server.get("/apps/bibly/formation/web").await.refused(404, "not_found");
    server.get("/apps/bibly/dynos/web.1").await.refused(404, "not_found");
    let restarted = server.delete("/apps/bibly/dynos").await;
    assert_eq!((restarted.status.as_u16(), restarted.json()), (202, json!({})));
    server.post("/apps/bibly/dynos", json!({"attach": true})).await.refused(422, "invalid_params");
    let run = json!({"command": "ls", "attach": true, "env": {"TERM": "xterm", "COLUMNS": 80}});
    server.post("/apps/bibly/dynos", run).await.refused(422, "invalid_params");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_sessions_stream_without_credentials() {
    let server = Server::start().await;
    server.app("bibly").await;
    let session = server
        .post("/apps/bibly/log-sessions", json!({"lines": 10, "tail": null, "dyno_name": null}))
        .await;
    assert_eq!(session.status, 201);
    let url = session.json()["logplex_url"].as_str().unwrap().to_owned();
    let path =
        url.strip_prefix(&format!("http://{}", server.address)).expect("our host").to_owned();
    let plain = server.send_as_is(Method::GET, &path, &[], b"").await;
    assert!(plain.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert!(
        plain.text().contains(" app[api]: Initial release by user ada@example.com\n"),
        "{plain:?}"
    );
    let session = server.post("/apps/bibly/log-sessions", json!({"source": "app"})).await.json();
    let path = session["logplex_url"].as_str().unwrap().split_once("/logs/").unwrap().1.to_owned();
    let events = [("accept", "text/event-stream")];
    let events = server.send_as_is(Method::GET, &format!("/logs/{path}"), &events, b"").await;
    assert!(events.text().starts_with("id: 20"), "{events:?}");
    // Who comes back says what they have seen.
    let last = events.text().split(['\n', ' ']).nth(1).unwrap().to_owned();
    let again = [("accept", "text/event-stream"), ("last-event-id", last.as_str())];
    let again = server.send_as_is(Method::GET, &format!("/logs/{path}"), &again, b"").await;
    assert_eq!(again.text(), "", "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_streams_for_ever() {
    let server = Server::start().await;
    server.app("bibly").await;
    let session = server.post("/apps/bibly/log-sessions", json!({"tail": true})).await.json();
    let path = session["logplex_url"].as_str().unwrap().split_once("/logs/").unwrap().1.to_owned();
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream
        .write_all(format!("GET /logs/{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut some = [0; 64];
    assert!(stream.read(&mut some).await.unwrap() > 0);
    tokio::time::timeout(Duration::from_secs(60), server.stop()).await.expect("it ends");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_and_their_output() {
    let server = Server::start().await;
    server.app("bibly").await;
    let id = server.finished_build("bibly", "-----> Python app detected\n");
    let build =
        &server.get_range("/apps/bibly/builds", "created_at ..; max=15, order=desc").await.json()
            [0];
    assert_eq!(
        (build["id"].as_str(), build["status"].as_str()),
        (Some(id.as_str()), Some("failed"))
    );
    assert_eq!(&server.get(&format!("/apps/bibly/builds/{id}")).await.json(), build);
    let url = build["output_stream_url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address)).expect("our host");
    let output = server.send_as_is(Method::GET, path, &[], b"").await;
    assert_eq!(
        (output.status.as_u16(), output.text().as_str()),
        (200, "-----> Python app detected\n")
    );
    let last = if path.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{last}", &path[..path.len() - 1]);
    assert_eq!(server.send_as_is(Method::GET, &forged, &[], b"").await.status, 404);
    server.get("/apps/bibly/builds/nosuch").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_sees_the_routers_metrics() {
    let server = Server::start().await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.text(), "windlass_router_apps 0\n");
}
