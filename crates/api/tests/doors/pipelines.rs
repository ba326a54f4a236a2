//! Pipelines: their shapes, and what is refused.

use super::support::Server;
use http::Method;
use serde_json::{Value, json};
use windlass_core::ids::Digest;
use windlass_oci::{ImageConfig, ImageStore};

async fn pipeline(server: &Server, name: &str) -> String {
    let answer =
        server.post("/pipelines", json!({"name": name, "generation": {"name": "cedar"}})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn couple(server: &Server, app: &str, pipeline: &str, stage: &str) -> Value {
    let body = json!({"app": app, "pipeline": pipeline, "stage": stage});
    let answer = server.post("/pipeline-couplings", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// Returns an image that is in the server's store.
fn image(server: &Server) -> Digest {
    let images = ImageStore::open(&server.directory.path().join("data/images")).unwrap();
    let staging = images.staging_directory().unwrap();
    std::fs::write(staging.join("fs/content"), "tested").unwrap();
    let layer = images.commit_layer(&staging).unwrap();
    images.put_image(None, &[layer], &ImageConfig::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_made_found_renamed_and_deleted() {
    let server = Server::start().await;
    let account = server.get("/account").await.json();
    let owner = json!({"id": account["id"], "type": "user"});
    let made = server.post("/pipelines", json!({"name": "shop", "owner": owner})).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!((&made["name"], &made["owner"]), (&json!("shop"), &owner));
    assert_eq!(made["generation"]["name"], "cedar");
    let _ = pipeline(&server, "blog").await;
    let names = |list: Value| -> Vec<String> {
        let names = list.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(names(server.get("/pipelines").await.json()), ["blog", "shop"]);
    // As clients send it, and as others encode it.
    for query in ["eq[name]=shop", "eq%5Bname%5D=shop"] {
        assert_eq!(names(server.get(&format!("/pipelines?{query}")).await.json()), ["shop"]);
    }
    assert_eq!(names(server.get("/pipelines?eq[name]=none").await.json()), [""; 0]);
    let by_id = server.get(&format!("/pipelines/{}", made["id"].as_str().unwrap())).await.json();
    assert_eq!((&by_id, server.get("/pipelines/shop").await.json()), (&made, made.clone()));

    let said = server.post("/pipelines", json!({"name": "shop"})).await;
    assert!(said.refused(422, "invalid_params").contains("is already taken"));
    for (body, why) in [
        (json!({"name": "No Name"}), "is not a pipeline's name"),
        (json!({"name": "x1", "owner": {"id": "me", "type": "user"}}), "is a UUID"),
        (json!({"name": "x1", "owner": {"id": account["id"], "type": "dog"}}), "user or team"),
        (json!({"name": "x1", "owner": {"id": made["id"], "type": "team"}}), "There is no team"),
        (json!({}), "missing field `name`"),
    ] {
        let said = server.post("/pipelines", body).await.refused(422, "invalid_params");
        assert!(said.contains(why), "{said}");
    }
    let renamed = server.patch("/pipelines/shop", json!({"name": "store"})).await.json();
    assert_eq!((&renamed["id"], &renamed["name"]), (&made["id"], &json!("store")));
    let body = [("content-type", "application/json")];
    let gone = server.send(Method::DELETE, "/pipelines/store", &body, "{}").await;
    assert_eq!(gone.status, 200);
    let missing = server.get("/pipelines/store").await;
    assert_eq!(missing.json()["resource"], "pipeline");
    missing.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_given_to_an_address_a_team_or_an_id() {
    let server = Server::start().await;
    let account = server.get("/account").await.json();
    let id = pipeline(&server, "shop").await;
    let team = server.post("/teams", json!({"name": "makers"})).await.json();
    let transfer = async |to: &Value, kind: &str| {
        let body = json!({"pipeline": {"id": id}, "new_owner": {"id": to, "type": kind}});
        server.post("/pipeline-transfers", body).await
    };
    for (to, kind, owner) in [
        (json!("makers"), "team", &team["id"]),
        (account["email"].clone(), "user", &account["id"]),
        (team["id"].clone(), "team", &team["id"]),
        (account["id"].clone(), "user", &account["id"]),
    ] {
        let given = transfer(&to, kind).await;
        assert_eq!(given.status, 201, "{given:?}");
        assert_eq!(given.json()["new_owner"], json!({"id": owner, "type": kind}));
        assert_eq!(&server.get("/pipelines/shop").await.json()["owner"]["id"], owner);
    }
    transfer(&json!("nobody@example.com"), "user").await.refused(404, "not_found");
    transfer(&json!("nobodies"), "team").await.refused(404, "not_found");
    let said = transfer(&json!("makers"), "dog").await.refused(422, "invalid_params");
    assert!(said.contains("UUID") || said.contains("user or team"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn couplings_say_where_an_app_is() {
    let server = Server::start().await;
    server.app("shop-staging").await;
    server.app("shop").await;
    let id = pipeline(&server, "shop").await;
    server.get("/apps/shop/pipeline-couplings").await.refused(404, "not_found");
    let made = couple(&server, "shop-staging", "shop", "staging").await;
    let _ = couple(&server, "shop", &id, "production").await;
    assert_eq!(made["pipeline"], json!({"id": id, "name": "shop"}));
    assert_eq!(server.get("/apps/shop-staging/pipeline-couplings").await.json(), made);
    let place = format!("/pipeline-couplings/{}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&place).await.json(), made);
    for list in
        ["/pipeline-couplings", "/users/~/pipeline-couplings", "/pipelines/shop/pipeline-couplings"]
    {
        assert_eq!(server.get(list).await.json().as_array().unwrap().len(), 2, "{list}");
    }
    server.get("/teams/none/pipeline-couplings").await.refused(404, "not_found");
    let ids = json!({"in": {"id": [made["app"]["id"], "nobody"]}});
    let filtered = server.post("/filters/apps", ids).await.json();
    assert_eq!(filtered.as_array().unwrap().len(), 1);
    assert_eq!(filtered[0], server.get("/apps/shop-staging").await.json());

    let again = json!({"app": "shop", "pipeline": "shop", "stage": "staging"});
    server.post("/pipeline-couplings", again).await.refused(409, "conflict");
    let moved = server.patch(&place, json!({"stage": "development"})).await.json();
    assert_eq!((&moved["stage"], &moved["id"]), (&json!("development"), &made["id"]));
    for (stage, why) in
        [("prod", "There is no stage"), ("test", "no tests"), ("review", "made of branches")]
    {
        let said = server.patch(&place, json!({"stage": stage})).await;
        assert!(said.refused(422, "invalid_params").contains(why), "{stage}");
    }
    assert_eq!(server.delete(&place).await.json()["stage"], "development");
    server.get("/apps/shop-staging/pipeline-couplings").await.refused(404, "not_found");
    server.delete(&place).await.refused(404, "not_found");
    assert_eq!(server.delete("/pipelines/shop").await.status, 200);
    assert_eq!(server.get("/apps/shop").await.status, 200, "its apps stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_tells_what_became_of_each_target() {
    let server = Server::start().await;
    server.app("shop-staging").await;
    server.app("shop").await;
    let id = pipeline(&server, "shop").await;
    let source = couple(&server, "shop-staging", &id, "staging").await["app"].clone();
    let target = couple(&server, "shop", &id, "production").await["app"].clone();
    let body =
        json!({"pipeline": {"id": id}, "source": {"app": source}, "targets": [{"app": target}]});
    let nothing = server.post("/pipeline-promotions", body.clone()).await;
    assert!(nothing.refused(422, "invalid_params").contains("has no release to promote"));
    let unknown = json!({"pipeline": {"id": "none"}, "source": {"app": source}});
    server.post("/pipeline-promotions", unknown).await.refused(404, "not_found");

    let platform = &server.platform;
    let (_, user) = platform.authenticate(&server.token).unwrap();
    let app = platform.app(&user, "shop-staging").unwrap();
    let image = image(&server);
    platform.release_image(&user, &app, image, Default::default(), "Deploy").await.unwrap();
    let made = server.post("/pipeline-promotions", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!(made["source"]["app"], source);
    let path = format!("/pipeline-promotions/{}", made["id"].as_str().unwrap());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let targets = loop {
        let targets = server.get(&format!("{path}/promotion-targets")).await.json();
        if targets[0]["status"] != "pending" {
            break targets;
        }
        assert!(std::time::Instant::now() < end, "{targets}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&targets[0]["status"], &targets[0]["error_message"]),
        (&json!("succeeded"), &Value::Null)
    );
    assert_eq!(server.get(&path).await.json()["status"], "completed");
    let release = targets[0]["release"]["id"].as_str().unwrap();
    let release = server.get(&format!("/apps/shop/releases/{release}")).await.json();
    assert_eq!(release["description"], "Promote shop-staging v2");
    for list in ["latest-releases", "latest-deployments"] {
        let latest = server.get(&format!("/pipelines/shop/{list}")).await.json();
        assert_eq!(latest.as_array().unwrap().len(), 2, "{list}");
    }
    assert_eq!(server.get("/pipelines/shop/latest-builds").await.json(), json!([]));
    let stack = server.get("/pipelines/shop/pipeline-stack").await.json();
    assert!(stack["stack"]["name"].is_string(), "{stack}");
    let diff = server.get("/apps/shop-staging/pipeline-diff").await.json();
    assert_eq!(
        (&diff[0]["status"], &diff[0]["target"]["name"]),
        (&json!("unknown"), &json!("shop"))
    );
    for wrong in ["/pipeline-promotions/none", "/pipeline-promotions/none/promotion-targets"] {
        server.get(wrong).await.refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn review_apps_are_configured_and_refused_where_there_is_no_branch() {
    let server = Server::start().await;
    let id = pipeline(&server, "shop").await;
    server.get("/pipelines/shop/repo").await.refused(404, "not_found");
    let body = json!({"branch": "fix", "pipeline": id, "source_blob": {"url": "resolve", "version": null}});
    let said = server.post("/review-apps", body.clone()).await.refused(422, "invalid_params");
    assert!(said.contains("pipelines:connect"), "{said}");
    server.app("shop-staging").await;
    let _ = couple(&server, "shop-staging", "shop", "staging").await;
    let repo = server.get("/pipelines/shop/repo").await.json();
    assert_eq!((&repo["full_name"], &repo["internal"]), (&json!("shop-staging"), &json!(true)));
    server.get("/pipelines/shop/repo/branches/fix%2Fit").await.refused(404, "not_found");
    let said = server.post("/review-apps", body).await.refused(422, "invalid_params");
    assert!(said.contains("has no branch fix"), "{said}");

    let config = "/pipelines/shop/review-app-config";
    server.get(config).await.refused(404, "not_found");
    let other = json!({"repo": "acme/other"});
    assert!(
        server.post(config, other).await.refused(422, "invalid_params").contains("shop-staging")
    );
    let wanted = json!({"repo": "shop-staging", "automatic_review_apps": true, "stale_days": 3});
    let made = server.post(config, wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!((&made["automatic_review_apps"], &made["stale_days"]), (&json!(true), &json!(3)));
    assert_eq!(made["repo"]["id"], repo["id"]);
    server.post(config, json!({"repo": "shop-staging"})).await.refused(409, "conflict");
    for body in
        [json!({"wait_for_ci": true}), json!({"stale_days": 0}), json!({"base_name": "A b"})]
    {
        server.patch(config, body).await.refused(422, "invalid_params");
    }
    let changed = server.patch(config, json!({"automatic_review_apps": false})).await.json();
    assert_eq!(
        (&changed["automatic_review_apps"], &changed["stale_days"]),
        (&json!(false), &json!(3))
    );
    assert_eq!(server.get(config).await.json(), changed);
    assert_eq!(server.delete(config).await.json(), changed);
    assert_eq!(server.get("/pipelines/shop/review-apps").await.json(), json!([]));
    server.get("/apps/shop-staging/review-app").await.refused(404, "not_found");
    server.get("/review-apps/none").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn stage_config_vars_are_those_of_review_apps() {
    let server = Server::start().await;
    let _ = pipeline(&server, "shop").await;
    let path = "/pipelines/shop/stage/review/config-vars";
    assert_eq!(server.get(path).await.json(), json!({}));
    let set = server.patch(path, json!({"A": "1", "B": "2"})).await.json();
    assert_eq!(set, json!({"A": "1", "B": "2"}));
    assert_eq!(server.patch(path, json!({"A": null})).await.json(), json!({"B": "2"}));
    server.patch(path, json!({"not a name": "1"})).await.refused(422, "invalid_params");
    let staging = "/pipelines/shop/stage/staging/config-vars";
    assert_eq!(server.get(staging).await.json(), json!({}));
    let said = server.patch(staging, json!({"A": "1"})).await.refused(422, "invalid_params");
    assert!(said.contains("config:set"), "{said}");
    server.get("/pipelines/shop/stage/none/config-vars").await.refused(422, "invalid_params");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_elsewhere_is_connected_and_its_calls_must_be_signed() {
    let server = Server::start().await;
    let id = pipeline(&server, "shop").await;
    let (repo, json_type) = ("/pipelines/shop/repo", [("content-type", "application/json")]);
    let put = |url: &str| {
        let body = json!({ "url": url }).to_string();
        let server = &server;
        async move { server.send(Method::PUT, repo, &json_type, &body).await }
    };
    put("file:///etc").await.refused(422, "invalid_params");
    server.post("/pipelines/shop/git-webhook", json!({})).await.refused(422, "invalid_params");
    let connected = put("git@github.com:acme/shop.git").await.json();
    assert_eq!(
        (&connected["full_name"], &connected["internal"]),
        (&json!("acme/shop"), &json!(false))
    );
    assert!(connected["public_key"].as_str().unwrap().starts_with("ssh-ed25519 "), "{connected}");
    assert!(server.get(repo).await.json()["public_key"].is_null(), "told once");
    let hook = server.post("/pipelines/shop/git-webhook", json!({})).await.json();
    assert!(
        hook["url"].as_str().unwrap().ends_with(&format!("/webhooks/pipelines/{id}")),
        "{hook}"
    );
    assert_eq!(server.post("/pipelines/shop/git-webhook", json!({})).await.json(), hook);

    let call = format!("/webhooks/pipelines/{id}");
    let body = br#"{"ref": "refs/heads/fix", "after": "12ab"}"#;
    let mut headers = vec![("content-type", "application/json"), ("x-gitlab-event", "Push Hook")];
    let unsigned = server.send_as_is(Method::POST, &call, &headers, body).await;
    unsigned.refused(401, "unauthorized");
    headers.push(("x-gitlab-token", hook["secret"].as_str().unwrap()));
    let answer = server.send_as_is(Method::POST, &call, &headers, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("has no review app"), "{answer:?}");
    assert_eq!(server.delete("/pipelines/shop/git-webhook").await.json(), json!({}));
    let after = server.send_as_is(Method::POST, &call, &headers, body).await;
    after.refused(401, "unauthorized");
    assert_eq!(server.delete(repo).await.json()["url"], "git@github.com:acme/shop.git");
    server.delete(repo).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_makes_an_app_and_tells_what_went_wrong() {
    let server = Server::start().await;
    let said = server.post("/app-setups", json!({})).await.refused(422, "invalid_params");
    assert!(said.contains("source_blob.url"), "{said}");
    let body = json!({
        "app": {"name": "made"}, "source_blob": {"url": "http://127.0.0.1:1/none.tgz"},
        "overrides": {"env": {"A": "1"}},
    });
    let made = server.post("/app-setups", body).await;
    assert_eq!(made.status, 202, "{made:?}");
    let made = made.json();
    assert_eq!((&made["status"], &made["app"]["name"]), (&json!("pending"), &json!("made")));
    let path = format!("/app-setups/{}", made["id"].as_str().unwrap());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let ended = loop {
        let now = server.get(&path).await.json();
        if now["status"] != "pending" {
            break now;
        }
        assert!(std::time::Instant::now() < end, "{now}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!((&ended["status"], &ended["build"]["status"]), (&json!("failed"), &json!("failed")));
    assert!(ended["failure_message"].as_str().unwrap().contains("127.0.0.1"), "{ended}");
    assert_eq!(server.get("/apps/made/config-vars").await.json()["A"], "1");
    server.get("/app-setups/none").await.refused(404, "not_found");
}
