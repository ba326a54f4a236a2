//! Routing settings of apps.

use super::support::Server;
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/apps/bibly/routing";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn setting<'a>(routing: &'a Value, name: &str) -> &'a Value {
    let settings = routing["settings"].as_array().unwrap();
    settings.iter().find(|setting| setting["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_reported_changed_and_undone() {
    let server = Server::start().await;
    server.app("bibly").await;
    let change = async |settings: Value| {
        let body = json!({"settings": settings}).to_string();
        server.send(Method::PATCH, PATH, &JSON, &body).await
    };
    let before = server.get(PATH).await.json();
    let built_in = json!({"name": "https", "value": "allow", "source": "built-in"});
    assert_eq!(setting(&before, "https"), &built_in);
    let after =
        change(json!({"https": "redirect", "response-header:X-A": "b", "basic-auth": "a:b"})).await;
    assert_eq!(after.status, 200);
    let after = after.json();
    assert_eq!(
        setting(&after, "https"),
        &json!({"name": "https", "value": "redirect", "source": "app"})
    );
    assert_eq!(setting(&after, "response-header:x-a")["value"], "b");
    assert_eq!(setting(&after, "basic-auth")["value"], "a");
    assert_eq!(server.get(PATH).await.json(), after);
    let refused =
        change(json!({"https": null, "max-body": "x"})).await.refused(422, "invalid_params");
    assert!(refused.contains("max-body is \"x\""), "{refused}");
    assert_eq!(server.get(PATH).await.json(), after);
    let undone =
        change(json!({"https": null, "response-header:x-a": null, "basic-auth": null})).await;
    assert_eq!(undone.json(), before);
    let unknown = change(json!({"colour": "blue"})).await.refused(422, "invalid_params");
    assert!(unknown.contains("There is no routing setting"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_are_redirected_and_checked_and_pages_put() {
    let server = Server::start().await;
    server.app("bibly").await;
    let redirect = "/apps/bibly/domains/example.com/redirect";
    let body = json!({"to": "www.example.com"}).to_string();
    let _ = server.send(Method::PUT, redirect, &JSON, &body).await.refused(422, "invalid_params");
    let added = json!({"hostname": "example.com"}).to_string();
    let added = server.send(Method::POST, "/apps/bibly/domains", &JSON, &added).await;
    assert_eq!(added.status, 201);
    let routing = server.send(Method::PUT, redirect, &JSON, &body).await.json();
    let expected = json!([{"domain": "example.com", "to": "www.example.com", "status": 301}]);
    assert_eq!(routing["redirects"], expected);
    let domains = server.get("/apps/bibly/domains").await.json();
    assert_eq!(domains[1]["redirect"], "www.example.com");
    let wildcard = json!({"to": "*.example.com"}).to_string();
    let _ =
        server.send(Method::PUT, redirect, &JSON, &wildcard).await.refused(422, "invalid_params");
    let gone = server.send(Method::DELETE, redirect, &[], "").await;
    assert_eq!(gone.json()["redirects"], json!([]));

    let check = "/apps/bibly/domains/bibly.localhost/actions/check";
    let check = server.send(Method::POST, check, &JSON, "{}").await.json();
    assert_eq!(
        (&check["hostname"], &check["target"]),
        (&json!("bibly.localhost"), &json!("bibly.localhost"))
    );
    let unknown = "/apps/bibly/domains/nobody.example.com/actions/check";
    let _ = server.send(Method::POST, unknown, &JSON, "{}").await.refused(404, "not_found");

    let page = "/apps/bibly/routing/pages/maintenance";
    let html = json!({"html": "<h1>Later</h1>"}).to_string();
    let routing = server.send(Method::PUT, page, &JSON, &html).await.json();
    assert_eq!(routing["pages"], json!([{"kind": "maintenance", "bytes": 14}]));
    let strange = server.send(Method::PUT, "/apps/bibly/routing/pages/404", &JSON, &html).await;
    assert!(strange.refused(422, "invalid_params").contains("error, maintenance or blank"));
    let routing = server.send(Method::DELETE, page, &[], "").await.json();
    assert_eq!(routing["pages"], json!([]));
}
