//! Apps that speak HTTP/2 without TLS.

use crate::http2::{Client, all, ended, get_request};
use crate::support::*;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use windlass_core::route::AppRoute;
use windlass_core::routing_settings::{AppProtocol, RoutingSettings};

/// An instance that speaks nothing else.
pub async fn backend<F, A>(handler: F) -> Backend
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Backend::raw(move |stream| {
        let handler = Arc::clone(&handler);
        let service = service_fn(move |request| {
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        async move { drop(connection.await) }
    })
    .await
}

pub fn route(router: &TestRouter, name: &str, backends: &[&Backend]) -> AppRoute {
    let settings =
        RoutingSettings { app_protocol: Some(AppProtocol::H2c), ..RoutingSettings::default() };
    AppRoute { settings: Some(Box::new(settings)), ..router.route(name, backends) }
}

/// Answers with what it got and saw, with trailers.
pub async fn mirror() -> Backend {
    backend(|request| async move {
        let mut text = format!("{:?} {} {}\n", request.version(), request.method(), request.uri());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        let body = request.into_body().collect().await.unwrap();
        if let Some(trailers) = body.trailers() {
            text.push_str(&format!("trailer: {}\n", trailers["x-sum"].to_str().unwrap()));
        }
        text.push_str(std::str::from_utf8(&body.to_bytes()).unwrap());
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("there"));
        let frames = [Frame::data(Bytes::from(text)), Frame::trailers(trailers)];
        let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    })
    .await
}

