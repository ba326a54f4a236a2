//! Slugs, stacks and the buildpack registry.

use super::support::Server;
use http::Method;
use serde_json::{Value, json};
use windlass_oci::digest_of;

async fn slug(server: &Server, body: Value) -> Value {
    let made = server.post("/apps/shop/slugs", body).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    made.json()
}

/// Returns the path of a URL.
fn path(url: &Value) -> String {
    let url = url.as_str().unwrap();
    format!("/{}", url.splitn(4, '/').last().unwrap())
}

#[tokio::test]
async fn a_slug_is_announced_and_its_archive_sent() {
    let server = Server::start().await;
    server.app("shop").await;
    let archive = b"not looked at until it is released".as_slice();
    let checksum = format!("SHA256:{}", digest_of(archive).hex());
    let body = json!({
        "process_types": {"web": "./serve"}, "commit": "1a2b3c4d", "checksum": checksum,
        "buildpack_provided_description": "Mine", "stack": null, "commit_description": null,
    });
    let made = slug(&server, body).await;
    assert_eq!(made["blob"]["method"], "put");
    assert_eq!((&made["size"], &made["stack"]["name"]), (&Value::Null, &json!("debian-12")));
    let place = path(&made["blob"]["url"]);
    let id = made["id"].as_str().unwrap();
    let release = json!({"slug": id});
    let early = server.post("/apps/shop/releases", release).await;
    assert!(early.refused(422, "invalid_params").contains("Nothing was sent"));

    let put = async |body: &[u8]| server.send_as_is(Method::PUT, &place, &[], body).await;
    let wrong = put(b"something else").await;
    assert!(wrong.refused(422, "invalid_params").contains("what was sent has SHA256:"));
    assert_eq!(put(archive).await.status.as_u16(), 200, "no token is needed");
    let sent = server.get(&format!("/apps/shop/slugs/{id}")).await.json();
    assert_eq!((&sent["size"], &sent["checksum"]), (&json!(archive.len()), &json!(checksum)));
    assert_eq!(sent["process_types"], json!({"web": "./serve"}));
    assert_eq!(sent["blob"]["method"], "get");
    let fetched = server.send_as_is(Method::GET, &path(&sent["blob"]["url"]), &[], b"").await;
    assert_eq!(fetched.body, archive);
    let left = std::fs::read_dir(server.directory.path().join("data/slugs")).unwrap().count();
    assert_eq!(left, 1, "what was refused is not kept");
}

#[tokio::test]
async fn slugs_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    server.app("shop").await;
    server.app("other").await;
    for (body, says) in [
        (json!({}), "process_types"),
        (json!({"process_types": {"web": " "}}), "has no command"),
        (json!({"process_types": {"../web": "x"}}), "process type"),
        (json!({"process_types": {"web": "x"}, "checksum": "MD5:0"}), "is not a checksum"),
        (json!({"process_types": {"web": "x"}, "stack": "heroku-24"}), "no stack"),
        (json!({"process_types": {"web": "x"}, "stack": "container"}), "runs on the stack"),
    ] {
        let answer = server.post("/apps/shop/slugs", body.clone()).await;
        let message = answer.refused(422, "invalid_params");
        assert!(message.contains(says), "{body}: {message}");
    }
    let made = slug(&server, json!({"process_types": {"web": "x"}})).await;
    let id = made["id"].as_str().unwrap();
    server.get(&format!("/apps/other/slugs/{id}")).await.refused(404, "not_found");
    for nothing in ["x", "00000000-0000-0000-0000-000000000000"] {
        server.get(&format!("/apps/shop/slugs/{nothing}")).await.refused(404, "not_found");
        let answer = server.post("/apps/shop/releases", json!({"slug": nothing})).await;
        answer.refused(404, "not_found");
    }
    // A signature is of one slug.
    let place = path(&made["blob"]["url"]);
    let another = slug(&server, json!({"process_types": {"web": "x"}})).await;
    let forged = place.replace(id, another["id"].as_str().unwrap());
    let answer = server.send_as_is(Method::PUT, &forged, &[], b"x").await;
    answer.refused(404, "not_found");
}

#[tokio::test]
async fn an_app_says_its_stack_and_the_next_one() {
    let server = Server::start().await;
    let made = server.post("/apps", json!({"name": "boxed", "stack": "container"})).await.json();
    assert_eq!(
        (&made["stack"]["name"], &made["build_stack"]["name"]),
        (&json!("container"), &json!("container"))
    );
    server.deployed_app("shop").await;
    let names = |app: &Value| (app["stack"]["name"].clone(), app["build_stack"]["name"].clone());
    let set =
        async |stack: &str| server.patch("/apps/shop", json!({"build_stack": stack})).await.json();
    assert_eq!(names(&set("container").await), (json!("debian-12"), json!("container")));
    assert_eq!(names(&set("debian-12").await), (json!("debian-12"), json!("debian-12")));
    let stacks = server.get("/stacks").await.json();
    let id = stacks[1]["id"].as_str().unwrap();
    assert_eq!((&stacks[0]["default"], &stacks[1]["name"]), (&json!(true), &json!("container")));
    assert_eq!(names(&set(id).await).1, "container");
    assert_eq!(server.get("/stacks/container").await.json()["id"], id);
    server.get("/stacks/cedar-14").await.refused(404, "not_found");
    let refused = server.patch("/apps/shop", json!({"build_stack": "heroku-24"})).await;
    assert!(refused.refused(422, "invalid_params").contains("debian-12 or container"));
}

#[tokio::test]
async fn the_buildpack_registry_answers_as_the_heroku_cli_asks() {
    let server = Server::start().await;
    server.app("shop").await;
    let get = async |path: &str| server.send_as_is(Method::GET, path, &[], b"").await;
    let python = get("/buildpacks/heroku%2Fpython").await.json();
    assert_eq!((&python["namespace"], &python["name"]), (&json!("heroku"), &json!("python")));
    let revisions = get("/buildpacks/heroku%2Fpython/revisions").await.json();
    assert_eq!(
        (&revisions[0]["release"], &revisions[0]["status"]),
        (&json!(1), &json!("published"))
    );
    assert_eq!(revisions[0]["license"], "MIT OR Apache-2.0");
    let readme = get("/buildpacks/heroku%2Fpython/readme").await.json();
    assert_eq!(readme["encoding"], "base64");
    let found = get("/buildpacks?in[namespace][]=heroku&like[description]=pip").await.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["name"]), (1, &json!("python")));
    get("/buildpacks/heroku%2Fcobol").await.refused(404, "not_found");
    get("/buildpacks/..%2F..%2Fetc").await.refused(404, "not_found");
    // What the client then installs is ours.
    let update = json!({"updates": [{"buildpack": python["blob_url"]}]});
    let path = "/apps/shop/buildpack-installations";
    let kind = [("content-type", "application/json")];
    let set = server.send(Method::PUT, path, &kind, &update.to_string()).await.json();
    assert_eq!(set[0]["buildpack"]["name"], "heroku/python");
}
