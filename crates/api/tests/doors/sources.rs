//! Uploaded sources and builds of them.

use super::support::Server;
use http::Method;
use serde_json::json;

/// The path of a URL that the server gave.
fn path(url: &serde_json::Value) -> String {
    let url = url.as_str().unwrap();
    let rest = url.strip_prefix("http://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_uploaded_without_a_token_and_built() {
    let server = Server::start().await;
    server.app("bibly").await;
    let answer = server.post("/sources", json!({})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let blob = answer.json()["source_blob"].clone();
    let sent = server.send_as_is(Method::PUT, &path(&blob["put_url"]), &[], b"no archive").await;
    assert_eq!(sent.status, 200, "{sent:?}");

    let body = json!({"source_blob": {"url": blob["get_url"], "version": "v1.2"}});
    let answer = server.post("/apps/bibly/builds", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let build = answer.json();
    assert_eq!(build["status"], "pending");
    assert_eq!(build["source_blob"]["version"], "v1.2");
    // Ends when the build is over.
    let stream = path(&build["output_stream_url"]);
    let said = server.send_as_is(Method::GET, &stream, &[], b"").await.text();
    assert!(said.contains(" !     The archive cannot be read"), "{said}");
    let one = format!("/apps/bibly/builds/{}", build["id"].as_str().unwrap());
    let build = server.get(&one).await.json();
    assert_eq!((&build["status"], &build["release"]), (&json!("failed"), &json!(null)));
    server.delete(&one).await.refused(409, "conflict");
    assert_eq!(server.delete("/apps/bibly/build-cache").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_checksum_ends_the_build() {
    let server = Server::start().await;
    server.app("bibly").await;
    let blob = server.post("/apps/bibly/sources", json!({})).await.json()["source_blob"].clone();
    server.send_as_is(Method::PUT, &path(&blob["put_url"]), &[], b"text").await;
    let checksum = format!("SHA256:{}", "0".repeat(64));
    let body = json!({"source_blob": {"url": blob["get_url"], "checksum": checksum}});
    let build = server.post("/apps/bibly/builds", body).await.json();
    let stream = path(&build["output_stream_url"]);
    let said = server.send_as_is(Method::GET, &stream, &[], b"").await.text();
    assert!(said.contains("The source has the checksum SHA256:982d9e3eb9"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_make_no_sense_are_refused_at_once() {
    let server = Server::start().await;
    server.app("bibly").await;
    let wrong = format!("/sources/{}", "0".repeat(40));
    assert_eq!(server.send_as_is(Method::PUT, &wrong, &[], b"x").await.status, 404);
    let empty = server.post("/sources", json!({})).await.json()["source_blob"]["get_url"].clone();
    for source in [
        json!({}),
        json!({"url": "file:///etc/passwd"}),
        json!({"url": "/etc/passwd"}),
        json!({"url": empty}),
        json!({"url": "http://example.com/a.tgz", "checksum": "MD5:1"}),
        json!({"url": "http://example.com/a.tgz", "version": "a\nb"}),
    ] {
        let answer = server.post("/apps/bibly/builds", json!({"source_blob": source})).await;
        answer.refused(422, "invalid_params");
    }
    assert_eq!(server.get("/apps/bibly/builds").await.json(), json!([]));
}
