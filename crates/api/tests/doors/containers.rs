//! The registry's door: what clients of the OCI Distribution API send, and what is refused.

use super::support::{Answer, Server};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::Write;
use windlass_core::ids::Digest;
use windlass_oci::digest_of;

pub const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry with the repositories `shop/web` and `shop/worker`.
pub struct Registry {
    pub server: Server,
}

/// An image, ready to be pushed.
pub struct Image {
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
}

impl Image {
    pub fn new(content: &str) -> Self {
        Self::of_architecture(content, if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" })
    }

    pub fn of_architecture(content: &str, architecture: &str) -> Self {
        let tar = tar_of("hello", content.as_bytes());
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(&tar)]},
        });
        let mut layer = GzEncoder::new(Vec::new(), Compression::fast());
        layer.write_all(&tar).unwrap();
        Self { config: config.to_string().into_bytes(), layer: layer.finish().unwrap() }
    }

    pub fn manifest(&self) -> Value {
        let part = |kind: &str, bytes: &[u8]| {
            json!({
                "mediaType": format!("application/vnd.docker.{kind}"),
                "digest": digest_of(bytes), "size": bytes.len(),
            })
        };
        json!({
            "schemaVersion": 2, "mediaType": DOCKER,
            "config": part("container.image.v1+json", &self.config),
            "layers": [part("image.rootfs.diff.tar.gzip", &self.layer)],
        })
    }
}

/// A tar of one file.
pub fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header;
    tar.extend_from_slice(content);
    tar.resize(tar.len().div_ceil(512) * 512 + 1024, 0);
    tar
}

impl Registry {
    pub async fn start() -> Self {
        let server = Server::start().await;
        server.app("shop").await;
        Self { server }
    }

    /// Sends as docker does: any user name, the token as the password.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        use base64::Engine;
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("_:{}", self.server.token));
        let authorization = format!("Basic {basic}");
        let mut all = vec![("authorization", authorization.as_str())];
        all.extend_from_slice(headers);
        self.server.send_as_is(method, path, &all, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], b"").await
    }

    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Answer {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest_of(bytes));
        self.send(Method::POST, &path, &[], bytes).await
    }

    pub async fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Answer {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let kind = [("content-type", DOCKER)];
        self.send(Method::PUT, &path, &kind, manifest.to_string().as_bytes()).await
    }

    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> Answer {
        for blob in [&image.config, &image.layer] {
            assert_eq!(self.push_blob(repository, blob).await.status, StatusCode::CREATED);
        }
        self.push_manifest(repository, tag, &image.manifest()).await
    }

    /// Begins an upload; returns where it goes on.
    pub async fn begin(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.send(Method::POST, &path, &[], b"").await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{begun:?}");
        header(&begun, "location")
    }
}

pub fn header(answer: &Answer, name: &str) -> String {
    let value = answer.headers.get(name).unwrap_or_else(|| panic!("{name}: {answer:?}"));
    value.to_str().unwrap().to_owned()
}

