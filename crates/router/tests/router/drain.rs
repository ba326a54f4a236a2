//! Nothing is lost when targets are replaced.

use crate::support::*;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Answers after 0 to 3 ms with the length of what it got, in two pieces.
async fn instance() -> Backend {
    Backend::start(|request: Request<hyper::body::Incoming>| async move {
        let delay = request.uri().path().len() as u64 % 4;
        let length = request.into_body().collect().await.unwrap().to_bytes().len();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let pieces = [format!("{length}"), "!".repeat(2_000)].map(|piece| {
            Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(Bytes::from(piece)))
        });
        Response::new(BodyExt::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(
            pieces,
        ))))
    })
    .await
}

/// Sends requests, half of them with a body, until told to stop; any failure is a panic.
async fn load(
    address: std::net::SocketAddr,
    keep_alive: bool,
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) {
    let mut client = connect(address).await;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        if !keep_alive {
            client = connect(address).await;
        }
        let body =
            if number % 2 == 0 { Bytes::new() } else { Bytes::from("x".repeat(number % 5_000)) };
        let length = body.len();
        let method = if length > 0 { "POST" } else { "GET" };
        let path = format!("/{}", "p".repeat(number % 7));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "busy.test")
            .body(Full::new(body));
        let (status, _, text) = send(&mut client, request.unwrap()).await;
        assert_eq!(
            (status, text.len()),
            (StatusCode::OK, length.to_string().len() + 2_000),
            "{text}"
        );
        assert_eq!(text.trim_end_matches('!'), length.to_string());
        done.fetch_add(1, Ordering::Relaxed);
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_lost_while_targets_are_replaced_and_killed() {
    const REQUESTS: usize = 6_000;
    let router = TestRouter::start().await;
    let mut live = instance().await;
    let mut route = router.route("busy", &[&live]);
    router.upsert(&route).await;
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..12)
        .map(|n| {
            tokio::spawn(load(router.address, n % 3 != 0, Arc::clone(&done), Arc::clone(&stop)))
        })
        .collect();
    let mut swaps = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while done.load(Ordering::Relaxed) < REQUESTS || swaps < 50 {
        ticks.tick().await;
        let next = instance().await;
        route.targets = targets(&[&next]);
        router.upsert(&route).await;
        assert_eq!(router.drain(&live.instance, 60_000).await, 0);
        // Here the old instance dies, at once and with all of its connections.
        live = next;
        swaps += 1;
        assert!(
            clients.iter().all(|client| !client.is_finished()),
            "a client failed after {swaps} swaps"
        );
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let done = done.load(Ordering::Relaxed);
    let lines = router.log_lines("busy", done).await;
    assert!(lines.iter().all(|line| line.contains(" at=info ") && line.contains(" status=200 ")));
    assert_eq!(lines.len(), done);
    eprintln!("{done} requests over {swaps} swaps");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_comes_back_while_draining_takes_requests_again() {
    let router = TestRouter::start().await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let backend = Backend::start(move |request: Request<hyper::body::Incoming>| {
        let gate = Arc::clone(&waiting);
        async move {
            if request.uri() == "/slow" {
                drop(gate.acquire().await.unwrap());
            }
            Response::new(full("ok"))
        }
    })
    .await;
    let with = router.route("back", &[&backend]);
    let mut without = with.clone();
    without.targets.clear();
    without.availability = windlass_core::route::Availability::Crashed;
    router.upsert(&with).await;
    let address = router.address;
    let slow = tokio::spawn(async move { get(address, "back.test", "/slow").await });
    router.wait_in_flight(1).await;
    while backend.connections() == 0 {
        tokio::task::yield_now().await;
    }
    router.upsert(&without).await;
    assert_eq!(router.drain(&backend.instance, 10).await, 1);
    assert!(get(address, "back.test", "/").await.2.contains("H10"));
    router.upsert(&with).await;
    assert_eq!(get(address, "back.test", "/").await.2, "ok");
    router.upsert(&without).await;
    assert_eq!(router.drain(&backend.instance, 10).await, 1, "the count was kept all the time");
    gate.add_permits(1);
    assert_eq!(router.drain(&backend.instance, 60_000).await, 0);
    assert_eq!(slow.await.unwrap().2, "ok");
    router.stop().await;
}
