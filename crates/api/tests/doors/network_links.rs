//! Links between apps.

use super::support::Server;
use http::Method;
use serde_json::json;

const PATH: &str = "/apps/bibly/network-links";

#[tokio::test(flavor = "multi_thread")]
async fn links_are_made_listed_from_both_ends_and_ended() {
    let server = Server::start().await;
    server.app("bibly").await;
    server.app("shop").await;
    let json_body = [("content-type", "application/json")];
    let link = async |other: &str| {
        let body = json!({"linked_app": other}).to_string();
        server.send(Method::POST, PATH, &json_body, &body).await
    };
    let made = link("shop").await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["linked_app"]["name"], "shop");
    let other_end = server.get("/apps/shop/network-links").await.json();
    assert_eq!(other_end[0]["linked_app"]["name"], "bibly");
    assert_eq!(other_end[0]["id"], made.json()["id"]);
    let again = link("shop").await.refused(422, "invalid_params");
    assert!(again.contains("already"), "{again}");
    let itself = link("bibly").await.refused(422, "invalid_params");
    assert!(itself.contains("name another app"), "{itself}");
    let _ = link("nobody").await.refused(404, "not_found");

    let ended = server.send(Method::DELETE, &format!("{PATH}/shop"), &[], "").await;
    assert_eq!(ended.status, 200);
    assert_eq!(server.get(PATH).await.json(), json!([]));
    let again = server.send(Method::DELETE, &format!("{PATH}/shop"), &[], "").await;
    let _ = again.refused(404, "not_found");
}