/// Checks the status and the registry's own code, and returns the message.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let error = &answer.json()["errors"][0];
    assert_eq!(
        (answer.status.as_u16(), error["code"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn clients_find_out_whether_their_login_is_good() {
    let registry = Registry::start().await;
    for path in ["/v2/", "/v2/shop/web/tags/list", "/v2/no-such-app/web/tags/list"] {
        let answer = registry.server.send_as_is(Method::GET, path, &[], b"").await;
        refused(&answer, 401, "UNAUTHORIZED");
        assert_eq!(header(&answer, "www-authenticate"), "Basic realm=\"Windlass\"");
        assert_eq!(header(&answer, "docker-distribution-api-version"), "registry/2.0");
    }
    let wrong = [("authorization", "Basic XzpuZWluCg==")];
    let answer = registry.server.send_as_is(Method::GET, "/v2/", &wrong, b"").await;
    refused(&answer, 401, "UNAUTHORIZED");
    let answer = registry.get("/v2/").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    assert_eq!(header(&answer, "docker-distribution-api-version"), "registry/2.0");
}

#[tokio::test]
async fn an_image_is_pushed_and_fetched_as_it_was() {
    let registry = Registry::start().await;
    let image = Image::new("one");
    let pushed = registry.push("shop/web", "latest", &image).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    let document = image.manifest().to_string();
    let digest = digest_of(document.as_bytes()).to_string();
    assert_eq!(header(&pushed, "docker-content-digest"), digest);
    for reference in ["latest", &digest] {
        let path = format!("/v2/shop/web/manifests/{reference}");
        let answer = registry.get(&path).await;
        assert_eq!(
            (answer.text(), header(&answer, "content-type")),
            (document.clone(), DOCKER.into())
        );
        let head = registry.send(Method::HEAD, &path, &[], b"").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(header(&head, "content-length"), document.len().to_string());
        assert_eq!(header(&head, "docker-content-digest"), digest);
    }
    let blob = format!("/v2/shop/web/blobs/{}", digest_of(&image.layer));
    assert_eq!(registry.get(&blob).await.body, image.layer);
    let part = registry.send(Method::GET, &blob, &[("range", "bytes=2-5")], b"").await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &image.layer[2..6]));
    let range = format!("bytes 2-5/{}", image.layer.len());
    assert_eq!(header(&part, "content-range"), range);
    let outside = registry.send(Method::GET, &blob, &[("range", "bytes=99999-")], b"").await;
    refused(&outside, 416, "SIZE_INVALID");
    let head = registry.send(Method::HEAD, &blob, &[], b"").await;
    assert_eq!(header(&head, "content-length"), image.layer.len().to_string());
}

#[tokio::test]
async fn tags_are_listed_moved_and_removed() {
    let registry = Registry::start().await;
    let (one, two) = (Image::new("one"), Image::new("two"));
    for (tag, image) in [("latest", &one), ("a", &one), ("b", &two), ("latest", &two)] {
        assert_eq!(registry.push("shop/web", tag, image).await.status, StatusCode::CREATED);
    }
    let list = registry.get("/v2/shop/web/tags/list").await;
    assert_eq!(list.json(), json!({"name": "shop/web", "tags": ["a", "b", "latest"]}));
    let page = registry.get("/v2/shop/web/tags/list?n=2").await;
    assert_eq!(page.json()["tags"], json!(["a", "b"]));
    assert_eq!(header(&page, "link"), "</v2/shop/web/tags/list?n=2&last=b>; rel=\"next\"");
    let rest = registry.get("/v2/shop/web/tags/list?n=2&last=b").await;
    assert_eq!(rest.json()["tags"], json!(["latest"]));
    let latest = registry.get("/v2/shop/web/manifests/latest").await;
    assert_eq!(latest.json(), two.manifest());
    let gone = registry.send(Method::DELETE, "/v2/shop/web/manifests/a", &[], b"").await;
    assert_eq!(gone.status, StatusCode::ACCEPTED);
    refused(&registry.get("/v2/shop/web/manifests/a").await, 404, "MANIFEST_UNKNOWN");
    let other = registry.get("/v2/shop/worker/tags/list").await;
    assert_eq!(other.json()["tags"], json!([]), "repositories are apart");
}

#[tokio::test]
async fn a_blob_comes_in_one_piece_or_in_several() {
    let registry = Registry::start().await;
    let bytes = b"0123456789".as_slice();
    let digest = digest_of(bytes);
    let place = registry.begin("shop/web").await;
    let put = format!("{place}?digest={digest}");
    let whole = registry.send(Method::PUT, &put, &[], bytes).await;
    assert_eq!(whole.status, StatusCode::CREATED, "{whole:?}");

    let place = registry.begin("shop/worker").await;
    let first = registry.send(Method::PATCH, &place, &[("content-range", "0-3")], b"0123").await;
    assert_eq!((first.status.as_u16(), header(&first, "range")), (202, "0-3".to_owned()));
    let status = registry.get(&place).await;
    assert_eq!((status.status.as_u16(), header(&status, "range")), (204, "0-3".to_owned()));
    let gap = registry.send(Method::PATCH, &place, &[("content-range", "6-9")], b"6789").await;
    refused(&gap, 416, "BLOB_UPLOAD_INVALID");
    let second = registry.send(Method::PATCH, &place, &[("content-range", "4-7")], b"4567").await;
    assert_eq!(second.status, StatusCode::ACCEPTED);
    let encoded = digest.to_string().replace(':', "%3A");
    let end = registry.send(Method::PUT, &format!("{place}?digest={encoded}"), &[], b"89").await;
    assert_eq!(end.status, StatusCode::CREATED, "{end:?}");
    let path = format!("/v2/shop/worker/blobs/{digest}");
    assert_eq!(registry.get(&path).await.body, bytes);
    // One file for both repositories, and no upload is left.
    let folder = registry.server.directory.path().join("data/registry");
    let count = |name: &str| std::fs::read_dir(folder.join(name)).unwrap().count();
    assert_eq!((count("blobs"), count("uploads")), (1, 0));
    refused(&registry.get(&place).await, 404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn what_does_not_match_its_digest_is_thrown_away() {
    let registry = Registry::start().await;
    let other = digest_of(b"something else");
    let place = registry.begin("shop/web").await;
    let put = format!("{place}?digest={other}");
    let answer = registry.send(Method::PUT, &put, &[], b"this").await;
    assert!(refused(&answer, 400, "DIGEST_INVALID").contains("not sha256:"));
    refused(&registry.get(&place).await, 404, "BLOB_UPLOAD_UNKNOWN");
    refused(&registry.get(&format!("/v2/shop/web/blobs/{other}")).await, 404, "BLOB_UNKNOWN");
    let place = registry.begin("shop/web").await;
    for query in ["", "?digest=sha256:../../../etc/passwd", "?digest=md5:00"] {
        let answer = registry.send(Method::PUT, &format!("{place}{query}"), &[], b"this").await;
        refused(&answer, 400, "DIGEST_INVALID");
    }
    let canceled = registry.send(Method::DELETE, &place, &[], b"").await;
    assert_eq!(canceled.status, StatusCode::NO_CONTENT);
    let uploads = registry.server.directory.path().join("data/registry/uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
    let named = format!("/v2/shop/web/manifests/{other}");
    let image = Image::new("x");
    assert_eq!(registry.push("shop/web", "x", &image).await.status, StatusCode::CREATED);
    let document = image.manifest().to_string();
    let answer = registry.send(Method::PUT, &named, &[], document.as_bytes()).await;
    refused(&answer, 400, "DIGEST_INVALID");
}

#[tokio::test]
async fn blobs_are_shared_between_repositories_only_by_who_may_see_both() {
    let registry = Registry::start().await;
    let digest = digest_of(b"shared");
    let _ = registry.push_blob("shop/web", b"shared").await;
    // To know a digest is not enough.
    refused(&registry.get(&format!("/v2/shop/worker/blobs/{digest}")).await, 404, "BLOB_UNKNOWN");
    let mount = |from: &str| format!("/v2/shop/worker/blobs/uploads/?mount={digest}&from={from}");
    for nowhere in ["shop/clock", "no-such-app/web", "..%2F..%2Fetc", "shop"] {
        let answer = registry.send(Method::POST, &mount(nowhere), &[], b"").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "an upload instead: {answer:?}");
    }
    let mounted = registry.send(Method::POST, &mount("shop/web"), &[], b"").await;
    assert_eq!(mounted.status, StatusCode::CREATED, "{mounted:?}");
    let fetched = registry.get(&format!("/v2/shop/worker/blobs/{digest}")).await;
    assert_eq!(&fetched.body[..], b"shared");
}

#[tokio::test]
async fn what_is_damaged_or_too_large_is_refused_when_it_is_pushed() {
    let registry = Registry::start().await;
    let image = Image::new("one");
    let missing = registry.push_manifest("shop/web", "latest", &image.manifest()).await;
    let config = digest_of(&image.config).to_string();
    assert!(refused(&missing, 400, "MANIFEST_BLOB_UNKNOWN").contains(&config));

    // The layer is not what the config says.
    let mut damaged = Image::new("one");
    damaged.layer = Image::new("two").layer;
    let answer = registry.push("shop/web", "latest", &damaged).await;
    assert!(refused(&answer, 400, "MANIFEST_INVALID").contains("damaged"));

    let mut large = image.manifest();
    large["layers"][0]["size"] = json!(1_u64 << 40);
    let answer = registry.push_manifest("shop/web", "latest", &large).await;
    assert!(refused(&answer, 400, "MANIFEST_INVALID").contains("at most 1024 MiB"));
    let mut lying = image.manifest();
    lying["layers"][0]["size"] = json!(1);
    assert_eq!(registry.push("shop/web", "good", &image).await.status, StatusCode::CREATED);
    let answer = registry.push_manifest("shop/web", "latest", &lying).await;
    assert!(refused(&answer, 400, "MANIFEST_INVALID").contains("not 1"));
    refused(&registry.get("/v2/shop/web/manifests/latest").await, 404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn an_upload_beyond_the_limit_is_refused() {
    let server = Server::start_with(|settings| settings.build.image_bytes = 1000).await;
    server.app("shop").await;
    let registry = Registry { server };
    let answer = registry.push_blob("shop/web", &[7; 1001]).await;
    refused(&answer, 413, "SIZE_INVALID");
    assert_eq!(registry.push_blob("shop/web", &[7; 1000]).await.status, StatusCode::CREATED);
    let uploads = registry.server.directory.path().join("data/registry/uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0, "nothing is left of it");
    for _ in 0..40 {
        let _ = registry.begin("shop/web").await;
    }
    let path = "/v2/shop/web/blobs/uploads/";
    let answer = registry.send(Method::POST, path, &[], b"").await;
    refused(&answer, 429, "TOOMANYREQUESTS");
}

#[tokio::test]
async fn names_with_tricks_and_unknown_apps_are_refused() {
    let registry = Registry::start().await;
    for (path, status, code) in [
        ("/v2/no-such-app/web/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/shop/tags/list", 400, "NAME_INVALID"),
        ("/v2/../shop/web/tags/list", 400, "NAME_INVALID"),
        ("/v2/shop/..%2f..%2fweb/tags/list", 400, "NAME_INVALID"),
        ("/v2/shop/web%00/tags/list", 400, "NAME_INVALID"),
        ("/v2/shop/web/manifests/..", 400, "TAG_INVALID"),
        ("/v2/shop/web/blobs/sha256:..", 400, "DIGEST_INVALID"),
        ("/v2/shop/web/blobs/uploads/..", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/_catalog", 404, "UNSUPPORTED"),
        ("/v2/shop/web/nothing", 404, "UNSUPPORTED"),
    ] {
        refused(&registry.get(path).await, status, code);
    }
    let answer = registry.send(Method::DELETE, "/v2/shop/web/tags/list", &[], b"").await;
    refused(&answer, 405, "UNSUPPORTED");
}

#[tokio::test]
async fn only_pushed_images_are_released() {
    let registry = Registry::start().await;
    let id: Digest = digest_of(b"never pushed");
    let update = |image: Value| json!({"updates": [{"type": "web", "docker_image": image}]});
    let server = &registry.server;
    let unknown = server.patch("/apps/shop/formation", update(json!(id))).await;
    assert!(unknown.refused(422, "invalid_params").contains("push it to shop/web first"));
    let no_digest = server.patch("/apps/shop/formation", update(json!("latest"))).await;
    assert!(no_digest.refused(422, "invalid_params").contains("is no image"));
    let removed = server.patch("/apps/shop/formation", update(Value::Null)).await;
    assert!(removed.refused(422, "invalid_params").contains("no process type web"));
    assert_eq!(server.get("/apps/shop/releases").await.json().as_array().unwrap().len(), 1);
}
