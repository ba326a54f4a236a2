//! Which target is next: saturated apps, targets that fail, and what was counted.

use crate::support::*;
use http::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use windlass_core::route::{AppRoute, RouterCommand, RouterReply};
use windlass_core::routing_settings::RoutingSettings;
use windlass_router::Ejection;

/// An instance that answers when it is let, and counts what it has at the same time.
async fn gated(gate: &Arc<Semaphore>, most: &Arc<AtomicUsize>) -> Backend {
    let (gate, most, now) = (Arc::clone(gate), Arc::clone(most), Arc::new(AtomicUsize::new(0)));
    Backend::start(move |_| {
        let (gate, most, now) = (Arc::clone(&gate), Arc::clone(&most), Arc::clone(&now));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            now.fetch_sub(1, Ordering::SeqCst);
            Response::new(full("done"))
        }
    })
    .await
}

fn limited(route: AppRoute, concurrency: u32, queue: u32) -> AppRoute {
    let settings = RoutingSettings {
        concurrency: Some(concurrency),
        queue: Some(queue),
        ..RoutingSettings::default()
    };
    AppRoute { settings: Some(Box::new(settings)), ..route }
}

async fn metrics(router: &TestRouter) -> String {
    match router.send(RouterCommand::Metrics).await {
        RouterReply::Metrics { text } => text,
        other => panic!("{other:?}"),
    }
}

/// Waits until the metrics have this line.
async fn wait_for_metric(router: &TestRouter, line: &str) {
    let seen = async {
        while !metrics(router).await.lines().any(|other| other == line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), seen).await;
    assert!(in_time.is_ok(), "no {line} in\n{}", metrics(router).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saturated_app_holds_some_requests_and_refuses_more() {
    let router = TestRouter::start().await;
    let (gate, most) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let backends = [gated(&gate, &most).await, gated(&gate, &most).await];
    let route = router.route("full", &[&backends[0], &backends[1]]);
    router.upsert(&limited(route, 2, 3)).await;
    let address = router.address;
    let begin = || tokio::spawn(async move { get(address, "full.test", "/").await });
    // Two at each of two instances, three in the queue.
    let mut held: Vec<_> = (0..4).map(|_| begin()).collect();
    router.wait_in_flight(4).await;
    held.extend((0..3).map(|_| begin()));
    wait_for_metric(&router, "windlass_router_app_waiting{app=\"full\"} 3").await;
    let (status, _, page) = get(router.address, "full.test", "/").await;
    assert_eq!(status.as_u16(), 503);
    assert!(page.contains("H11"), "{page}");
    // Whoever is answered makes room for the next.
    gate.add_permits(7);
    for request in held {
        assert_eq!(request.await.unwrap().0, 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2, "never more than the limit at an instance");
    let waiting = "windlass_router_app_errors_total{app=\"full\",code=\"H11\"} 1";
    wait_for_metric(&router, waiting).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_room_get_it_from_a_new_instance() {
    let router = TestRouter::start().await;
    let (gate, most) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (stuck, quick) = (gated(&gate, &most).await, Backend::says("quick").await);
    let route = limited(router.route("more", &[&stuck]), 1, 50);
    router.upsert(&route).await;
    let address = router.address;
    let first = tokio::spawn(async move { get(address, "more.test", "/").await.0 });
    router.wait_in_flight(1).await;
    let waiting: Vec<_> = (0..20)
        .map(|_| tokio::spawn(async move { get(address, "more.test", "/").await.2 }))
        .collect();
    wait_for_metric(&router, "windlass_router_app_waiting{app=\"more\"} 20").await;
    let mut wider = route;
    wider.targets = targets(&[&stuck, &quick]);
    router.upsert(&wider).await;
    for request in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(20), request).await;
        assert_eq!(answer.expect("it gets room").unwrap(), "quick");
    }
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_fails_again_and_again_is_left_alone_and_comes_back() {
    let router = TestRouter::with(|limits| {
        limits.ejection = Ejection {
            failures: 3,
            server_errors: true,
            shortest: Duration::from_millis(300),
            longest: Duration::from_millis(300),
            slow_start: Duration::from_millis(1),
        };
    })
    .await;
    let (fails, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (failing, counted) = (Arc::clone(&fails), Arc::clone(&asked));
    let poor = Backend::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let status = if failing.load(Ordering::SeqCst) { 500 } else { 200 };
        async move { Response::builder().status(status).body(full("poor")).unwrap() }
    })
    .await;
    let good = Backend::says("good").await;
    router.upsert(&router.route("mixed", &[&poor, &good])).await;
    let mut client = connect(router.address).await;
    let since = std::time::Instant::now();
    for _ in 0..200 {
        send(&mut client, request("mixed.test", "/")).await;
    }
    // Three, and again three each time it has come back.
    let most = 3 + 3 * (since.elapsed().as_millis() as usize / 300 + 1);
    let asked_so_far = asked.load(Ordering::SeqCst);
    assert!((3..=most).contains(&asked_so_far), "{asked_so_far} of 200, at most {most}");
    fails.store(false, Ordering::SeqCst);
    let is_back = async {
        while send(&mut client, request("mixed.test", "/")).await.2 != "poor" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_back).await.expect("it comes back");
    // The only one is never left alone.
    fails.store(true, Ordering::SeqCst);
    let before = asked.load(Ordering::SeqCst);
    router.upsert(&router.route("alone", &[&poor])).await;
    for _ in 0..20 {
        assert_eq!(send(&mut client, request("alone.test", "/")).await.0, 500);
    }
    assert_eq!(asked.load(Ordering::SeqCst) - before, 20);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_app_target_and_status_until_the_app_goes() {
    let router = TestRouter::start().await;
    let backend = Backend::says("12345").await;
    let route = router.route("counted", &[&backend]);
    router.upsert(&route).await;
    router.upsert(&router.route("quiet", &[&backend])).await;
    let mut client = connect(router.address).await;
    for _ in 0..3 {
        send(&mut client, request("counted.test", "/")).await;
    }
    let labels = "app=\"counted\",dyno=\"web.1\",status=\"2xx\"";
    wait_for_metric(&router, &format!("windlass_router_app_requests_total{{{labels}}} 3")).await;
    let text = metrics(&router).await;
    for line in [
        format!("windlass_router_app_bytes_total{{{labels}}} 15"),
        format!("windlass_router_app_service_seconds_count{{{labels}}} 3"),
        format!("windlass_router_app_service_seconds_bucket{{{labels},le=\"+Inf\"}} 3"),
        "windlass_router_apps 2".to_owned(),
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
    }
    assert!(!text.contains("quiet"), "an app without requests takes no room");
    // Another instance in the same place goes on counting.
    let other = Backend::says("12345").await;
    router.upsert(&AppRoute { targets: targets(&[&other]), ..route.clone() }).await;
    send(&mut client, request("counted.test", "/")).await;
    wait_for_metric(&router, &format!("windlass_router_app_requests_total{{{labels}}} 4")).await;
    assert_eq!(router.send(RouterCommand::Remove { app: route.app }).await, RouterReply::Applied);
    assert!(!metrics(&router).await.contains("counted"));
    router.stop().await;
}
