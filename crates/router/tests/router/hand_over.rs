//! One router takes the place of another, with requests in flight.

use crate::support::*;
use http::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use windlass_core::route::{Availability, RouterCommand, RouterReply};
use windlass_router::{RouterConfig, take_over};

/// Starts the router that comes after the one with this configuration.
pub async fn next(config: &RouterConfig) -> (windlass_router::client::RouterClient, Stop) {
    let inherited = take_over(&config.control_socket).await.unwrap();
    let config =
        RouterConfig { handed_over: tokio::sync::watch::Sender::default(), ..config.clone() };
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let socket = config.control_socket.clone();
    let run = windlass_router::run_after(
        Some(inherited),
        config,
        async { drop(stopped.await) },
        |address| ready.send(address).unwrap(),
    );
    let task = tokio::spawn(run);
    is_ready.await.unwrap();
    let client = windlass_router::client::RouterClient::connect(&socket).await.unwrap();
    (client, Stop { _stop: stop, task })
}

pub struct Stop {
    _stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), windlass_router::RouterError>>,
}

impl Stop {
    pub async fn stop(self) {
        drop(self._stop);
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn requests_in_flight_end_at_the_old_router_and_new_ones_go_to_the_next() {
    let router = TestRouter::start().await;
    let (slow, gate) = Backend::held().await;
    let quick = Backend::says("quick").await;
    let (slow_route, quick_route) =
        (router.route("slow", &[&slow]), router.route("quick", &[&quick]));
    router.upsert(&slow_route).await;
    router.upsert(&quick_route).await;
    let mut kept = connect(router.address).await;
    assert_eq!(send(&mut kept, request("quick.test", "/")).await.0, 200);
    let address = router.address;
    let under_way = tokio::spawn(async move { get(address, "slow.test", "/").await.0 });
    router.wait_in_flight(1).await;

    let (client, stop) = next(&router.config).await;

    // An idle connection is not cut off: its next answer says that it was the last one.
    let (status, headers, _) = send(&mut kept, request("quick.test", "/")).await;
    assert_eq!((status.as_u16(), headers["connection"].to_str().unwrap()), (200, "close"));
    let (status, headers, _) = get(address, "quick.test", "/").await;
    assert_eq!((status.as_u16(), headers.get("connection")), (200, None));

    // The next router knows what the old one still has in flight.
    let remove = RouterCommand::Remove { app: slow_route.app };
    assert_eq!(client.send(remove).await.unwrap(), RouterReply::Applied);
    let drain = |timeout_ms| RouterCommand::Drain { instance: slow.instance.clone(), timeout_ms };
    let reply = client.send(drain(10)).await.unwrap();
    assert_eq!(reply, RouterReply::Drained { in_flight: 1 });
    gate.add_permits(1);
    let reply = client.send(drain(60_000)).await.unwrap();
    assert_eq!(reply, RouterReply::Drained { in_flight: 0 });
    assert_eq!(under_way.await.unwrap(), 200);

    drop(kept);
    let ended = tokio::time::timeout(Duration::from_secs(60), router.ended()).await;
    ended.expect("the old router ends when it has nothing in flight");
    // It has not taken the next one's socket with it.
    assert!(matches!(client.send(RouterCommand::Status).await, Ok(RouterReply::Status(_))));
    drop(stop._stop);
    stop.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_next_router_that_dies_leaves_the_old_one_serving() {
    let router = TestRouter::start().await;
    let quick = Backend::says("quick").await;
    let route = router.route("quick", &[&quick]);
    router.upsert(&route).await;
    drop(take_over(&router.config.control_socket).await.unwrap());
    // It answers commands again as soon as it has noticed.
    let applied = async {
        loop {
            let socket = &router.config.control_socket;
            if let Ok(client) = windlass_router::client::RouterClient::connect(socket).await
                && client.send(RouterCommand::Upsert { route: route.clone() }).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), applied).await.unwrap();
    assert_eq!(get(router.address, "quick.test", "/").await.0, 200);
}

#[tokio::test]
async fn after_a_reboot_the_saved_addresses_are_not_believed() {
    let router = TestRouter::start().await;
    let quick = Backend::says("quick").await;
    let route = router.route("quick", &[&quick]);
    router.upsert(&route).await;
    let (folder, mut config) = router.stop().await;
    config.boot_id = "another".to_owned();
    let router = TestRouter::run(folder, config).await;
    let address = router.address;
    let held = tokio::spawn(async move { get(address, "quick.test", "/").await.0 });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!held.is_finished(), "it waits for the server");
    assert_eq!(route.availability, Availability::Serving);
    router.upsert(&route).await;
    assert_eq!(held.await.unwrap(), 200);
}

#[tokio::test]
async fn a_drain_reaches_the_router_before_the_last_one() {
    let router = TestRouter::start().await;
    let (slow, gate) = Backend::held().await;
    let route = router.route("slow", &[&slow]);
    router.upsert(&route).await;
    let address = router.address;
    let under_way = tokio::spawn(async move { get(address, "slow.test", "/").await.0 });
    router.wait_in_flight(1).await;
    // The one in the middle has nothing in flight; it stays to pass on what is said.
    let (_, _middle) = next(&router.config).await;
    let (client, _last) = next(&router.config).await;
    let remove = RouterCommand::Remove { app: route.app };
    assert_eq!(client.send(remove).await.unwrap(), RouterReply::Applied);
    let drain = |timeout_ms| RouterCommand::Drain { instance: slow.instance.clone(), timeout_ms };
    assert_eq!(client.send(drain(10)).await.unwrap(), RouterReply::Drained { in_flight: 1 });
    gate.add_permits(1);
    assert_eq!(client.send(drain(60_000)).await.unwrap(), RouterReply::Drained { in_flight: 0 });
    assert_eq!(under_way.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_hand_overs_under_load_lose_nothing() {
    const HAND_OVERS: usize = 10;
    let router = TestRouter::start().await;
    let backend = Backend::start(|_| async {
        tokio::time::sleep(Duration::from_millis(3)).await;
        Response::new(full("here"))
    })
    .await;
    router.upsert(&router.route("busy", &[&backend])).await;
    let (address, done) = (router.address, Arc::new(AtomicUsize::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => connect(address).await,
                    };
                    let (status, headers, text) =
                        send(&mut client, request("busy.test", "/")).await;
                    assert_eq!((status.as_u16(), text.as_str()), (200, "here"));
                    // Half of the clients keep their connection as long as they may.
                    let closes = headers.get("connection").is_some_and(|value| value == "close");
                    kept = Some(client).filter(|_| number % 2 == 0 && !closes);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut routers = Vec::new();
    for hand_over in 1..=HAND_OVERS {
        routers.push(next(&router.config).await);
        let goal = done.load(Ordering::Relaxed) + 50;
        while done.load(Ordering::Relaxed) < goal {
            assert!(clients.iter().all(|c| !c.is_finished()), "lost at hand-over {hand_over}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    router.ended().await;
}
