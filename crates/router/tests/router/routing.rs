//! Hosts, headers, connections.

use crate::support::*;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_core::route::{Canary, RouterCommand, RouterReply};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_lead_to_their_apps() {
    let router = TestRouter::start().await;
    let (one, two) = (Backend::says("one").await, Backend::says("two").await);
    let mut first = router.route("one", &[&one]);
    first.hosts.push("*.example.com".to_owned());
    let mut second = router.route("two", &[&two]);
    second.hosts.push("www.example.com".to_owned());
    router.upsert(&first).await;
    router.upsert(&second).await;
    for (host, body) in [
        ("one.test", "one"),
        ("ONE.test:8080", "one"),
        ("two.test.", "two"),
        ("www.example.com", "two"),
        ("a.b.example.com", "one"),
    ] {
        let (status, headers, text) = get(router.address, host, "/").await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, body), "{host}");
        assert_eq!(headers["via"], "1.1 windlass-router");
    }
    for host in ["three.test", "example.com"] {
        let (status, headers, text) = get(router.address, host, "/").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("There's nothing here, yet.") && text.contains(host), "{text}");
        assert_eq!(headers["cache-control"], "no-cache, no-store");
    }
    assert_eq!(router.send(RouterCommand::Remove { app: first.app }).await, RouterReply::Applied);
    assert_eq!(get(router.address, "one.test", "/").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        router.send(RouterCommand::Sync { routes: vec![first] }).await,
        RouterReply::Applied
    );
    assert_eq!(get(router.address, "one.test", "/").await.2, "one");
    assert_eq!(get(router.address, "two.test", "/").await.0, StatusCode::NOT_FOUND);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_see_herokus_headers_and_no_others() {
    let router = TestRouter::start().await;
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    let request = Request::builder()
        .uri("/a?b=c")
        .header("host", "mirror.test:1234")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-request-id", "too short")
        .header("connection", "keep-alive, x-private")
        .header("x-private", "1")
        .header("te", "trailers")
        .header("via", "1.0 other")
        .header("x-kept", "yes")
        .body(Full::default())
        .unwrap();
    let (status, _, text) = send(&mut connect(router.address).await, request).await;
    assert_eq!(status, StatusCode::OK);
    let port = router.address.port();
    for line in [
        "GET /a?b=c",
        "host: mirror.test:1234",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        &format!("x-forwarded-port: {port}"),
        "via: 1.0 other, 1.1 windlass-router",
        "x-kept: yes",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
    let value = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    assert_eq!(value("x-request-id: ").len(), 36);
    assert!(value("x-request-start: ").parse::<u64>().unwrap() > 1_700_000_000_000);
    for gone in ["x-private", "te:", "connection:", "transfer-encoding", "content-length"] {
        assert!(!text.contains(gone), "{gone} in\n{text}");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_clear_are_refused() {
    let router = TestRouter::start().await;
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    let long = "x".repeat(9_000);
    let huge = "x-filler: 0123456789012345678901234567890123456789\r\n".repeat(80)
        + &format!("x-long: {}\r\n", "y".repeat(70_000));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: mirror.test\r\nhost: mirror.test\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: mirror.test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: mirror.test\r\ncontent-length: 1, 1\r\n\r\na".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: mirror.test\r\ntransfer-encoding: gzip\r\n\r\na".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: mirror.test\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), "400"),
        ("CONNECT mirror.test:443 HTTP/1.1\r\nhost: mirror.test\r\n\r\n".to_owned(), "405"),
        ("POST / HTTP/1.1\r\nhost: mirror.test\r\nexpect: tea\r\ncontent-length: 1\r\n\r\na".to_owned(), "417"),
        (format!("GET /{long} HTTP/1.1\r\nhost: mirror.test\r\n\r\n"), "414"),
        (format!("GET / HTTP/1.1\r\nhost: mirror.test\r\nx: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nhost: mirror.test\r\n{huge}\r\n"), "431"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(router.address).await.unwrap();
        // The router may answer and close before it has taken all of a large head.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let shown: String = request.chars().take(120).collect();
        assert_eq!(std::str::from_utf8(&answer[9..]).unwrap(), status, "{shown:?}");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absolute_form_and_http_1_0() {
    let router = TestRouter::start().await;
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    let text = raw(
        router.address,
        "GET http://mirror.test/x?y HTTP/1.1\r\nhost: other.test\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(text.contains("GET /x?y\n") && text.contains("host: mirror.test\n"), "{text}");
    let text = raw(router.address, "GET /old HTTP/1.0\r\nhost: mirror.test\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n") && text.contains("GET /old\n"), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_kept_on_both_sides() {
    let router = TestRouter::start().await;
    let mirror = Backend::mirror().await;
    router.upsert(&router.route("mirror", &[&mirror])).await;
    let mut client = connect(router.address).await;
    for _ in 0..30 {
        assert_eq!(send(&mut client, request("mirror.test", "/")).await.0, StatusCode::OK);
    }
    // The client may ask again before the pool has seen the end of the last exchange.
    assert!(mirror.connections() <= 3, "{} connections for 30 requests", mirror.connections());
    let pipelined = "GET /1 HTTP/1.1\r\nhost: mirror.test\r\n\r\nGET /2 HTTP/1.1\r\nhost: mirror.test\r\n\r\n\
                     GET /3 HTTP/1.1\r\nhost: mirror.test\r\nconnection: close\r\n\r\n";
    let text = raw(router.address, pipelined).await;
    let places: Vec<usize> =
        ["GET /1\n", "GET /2\n", "GET /3\n"].iter().map(|p| text.find(p).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_goes_to_all_targets_but_not_to_dead_ones() {
    let router = TestRouter::start().await;
    let (one, two) = (Backend::says("one").await, Backend::says("two").await);
    let dead = Backend::says("dead").await;
    let mut route = router.route("many", &[&one, &two, &dead]);
    drop(dead);
    router.upsert(&route).await;
    let mut seen = [0, 0];
    for _ in 0..60 {
        let (status, _, text) = get(router.address, "many.test", "/").await;
        assert_eq!(status, StatusCode::OK);
        seen[usize::from(text == "two")] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    route.targets.drain(..2);
    router.upsert(&route).await;
    let (status, _, text) = get(router.address, "many.test", "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("H21"), "{text}");
    router.stop().await;
}

/// A server that answers the first request of a connection and closes at the second.
async fn one_answer(requests: Arc<AtomicUsize>) -> Backend {
    Backend::raw(move |mut stream| {
        let requests = Arc::clone(&requests);
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            requests.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            requests.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_request_survives_a_pooled_connection_that_dies() {
    let router = TestRouter::start().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let backend = one_answer(Arc::clone(&requests)).await;
    router.upsert(&router.route("flaky", &[&backend])).await;
    let mut client = connect(router.address).await;
    for _ in 0..10 {
        assert_eq!(send(&mut client, request("flaky.test", "/")).await.2, "ok");
    }
    // At least one of them was sent on a connection that then died, and once more on another.
    assert!(requests.load(Ordering::SeqCst) > 10, "no pooled connection was used");
    assert!(backend.connections() > 1);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_never_sent_twice() {
    let router = TestRouter::start().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let backend = one_answer(Arc::clone(&requests)).await;
    router.upsert(&router.route("flaky", &[&backend])).await;
    let mut client = connect(router.address).await;
    let mut lost = 0;
    for _ in 0..10 {
        let mut post = request("flaky.test", "/");
        *post.method_mut() = Method::POST;
        let (status, _, text) = send(&mut client, post).await;
        if status != StatusCode::OK {
            assert!(text.contains("H13"), "{text}");
            lost += 1;
        }
    }
    assert!(lost > 0, "no pooled connection was used");
    assert_eq!(requests.load(Ordering::SeqCst), 10);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_not_modified_keep_their_length() {
    let router = TestRouter::start().await;
    let backend = Backend::start(|request| async move {
        let status = if request.method() == Method::HEAD { 200 } else { 304 };
        let body = Empty::new().boxed();
        http::Response::builder()
            .status(status)
            .header("content-length", "1234")
            .header("etag", "\"x\"")
            .body(body)
            .unwrap()
    })
    .await;
    router.upsert(&router.route("head", &[&backend])).await;
    let mut client = connect(router.address).await;
    for _ in 0..3 {
        let mut head = request("head.test", "/");
        *head.method_mut() = Method::HEAD;
        let (status, headers, body) = send(&mut client, head).await;
        assert_eq!(
            (status, &headers["content-length"], body.as_str()),
            (StatusCode::OK, &"1234".parse().unwrap(), "")
        );
        let (status, headers, body) = send(&mut client, request("head.test", "/")).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(headers["etag"], "\"x\"");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_gets_its_share_of_every_hundred_requests() {
    let router = TestRouter::start().await;
    let (old, new) = (Backend::says("old").await, Backend::says("new").await);
    let mut route = router.route("bird", &[&old]);
    route.canary = Some(Canary { percent: 7, targets: targets(&[&new]) });
    router.upsert(&route).await;
    let mut from_new = 0;
    for _ in 0..200 {
        from_new += usize::from(get(router.address, "bird.test", "/").await.2 == "new");
    }
    assert_eq!(from_new, 14);
    drop(old);
    assert_eq!(get(router.address, "bird.test", "/").await.2, "new", "nobody else is left");
    router.stop().await;
}
