//! Certificates in Heroku's shape, and the private authority.

use super::support::Server;
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/apps/bibly/sni-endpoints";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn made(name: &str) -> Value {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    json!({
        "certificate_chain": made.cert.pem(), "private_key": made.signing_key.serialize_pem(),
    })
}

/// Returns the names of an object's fields.
fn fields(value: &Value) -> Vec<&str> {
    let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_have_herokus_shape() {
    let server = Server::start().await;
    server.app("bibly").await;
    let domain = json!({"hostname": "www.example.com", "sni_endpoint": null}).to_string();
    let domain = server.send(Method::POST, "/apps/bibly/domains", &JSON, &domain).await.json();
    assert_eq!(domain["sni_endpoint"], Value::Null);
    let body = made("www.example.com");
    let check = format!("{PATH}/actions/check");
    let checked = server.send(Method::POST, &check, &JSON, &body.to_string()).await;
    assert_eq!(
        (checked.status.as_u16(), &checked.json()["cert_domains"]),
        (200, &json!(["www.example.com"]))
    );
    let added = server.send(Method::POST, PATH, &JSON, &body.to_string()).await;
    assert_eq!(added.status, 201);
    let added = added.json();
    assert_eq!(
        fields(&added),
        [
            "app",
            "certificate_chain",
            "created_at",
            "display_name",
            "domains",
            "hosts",
            "id",
            "name",
            "ssl_cert",
            "updated_at",
            "warnings",
        ]
    );
    assert_eq!(
        fields(&added["ssl_cert"]),
        [
            "acm",
            "ca_signed?",
            "cert_domains",
            "expires_at",
            "id",
            "issuer",
            "origin",
            "self_signed?",
            "starts_at",
            "subject",
        ]
    );
    assert_eq!(added["domains"], json!([domain["id"]]));
    assert_eq!(added["ssl_cert"]["self_signed?"], json!(true));
    let one = format!("{PATH}/{}", added["name"].as_str().unwrap());
    assert_eq!(server.get(&one).await.json()["id"], added["id"]);
    let domains = server.get("/apps/bibly/domains").await.json();
    let reference = json!({"id": added["id"], "name": added["name"]});
    let www = domains.as_array().unwrap().iter().find(|d| d["hostname"] == "www.example.com");
    assert_eq!(www.unwrap()["sni_endpoint"], reference);
    let chosen = json!({"sni_endpoint": added["name"]}).to_string();
    let path = "/apps/bibly/domains/www.example.com";
    let chosen = server.send(Method::PATCH, path, &JSON, &chosen).await;
    assert_eq!((chosen.status.as_u16(), &chosen.json()["sni_endpoint"]), (200, &reference));
    let none = json!({"sni_endpoint": "nobody"}).to_string();
    let _ = server.send(Method::PATCH, path, &JSON, &none).await.refused(404, "not_found");
    let newer = made("www.example.com");
    let updated = server.send(Method::PATCH, &one, &JSON, &newer.to_string()).await;
    assert_eq!(updated.json()["certificate_chain"], newer["certificate_chain"]);
    let removed = server.send(Method::DELETE, &one, &[], "").await;
    assert_eq!((removed.status.as_u16(), &removed.json()["id"]), (200, &added["id"]));
    let _ = server.send(Method::DELETE, &one, &[], "").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_in_one_line() {
    let server = Server::start().await;
    server.app("bibly").await;
    let mut body = made("www.example.com");
    body["private_key"] = made("www.example.com")["private_key"].clone();
    let refused = server.send(Method::POST, PATH, &JSON, &body.to_string()).await;
    let refused = refused.refused(422, "invalid_params");
    assert!(refused.starts_with("The key does not belong to the certificate"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_the_private_authority_is_given_out() {
    let server = Server::start().await;
    server.app("bibly").await;
    let authority = server.get("/certificate-authority").await.json();
    assert_eq!(fields(&authority), ["certificate", "expires_at", "fingerprint", "permitted"]);
    assert_eq!(authority["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(server.get(PATH).await.json(), json!([]), "as Heroku's CLI asks for them");
    let private = server.get(&format!("{PATH}?with_platform=true")).await.json();
    assert_eq!(private[0]["ssl_cert"]["origin"], "private");
    assert_eq!(private[0]["hosts"], json!(["bibly.localhost"]));
}
