//! What must not work at the registry's door, and pushes that do not come to their end.

use super::containers::{DOCKER, Image, Registry, header, refused};
use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use windlass_oci::digest_of;

fn in_folder(registry: &Registry, name: &str) -> usize {
    let folder = registry.server.directory.path().join("data/registry").join(name);
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_stays_theirs() {
    let registry = Registry::start().await;
    let image = Image::new("secret");
    assert_eq!(registry.push("shop/web", "latest", &image).await.status, StatusCode::CREATED);
    let place = registry.begin("shop/web").await;
    let ben = registry.server.let_in("ben@example.com").await;
    let made = json!({"name": "bens"});
    let made = registry.server.as_user(&ben, Method::POST, "/apps", made).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let authorization = format!("Bearer {ben}");
    let as_ben = [("authorization", authorization.as_str())];
    let digest = digest_of(&image.layer);
    for (method, path) in [
        (Method::GET, "/v2/shop/web/tags/list".to_owned()),
        (Method::GET, "/v2/shop/web/manifests/latest".to_owned()),
        (Method::GET, format!("/v2/shop/web/blobs/{digest}")),
        (Method::POST, "/v2/shop/web/blobs/uploads/".to_owned()),
        (Method::PUT, "/v2/shop/web/manifests/latest".to_owned()),
        (Method::DELETE, "/v2/shop/web/manifests/latest".to_owned()),
        (Method::GET, place.clone()),
        (Method::PATCH, place.clone()),
        (Method::DELETE, place.clone()),
    ] {
        let answer = registry.server.send_as_is(method, &path, &as_ben, b"x").await;
        refused(&answer, 404, "NAME_UNKNOWN");
    }
    // An upload of another repository, by its number.
    for other in ["bens/web", "bens/worker"] {
        let path = place.replace("shop/web", other);
        let answer = registry.server.send_as_is(Method::PATCH, &path, &as_ben, b"x").await;
        refused(&answer, 404, "BLOB_UPLOAD_UNKNOWN");
    }
    let path = place.replace("shop/web", "shop/worker");
    refused(&registry.get(&path).await, 404, "BLOB_UPLOAD_UNKNOWN");
    // A blob of another app, by its digest: it has to be sent.
    let path = format!("/v2/bens/web/blobs/uploads/?mount={digest}&from=shop/web");
    let answer = registry.server.send_as_is(Method::POST, &path, &as_ben, b"").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let path = format!("/v2/bens/web/blobs/{digest}");
    let answer = registry.server.send_as_is(Method::GET, &path, &as_ben, b"").await;
    refused(&answer, 404, "BLOB_UNKNOWN");
    let (path, document) = ("/v2/bens/web/manifests/latest", image.manifest().to_string());
    let headers = [as_ben[0], ("content-type", DOCKER)];
    let answer = registry.server.send_as_is(Method::PUT, path, &headers, document.as_bytes()).await;
    refused(&answer, 400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(registry.get(&place).await.status, StatusCode::NO_CONTENT, "it is still there");
}

#[tokio::test]
async fn chunks_come_in_order_and_are_as_long_as_they_say() {
    let registry = Registry::start().await;
    let place = registry.begin("shop/web").await;
    let chunk = |range: &'static str, bytes: &'static [u8]| {
        let (registry, place) = (&registry, &place);
        async move { registry.send(Method::PATCH, place, &[("content-range", range)], bytes).await }
    };
    assert_eq!(chunk("0-3", b"0123").await.status, StatusCode::ACCEPTED);
    for range in ["0-3", "3-6", "5-8", "bytes 0-3/10", "", "x", "-4", "4-", "7-4", "4 7", "1e1-20"]
    {
        let answer = chunk(range, b"4567").await;
        refused(&answer, 416, "BLOB_UPLOAD_INVALID");
        assert_eq!(header(&answer, "range"), "0-3", "{range}: where to go on");
    }
    for range in ["4-6", "4-8", "4-18446744073709551615"] {
        refused(&chunk(range, b"4567").await, 400, "SIZE_INVALID");
    }
    assert_eq!(chunk("4-7", b"4567").await.status, StatusCode::ACCEPTED);
    let digest = digest_of(b"01234567");
    let put = format!("{place}?digest={digest}");
    let wrong = registry.send(Method::PUT, &put, &[("content-range", "0-3")], b"0123").await;
    refused(&wrong, 416, "BLOB_UPLOAD_INVALID");
    assert_eq!(registry.send(Method::PUT, &put, &[], b"").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_upload_that_was_given_up_is_gone() {
    let registry = Registry::start().await;
    let place = registry.begin("shop/web").await;
    let sent = registry.send(Method::PATCH, &place, &[], b"0123").await;
    assert_eq!(sent.status, StatusCode::ACCEPTED);
    let gone = registry.send(Method::DELETE, &place, &[], b"").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let put = format!("{place}?digest={}", digest_of(b"0123"));
    for (method, path) in [
        (Method::GET, &place),
        (Method::PATCH, &place),
        (Method::PUT, &put),
        (Method::DELETE, &place),
    ] {
        let answer = registry.send(method, path, &[], b"").await;
        refused(&answer, 404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(in_folder(&registry, "uploads"), 0);
}

#[tokio::test]
async fn digests_and_tags_have_their_form() {
    let registry = Registry::start().await;
    let hex = digest_of(b"x").hex().to_owned();
    let long = "a".repeat(129);
    for digest in [
        format!("sha512:{hex}{hex}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("SHA256:{hex}"),
        "sha256:".to_owned(),
        "sha256%00:".to_owned(),
    ] {
        let get = registry.get(&format!("/v2/shop/web/blobs/{digest}")).await;
        refused(&get, 400, "DIGEST_INVALID");
        let path = format!("/v2/shop/web/blobs/uploads/?digest={digest}");
        refused(&registry.send(Method::POST, &path, &[], b"x").await, 400, "DIGEST_INVALID");
        let path = format!("/v2/shop/worker/blobs/uploads/?from=shop/web&mount={digest}");
        refused(&registry.send(Method::POST, &path, &[], b"x").await, 400, "DIGEST_INVALID");
    }
    let document = Image::new("one").manifest().to_string();
    for (tag, code) in [
        (".hidden", "TAG_INVALID"),
        ("-x", "TAG_INVALID"),
        ("a+b", "TAG_INVALID"),
        ("a%20b", "DIGEST_INVALID"),
        (&*long, "TAG_INVALID"),
        ("sha256:12", "DIGEST_INVALID"),
    ] {
        let path = format!("/v2/shop/web/manifests/{tag}");
        let kind = [("content-type", DOCKER)];
        let answer = registry.send(Method::PUT, &path, &kind, document.as_bytes()).await;
        refused(&answer, 400, code);
    }
    assert_eq!((in_folder(&registry, "uploads"), in_folder(&registry, "blobs")), (0, 0));
}

#[tokio::test]
async fn a_manifest_is_small_and_plain() {
    let registry = Registry::start().await;
    let image = Image::new("one");
    assert_eq!(registry.push("shop/web", "good", &image).await.status, StatusCode::CREATED);
    let path = "/v2/shop/web/manifests/bad";
    let put = |document: Vec<u8>| {
        let registry = &registry;
        async move { registry.send(Method::PUT, path, &[("content-type", DOCKER)], &document).await }
    };
    let mut large = image.manifest();
    large["annotations"] = json!({"a": "x".repeat(4 << 20)});
    refused(&put(large.to_string().into_bytes()).await, 413, "MANIFEST_INVALID");
    let deep = format!("{}{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    for bad in [b"".to_vec(), b"{".to_vec(), b"[]".to_vec(), vec![0xff; 100], deep.into_bytes()] {
        refused(&put(bad).await, 400, "MANIFEST_INVALID");
    }
    let mut foreign = image.manifest();
    foreign["layers"][0]["mediaType"] =
        json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let line = refused(&put(foreign.to_string().into_bytes()).await, 400, "MANIFEST_INVALID");
    assert!(line.contains("not distributable"), "{line}");
    refused(&registry.get(path).await, 404, "MANIFEST_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_blob_may_come_several_times_at_once() {
    let registry = Registry::start().await;
    let bytes = vec![7; 300_000];
    let pushes = (0..8).map(|number| {
        let repository = if number % 2 == 0 { "shop/web" } else { "shop/worker" };
        registry.push_blob(repository, &bytes)
    });
    for answer in join_all(pushes).await {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
    for repository in ["shop/web", "shop/worker"] {
        let path = format!("/v2/{repository}/blobs/{}", digest_of(&bytes));
        assert_eq!(registry.get(&path).await.body, bytes);
    }
    assert_eq!((in_folder(&registry, "blobs"), in_folder(&registry, "uploads")), (1, 0));
    let image = Image::new("one");
    let pushes = (0..4).map(|_| registry.push("shop/web", "latest", &image));
    for answer in join_all(pushes).await {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_cut_goes_on_where_it_was() {
    let registry = Registry::start().await;
    let place = registry.begin("shop/web").await;
    let mut connection = TcpStream::connect(registry.server.address).await.unwrap();
    let head = format!(
        "PATCH {place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n0123",
        registry.server.token
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.flush().await.unwrap();
    // So long as it is sent to, nobody else may.
    let end = Instant::now() + Duration::from_secs(20);
    let until = async |status: u16| loop {
        let answer = registry.get(&place).await;
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < end, "{status}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    refused(&until(409).await, 409, "BLOB_UPLOAD_INVALID");
    drop(connection);
    let status = until(204).await;
    let has: usize = header(&status, "range").trim_start_matches("0-").parse().unwrap();
    let rest = &b"0123456789"[if has == 0 { 0 } else { has + 1 }..];
    let put = format!("{place}?digest={}", digest_of(b"0123456789"));
    let done = registry.send(Method::PUT, &put, &[], rest).await;
    assert_eq!(done.status, StatusCode::CREATED, "{done:?}");
    assert_eq!(in_folder(&registry, "uploads"), 0);
}
