//! Log drains, features, the shapes of add-ons, and the status page.

use super::support::Server;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn log_drains_go_by_id_token_and_url() {
    let server = Server::start().await;
    server.app("bibly").await;
    let path = "/apps/bibly/log-drains";
    let url = "https://me:pw@logs.example.com/in?key=1";
    let made = server.post(path, json!({ "url": url })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let drain = made.json();
    let token = drain["token"].as_str().unwrap();
    assert!(token.starts_with("d.") && token.len() == 38, "{token}");
    assert_eq!((&drain["url"], &drain["addon"]), (&json!(url), &Value::Null));
    assert_eq!(server.get(path).await.json(), json!([drain]));
    let encoded = "https%3A%2F%2Fme%3Apw%40logs.example.com%2Fin%3Fkey%3D1";
    for name in [drain["id"].as_str().unwrap(), token, encoded] {
        let found = server.get(&format!("{path}/{name}")).await;
        assert_eq!(found.json(), drain, "{name}");
    }
    let twice = server.post(path, json!({ "url": url })).await;
    let _ = twice.refused(422, "invalid_params");
    for bad in
        ["", "ftp://a/", "syslog://logs.example.com", "syslog://10.0.0.1:514", "http://[::1]/"]
    {
        let refused = server.post(path, json!({ "url": bad })).await;
        let _ = refused.refused(422, "invalid_params");
    }
    for number in 1..5 {
        let url = format!("syslog://logs.example.com:{number}");
        assert_eq!(server.post(path, json!({ "url": url })).await.status, 201);
    }
    let sixth = server.post(path, json!({"url": "syslog+tls://logs.example.com:6514"})).await;
    assert!(sixth.refused(422, "invalid_params").contains("at most 5"));
    let gone = server.delete(&format!("{path}/{encoded}")).await;
    assert_eq!(gone.json(), drain);
    let _ = server.delete(&format!("{path}/{token}")).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_settings_by_herokus_names() {
    let server = Server::start().await;
    server.app("bibly").await;
    let path = "/apps/bibly/features";
    let states = async || {
        let list = server.get(path).await.json();
        let one = |feature: &Value| {
            (feature["name"].as_str().unwrap().to_owned(), feature["enabled"].as_bool().unwrap())
        };
        list.as_array().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    let named = |affinity, preboot| {
        vec![
            ("http-session-affinity".to_owned(), affinity),
            ("preboot".to_owned(), preboot),
            ("runtime-dyno-build-metadata".to_owned(), false),
            ("runtime-dyno-metadata".to_owned(), false),
            ("runtime-heroku-exec".to_owned(), true),
        ]
    };
    assert_eq!(states().await, named(false, true));
    let switch = async |name: &str, enabled: bool| {
        server.patch(&format!("{path}/{name}"), json!({ "enabled": enabled })).await
    };
    assert_eq!(switch("http-session-affinity", true).await.json()["enabled"], true);
    assert_eq!(switch("preboot", false).await.json()["enabled"], false);
    assert_eq!(states().await, named(true, false));
    let deploys = server.get("/apps/bibly/deploys").await.json();
    assert_eq!(deploys["strategy"], "recreate", "{deploys}");
    assert_eq!(switch("preboot", true).await.json()["enabled"], true);
    let fixed = switch("runtime-heroku-exec", false).await.refused(422, "invalid_params");
    assert!(fixed.contains("always on"), "{fixed}");
    let one = server.get(&format!("{path}/preboot")).await.json();
    let id = one["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("{path}/{id}")).await.json(), one);
    // What `heroku labs` lists is in another state than what `heroku features` does.
    assert_eq!(one["state"], "general");
    for name in ["runtime-dyno-metadata", "runtime-dyno-build-metadata"] {
        let on = switch(name, true).await.json();
        assert_eq!((&on["enabled"], &on["state"]), (&json!(true), &json!("public")), "{name}");
        assert_eq!(switch(name, false).await.json()["enabled"], false, "{name}");
    }
    let _ = switch("log-runtime-metrics", true).await.refused(404, "not_found");

    let account = server.get("/account/features/dashboard-repositories-api").await.json();
    assert_eq!(account["enabled"], true);
    let _ = server.get("/account/features/none").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_add_ons_and_refusals_say_what_to_do() {
    let server = Server::start().await;
    server.app("bibly").await;
    for list in [
        "/addons",
        "/addon-services",
        "/addon-attachments",
        "/apps/bibly/addons",
        "/apps/bibly/addon-attachments",
        "/apps/bibly/telemetry-drains",
    ] {
        assert_eq!(server.get(list).await.json(), json!([]), "{list}");
    }
    assert_eq!(server.get("/apps/bibly/usage").await.json(), json!({"addons": []}));
    let body = json!({"plan": {"name": "heroku-postgresql"}});
    let refused = server.post("/apps/bibly/addons", body).await;
    let message = refused.refused(422, "add_ons_not_available");
    assert!(message.contains("config:set"), "{message}");
    let body = json!({"owner": {"id": "x", "type": "app"}, "signals": [], "exporter": {}});
    let refused = server.post("/telemetry-drains", body).await;
    let _ = refused.refused(422, "telemetry_drains_not_available");

    let resolve = async |what: &str, body: Value| {
        let answer = server.post(&format!("/actions/{what}/resolve"), body).await;
        let _ = answer.refused(404, "not_found");
        answer.json()["resource"].as_str().unwrap().to_owned()
    };
    assert_eq!(resolve("addons", json!({"addon": "x", "app": "bibly"})).await, "add_on");
    assert_eq!(resolve("addons", json!({"addon": "x", "app": null})).await, "add_on");
    assert_eq!(resolve("addons", json!({"addon": "x", "app": "nobody"})).await, "app");
    let attachment = json!({"addon_attachment": "DATABASE_URL", "app": "bibly"});
    assert_eq!(resolve("addon-attachments", attachment).await, "add_on attachment");
    let service = server.get("/addon-services/heroku-postgresql/plans").await;
    let _ = service.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_ask_whether_all_is_well() {
    let server = Server::start().await;
    let path = "/api/v4/current-status";
    let answer = server.send_as_is(http::Method::GET, path, &[], b"").await;
    assert_eq!(answer.status, 200);
    let status = answer.json();
    let colours: Vec<_> =
        status["status"].as_array().unwrap().iter().map(|s| &s["status"]).collect();
    assert_eq!(colours, ["green", "green", "green"], "{status}");
    assert_eq!((&status["incidents"], &status["scheduled"]), (&json!([]), &json!([])));
}
