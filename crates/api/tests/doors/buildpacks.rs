//! The buildpacks of an app, as Heroku's clients set them.

use super::support::{Answer, Server};
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/apps/bibly/buildpack-installations";

async fn put(server: &Server, buildpacks: &[&str]) -> Answer {
    let updates: Vec<Value> = buildpacks.iter().map(|name| json!({"buildpack": name})).collect();
    let body = json!({"updates": updates}).to_string();
    server.send(Method::PUT, PATH, &[("content-type", "application/json")], &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_replaced_and_names_are_short() {
    let server = Server::start().await;
    server.app("bibly").await;
    let registry = "https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku/nodejs.tgz";
    let set =
        put(&server, &[registry, "urn:buildpack:heroku/python", "https://x.org/y.git#v1"]).await;
    assert_eq!(set.status, 200);
    let expected = json!([
        {"ordinal": 0, "buildpack": {"url": "urn:buildpack:heroku/nodejs", "name": "heroku/nodejs"}},
        {"ordinal": 1, "buildpack": {"url": "urn:buildpack:heroku/python", "name": "heroku/python"}},
        {"ordinal": 2, "buildpack": {"url": "https://x.org/y.git#v1", "name": "https://x.org/y.git#v1"}},
    ]);
    assert_eq!(set.json(), expected);
    assert_eq!(server.get(PATH).await.json(), expected);

    let message = put(&server, &["heroku/cobol"]).await.refused(422, "invalid_params");
    assert!(message.starts_with("There is no buildpack named heroku/cobol. Known: "), "{message}");
    assert_eq!(server.get(PATH).await.json(), expected, "nothing changed");

    assert_eq!(put(&server, &[]).await.json(), json!([]));
    assert_eq!(server.get(PATH).await.json(), json!([]));
}
