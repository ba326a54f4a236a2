//! Indexes at the registry's door: images for several processors, and what Docker puts beside them.

use super::containers::{DOCKER, Image, Registry, header, refused};
use super::support::Answer;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use windlass_oci::{architecture, digest_of};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

fn entry(manifest: &Value, architecture: &str) -> Value {
    let bytes = manifest.to_string();
    let os = if architecture == "unknown" { "unknown" } else { "linux" };
    json!({
        "mediaType": manifest["mediaType"], "digest": digest_of(bytes.as_bytes()),
        "size": bytes.len(), "platform": {"os": os, "architecture": architecture},
    })
}

fn index(kind: &str, entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": kind, "manifests": entries})
}

/// How an image was built, as Docker says it beside the image: config, statement and manifest.
fn attestation() -> (Vec<u8>, Vec<u8>, Value) {
    let config = br#"{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let statement = br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#.to_vec();
    let part = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest_of(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": part("application/vnd.oci.image.config.v1+json", &config),
        "layers": [part("application/vnd.in-toto+json", &statement)],
    });
    (config, statement, manifest)
}

impl Registry {
    /// Puts a manifest under a tag or its own digest, as what it is.
    async fn put(&self, reference: &str, manifest: &Value) -> Answer {
        let path = format!("/v2/shop/web/manifests/{reference}");
        let kind = manifest["mediaType"].as_str().unwrap();
        self.send(Method::PUT, &path, &[("content-type", kind)], manifest.to_string().as_bytes())
            .await
    }

    async fn put_by_digest(&self, manifest: &Value) {
        let digest = digest_of(manifest.to_string().as_bytes()).to_string();
        let answer = self.put(&digest, manifest).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }

    async fn push_blobs(&self, blobs: &[&[u8]]) {
        for blob in blobs {
            assert_eq!(self.push_blob("shop/web", blob).await.status, StatusCode::CREATED);
        }
    }

    async fn release(&self, image: &str) -> Answer {
        let update = json!({"updates": [{"type": "web", "docker_image": image}]});
        self.server.patch("/apps/shop/formation", update).await
    }
}

#[tokio::test]
async fn an_index_is_kept_and_served_as_it_was() {
    let registry = Registry::start().await;
    let (ours, foreign) = (Image::new("one"), Image::of_architecture("one", "s390x"));
    let (config, statement, beside) = attestation();
    registry.push_blobs(&[&ours.config, &ours.layer, &foreign.config, &foreign.layer]).await;
    registry.push_blobs(&[&config, &statement]).await;
    for (kind, tag) in [(INDEX, "oci"), (LIST, "docker")] {
        for manifest in [&foreign.manifest(), &ours.manifest(), &beside] {
            registry.put_by_digest(manifest).await;
        }
        let entries = [
            entry(&foreign.manifest(), "s390x"),
            entry(&ours.manifest(), architecture()),
            entry(&beside, "unknown"),
        ];
        let document = index(kind, &entries);
        let pushed = registry.put(tag, &document).await;
        assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
        let digest = digest_of(document.to_string().as_bytes()).to_string();
        assert_eq!(header(&pushed, "docker-content-digest"), digest);
        for reference in [tag, &digest] {
            let path = format!("/v2/shop/web/manifests/{reference}");
            let accept = [("accept", OCI), ("accept", kind)];
            let answer = registry.send(Method::GET, &path, &accept, b"").await;
            assert_eq!(answer.text(), document.to_string());
            assert_eq!(header(&answer, "content-type"), kind);
        }
        for manifest in [&foreign.manifest(), &ours.manifest(), &beside] {
            let digest = digest_of(manifest.to_string().as_bytes());
            let answer = registry.get(&format!("/v2/shop/web/manifests/{digest}")).await;
            assert_eq!(answer.json(), *manifest, "its parts are served as well");
        }
        // Who reads no indexes gets the image for this server.
        let path = format!("/v2/shop/web/manifests/{tag}");
        let answer = registry.send(Method::GET, &path, &[("accept", DOCKER)], b"").await;
        assert_eq!(answer.json(), ours.manifest());
        let digest = digest_of(ours.manifest().to_string().as_bytes()).to_string();
        assert_eq!(header(&answer, "docker-content-digest"), digest);
    }
    let blob = format!("/v2/shop/web/blobs/{}", digest_of(&foreign.layer));
    assert_eq!(registry.get(&blob).await.body, foreign.layer);
}

/// Docker 26 with the containerd image store pushes each part under the tag, the index last.
#[tokio::test]
async fn parts_may_be_pushed_under_the_tag_of_the_index() {
    let registry = Registry::start().await;
    let ours = Image::new("one");
    let (config, statement, beside) = attestation();
    registry.push_blobs(&[&ours.config, &ours.layer, &config, &statement]).await;
    let entries = [entry(&ours.manifest(), architecture()), entry(&beside, "unknown")];
    for manifest in [&ours.manifest(), &beside, &index(INDEX, &entries)] {
        let pushed = registry.put("latest", manifest).await;
        assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    }
    let list = registry.get("/v2/shop/web/tags/list").await;
    assert_eq!(list.json()["tags"], json!(["latest"]));
    // An index around an index leads to the same image.
    let inner = index(INDEX, &entries);
    let outer = index(INDEX, &[entry(&inner, architecture())]);
    assert_eq!(registry.put("outer", &outer).await.status, StatusCode::CREATED);
    let path = "/v2/shop/web/manifests/outer";
    let answer = registry.send(Method::GET, path, &[("accept", DOCKER)], b"").await;
    assert_eq!(answer.json(), ours.manifest());
}