/// Answers with what it gets, as it comes.
pub async fn echo() -> Backend {
    backend(|request| async move {
        let body = request.into_body().map_err(|error| panic!("{error}"));
        Response::new(BodyExt::boxed(body))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_bodies_and_trailers_pass_both_ways() {
    let router = TestRouter::start().await;
    let mirror = mirror().await;
    router.upsert(&route(&router, "app", &[&mirror])).await;
    let client = Client::connect(router.address).await;
    let request = Request::builder().method("POST").uri("http://app.test/a?b").body(()).unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut send) = requests.send_request(request, false).unwrap();
    send.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("5"));
    send.send_trailers(trailers).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let text = String::from_utf8(body.data().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("HTTP/2.0 POST http://app.test/a?b\n"), "{text}");
    for line in ["te: trailers\n", "trailer: 5\n", "via: 2.0 windlass-router\n"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(text.ends_with("hello") && !text.contains("host: "), "{text}");
    ended(&mut body).await;
    assert_eq!(body.trailers().await.unwrap().unwrap()["x-end"], "there");
    assert_eq!(head.headers["via"], "2.0 windlass-router");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http_1_reach_them_too() {
    let router = TestRouter::start().await;
    let mirror = mirror().await;
    router.upsert(&route(&router, "app", &[&mirror])).await;
    let mut client = connect(router.address).await;
    let post = |body: &'static str| {
        let request = Request::builder().method("POST").uri("/x").header("host", "app.test");
        request.body(Full::new(Bytes::from(body))).unwrap()
    };
    for _ in 0..3 {
        let (status, _, text) = send(&mut client, post("hello")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.starts_with("HTTP/2.0 POST http://app.test/x\n"), "{text}");
        assert!(text.contains("content-length: 5\n") && text.ends_with("hello"), "{text}");
    }
    let chunked = "POST / HTTP/1.1\r\nhost: app.test\r\ntransfer-encoding: chunked\r\n\
                   connection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let text = raw(router.address, chunked).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("abc"), "{text}");
    assert!(!text.contains("transfer-encoding: chunked\nvia"), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_share_connections() {
    let router = TestRouter::start().await;
    let slow = backend(|_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Response::new(full("ok"))
    })
    .await;
    router.upsert(&route(&router, "app", &[&slow])).await;
    let clients = (0..150).map(|_| async {
        assert_eq!(get(router.address, "app.test", "/").await.2, "ok");
    });
    futures_util::future::join_all(clients).await;
    assert!(slow.connections() <= 3, "{} connections for 150 requests", slow.connections());
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_stream_at_once() {
    let router = TestRouter::start().await;
    let echo = echo().await;
    router.upsert(&route(&router, "app", &[&echo])).await;
    let client = Client::connect(router.address).await;
    let request = Request::builder().method("POST").uri("http://app.test/").body(()).unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut send) = requests.send_request(request, false).unwrap();
    let mut body = response.await.unwrap().into_body();
    for number in 0..20 {
        let piece = format!("piece {number}");
        send.send_data(Bytes::from(piece.clone()), false).unwrap();
        let data = body.data().await.unwrap().unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        assert_eq!(data, piece);
    }
    send.send_data(Bytes::new(), true).unwrap();
    ended(&mut body).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_ends_the_upload() {
    let router = TestRouter::start().await;
    let hasty = backend(|_| async { Response::new(full("enough")) }).await;
    router.upsert(&route(&router, "app", &[&hasty])).await;
    let client = Client::connect(router.address).await;
    let request = Request::builder().method("POST").uri("http://app.test/").body(()).unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut send) = requests.send_request(request, false).unwrap();
    send.send_data(Bytes::from_static(b"some"), false).unwrap();
    assert_eq!(all(response.await.unwrap()).await.2, "enough");
    let reset = std::future::poll_fn(|cx| send.poll_reset(cx));
    let reason = tokio::time::timeout(Duration::from_secs(20), reset).await.expect("a reset");
    assert_eq!(reason.unwrap(), h2::Reason::NO_ERROR, "the answer is whole");
    router.wait_in_flight(0).await;
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("at=info ") && log[0].contains(" status=200 "), "{}", log[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_speaks_something_else_gets_its_error() {
    let router = TestRouter::start().await;
    let plain = Backend::says("HTTP/1.1").await;
    router.upsert(&route(&router, "app", &[&plain])).await;
    let (status, _, text) = get(router.address, "app.test", "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("H13"), "{text}");
    router.stop().await;
}

/// Sends requests one after the other until told to stop.
async fn load(address: std::net::SocketAddr, done: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    let mut client = Client::connect(address).await;
    while !stop.load(Ordering::Relaxed) {
        let (status, _, text) = client.get("http://app.test/").await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, "ok"));
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_lost_while_targets_are_replaced_and_killed() {
    let router = TestRouter::start().await;
    let instance = || {
        backend(|_| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Response::new(full("ok"))
        })
    };
    let mut live = instance().await;
    let mut route = route(&router, "app", &[&live]);
    router.upsert(&route).await;
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..12)
        .map(|_| tokio::spawn(load(router.address, Arc::clone(&done), Arc::clone(&stop))))
        .collect();
    let mut swaps = 0;
    while done.load(Ordering::Relaxed) < 2_000 || swaps < 50 {
        let next = instance().await;
        route.targets = targets(&[&next]);
        router.upsert(&route).await;
        assert_eq!(router.drain(&live.instance, 60_000).await, 0);
        // Here the old instance dies, at once and with all of its connections.
        live = next;
        swaps += 1;
        assert!(clients.iter().all(|client| !client.is_finished()), "after {swaps} swaps");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let lines = router.log_lines("app", done.load(Ordering::Relaxed)).await;
    assert!(lines.iter().all(|line| line.contains(" at=info ") && line.contains(" status=200 ")));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_streams() {
    let router = TestRouter::start().await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let slow = backend(move |_| {
        let gate = Arc::clone(&waiting);
        async move {
            drop(gate.acquire().await.unwrap());
            Response::new(full("late"))
        }
    })
    .await;
    let mut route = route(&router, "app", &[&slow]);
    router.upsert(&route).await;
    let client = Client::connect(router.address).await;
    let answers: Vec<_> = (0..10)
        .map(|_| client.requests.clone().send_request(get_request("http://app.test/"), true))
        .map(|sent| sent.unwrap().0)
        .collect();
    router.wait_in_flight(10).await;
    while slow.connections() == 0 {
        tokio::task::yield_now().await;
    }
    route.targets.clear();
    router.upsert(&route).await;
    assert_eq!(router.drain(&slow.instance, 50).await, 10);
    gate.add_permits(10);
    for answer in answers {
        assert_eq!(all(answer.await.unwrap()).await.2, "late");
    }
    assert_eq!(router.drain(&slow.instance, 60_000).await, 0);
    router.stop().await;
}