#[tokio::test]
async fn what_is_not_for_this_server_is_refused_when_it_is_released() {
    let registry = Registry::start().await;
    let foreign = Image::of_architecture("one", "s390x");
    let (config, statement, beside) = attestation();
    registry.push_blobs(&[&foreign.config, &foreign.layer, &config, &statement]).await;
    let index = index(INDEX, &[entry(&foreign.manifest(), "s390x"), entry(&beside, "unknown")]);
    for manifest in [&foreign.manifest(), &beside, &index] {
        assert_eq!(registry.put("latest", manifest).await.status, StatusCode::CREATED);
    }
    let only = format!("this server runs linux/{} only", architecture());
    for (id, says) in [
        (digest_of(&foreign.config), "for linux/s390x"),
        (digest_of(foreign.manifest().to_string().as_bytes()), "for linux/s390x"),
        (digest_of(index.to_string().as_bytes()), &*only),
        (digest_of(beside.to_string().as_bytes()), "not the layer of an image"),
    ] {
        let line = registry.release(id.as_str()).await.refused(422, "invalid_params");
        assert!(line.contains(says) && line.contains("--platform linux/"), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[tokio::test]
async fn an_index_names_what_is_there() {
    let registry = Registry::start().await;
    let ours = Image::new("one");
    let entries = [entry(&ours.manifest(), architecture())];
    let missing = registry.put("latest", &index(INDEX, &entries)).await;
    let digest = digest_of(ours.manifest().to_string().as_bytes()).to_string();
    assert!(refused(&missing, 400, "MANIFEST_BLOB_UNKNOWN").contains(&digest));
    registry.push_blobs(&[&ours.config, &ours.layer]).await;
    registry.put_by_digest(&ours.manifest()).await;
    let mut lying = entries[0].clone();
    lying["size"] = json!(7);
    let answer = registry.put("latest", &index(INDEX, &[lying])).await;
    assert!(refused(&answer, 400, "MANIFEST_INVALID").contains("not as many as the index says"));
    // Another repository's manifests are none of this one's.
    let path = "/v2/shop/worker/manifests/latest";
    let document = index(INDEX, &entries).to_string();
    let kind = [("content-type", INDEX)];
    let answer = registry.send(Method::PUT, path, &kind, document.as_bytes()).await;
    refused(&answer, 400, "MANIFEST_BLOB_UNKNOWN");
    // What is two things at once is read differently by different programs.
    let mut both = ours.manifest();
    both["manifests"] = json!(entries);
    refused(&registry.put("latest", &both).await, 400, "MANIFEST_INVALID");
    let path = "/v2/shop/web/manifests/latest";
    let document = ours.manifest().to_string();
    let answer = registry.send(Method::PUT, path, &kind, document.as_bytes()).await;
    assert!(refused(&answer, 400, "MANIFEST_INVALID").contains("sent as"));
    refused(&registry.get("/v2/shop/web/manifests/latest").await, 404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn who_pushed_what_from_where_is_in_the_audit_trail() {
    let registry = Registry::start().await;
    let image = Image::new("one");
    assert_eq!(registry.push("shop/web", "latest", &image).await.status, StatusCode::CREATED);
    registry.put_by_digest(&image.manifest()).await;
    let path = "/v2/shop/web/manifests/latest";
    let gone = registry.send(Method::DELETE, path, &[], b"").await;
    assert_eq!(gone.status, StatusCode::ACCEPTED);
    let refused = registry.put("latest", &json!({"mediaType": DOCKER})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let digest = digest_of(image.manifest().to_string().as_bytes());
    let expected = [
        "container delete web:latest".to_owned(),
        format!("container push web@{digest}"),
        format!("container push web:latest@{digest}"),
    ];
    let of_registry = || {
        let mut entries = registry.server.platform.activity(None, 100).unwrap();
        entries.retain(|(_, entry)| entry.action.starts_with("container "));
        entries
    };
    // They are written down soon after the answer.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while of_registry().len() < expected.len() && std::time::Instant::now() < end {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let entries = of_registry();
    let actions: Vec<&str> = entries.iter().map(|(_, entry)| entry.action.as_str()).collect();
    assert_eq!(actions, expected);
    for (_, entry) in &entries {
        assert_eq!(entry.email, "ada@example.com");
        assert_eq!(entry.address.as_deref(), Some("127.0.0.1"));
        assert!(entry.token.is_some() && entry.request.is_some(), "{entry:?}");
        assert_eq!(entry.app.as_ref().map(|(_, name)| name.as_str()), Some("shop"));
    }
}
