//! Commands, the saved table, start and end.

use crate::support::*;
use http::StatusCode;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use windlass_core::ids::InstanceId;
use windlass_core::route::{RouterCommand, RouterReply, RouterResponse};
use windlass_router::RouterError;
use windlass_router::client::{ClientError, RouterClient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_survives_a_restart() {
    let router = TestRouter::start().await;
    let backend = Backend::says("kept").await;
    router.upsert(&router.route("kept", &[&backend])).await;
    let gone = router.route("gone", &[&backend]);
    router.upsert(&gone).await;
    assert_eq!(router.send(RouterCommand::Remove { app: gone.app }).await, RouterReply::Applied);
    assert_eq!(router.status().await.apps, 1);
    let port = router.address;
    let (folder, mut config) = router.stop().await;
    assert!(!config.control_socket.exists());

    // The same port, at once, with connections of the old router still in TIME_WAIT.
    config.http = port;
    let router = TestRouter::run(folder, config).await;
    assert_eq!(get(router.address, "kept.test", "/").await.2, "kept");
    assert_eq!(get(router.address, "gone.test", "/").await.0, StatusCode::NOT_FOUND);

    let (folder, config) = router.stop().await;
    std::fs::write(&config.table_file, "{ not a table").unwrap();
    let router = TestRouter::run(folder, config).await;
    assert_eq!(router.status().await.apps, 0);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_cannot_be_saved_is_used_but_reported() {
    let router = TestRouter::start().await;
    std::fs::create_dir(&router.config.table_file).unwrap();
    let backend = Backend::says("used").await;
    let route = router.route("used", &[&backend]);
    let reply = router.send(RouterCommand::Upsert { route: route.clone() }).await;
    assert!(
        matches!(&reply, RouterReply::Failed { message } if message.contains("could not be saved")),
        "{reply:?}"
    );
    assert_eq!(get(router.address, "used.test", "/").await.2, "used");
    std::fs::remove_dir(&router.config.table_file).unwrap();
    // Not changed in memory, but owed to the disk.
    router.upsert(&route).await;
    assert!(std::fs::read_to_string(&router.config.table_file).unwrap().contains("used.test"));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_router_for_a_socket() {
    let router = TestRouter::start().await;
    let mode = std::fs::metadata(&router.config.control_socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = windlass_router::run(router.config.clone(), std::future::pending(), |_| {}).await;
    assert!(matches!(second, Err(RouterError::AlreadyRunning { .. })), "{second:?}");
    assert_eq!(router.status().await.apps, 0, "the first one does not mind");
    let (folder, config) = router.stop().await;
    // What a killed router leaves behind: a socket on which nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&config.control_socket).unwrap());
    let router = TestRouter::run(folder, config).await;
    assert_eq!(router.status().await.pid, std::process::id());
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_tried_again() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let address = busy.local_addr().unwrap();
    let mut config = windlass_router::RouterConfig::new(address, path("socket"), path("table"));
    config.limits.bind_retry = Duration::from_millis(100);
    let refused = windlass_router::run(config.clone(), std::future::pending(), |_| {}).await;
    assert!(matches!(refused, Err(RouterError::Listen { .. })), "{refused:?}");
    config.limits.bind_retry = Duration::from_secs(60);
    let (started, router) = tokio::join!(
        tokio::task::spawn_blocking(move || drop(busy)),
        TestRouter::run(folder, config)
    );
    started.unwrap();
    assert_eq!(router.address, address);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_are_no_commands_get_an_answer() {
    let router = TestRouter::start().await;
    let stream = UnixStream::connect(&router.config.control_socket).await.unwrap();
    let (reading, mut writing) = stream.into_split();
    writing
        .write_all(
            b"{\"id\":7,\"command\":\"dance\"}\nnonsense\n{\"id\":8,\"command\":\"status\"}\n",
        )
        .await
        .unwrap();
    let mut lines = BufReader::new(reading).lines();
    let mut replies = Vec::new();
    for _ in 0..3 {
        let line = lines.next_line().await.unwrap().unwrap();
        replies.push(serde_json::from_str::<RouterResponse>(&line).unwrap());
    }
    replies.sort_by_key(|reply| reply.id);
    assert_eq!(replies.iter().map(|reply| reply.id).collect::<Vec<_>>(), [0, 7, 8]);
    assert!(matches!(replies[0].reply, RouterReply::Failed { .. }));
    assert!(matches!(replies[1].reply, RouterReply::Failed { .. }));
    assert!(matches!(replies[2].reply, RouterReply::Status(_)));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_learns_that_the_router_has_gone() {
    let mut router = TestRouter::start().await;
    let backend = Backend::start(|_| std::future::pending()).await;
    let mut route = router.route("stuck", &[&backend]);
    router.upsert(&route).await;
    let mut client = connect(router.address).await;
    let stuck =
        tokio::spawn(
            async move { client.send_request(request("stuck.test", "/")).await.map(drop) },
        );
    router.wait_in_flight(1).await;
    route.targets.clear();
    router.upsert(&route).await;
    let control = router.client.clone();
    let instance = backend.instance.clone();
    let draining = tokio::spawn(async move {
        control.send(RouterCommand::Drain { instance, timeout_ms: 600_000 }).await
    });
    // Commands do not wait for each other.
    assert_eq!(router.status().await.in_flight, 1);
    assert!(!router.client.is_closed());
    let control = router.client.clone();
    router.order_stop();
    stuck.abort();
    router.stop().await;
    control.closed().await;
    assert!(control.is_closed());
    // The request ended with its client: either answer may come first.
    let drained = draining.await.unwrap();
    let clean = matches!(
        drained,
        Err(ClientError::Disconnected) | Ok(RouterReply::Drained { in_flight: 0 })
    );
    assert!(clean, "{drained:?}");
    assert!(matches!(control.send(RouterCommand::Status).await, Err(ClientError::Disconnected)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_of_instances_in_the_table_or_never_seen() {
    let router = TestRouter::start().await;
    let backend = Backend::says("x").await;
    router.upsert(&router.route("live", &[&backend])).await;
    let drain = RouterCommand::Drain { instance: backend.instance.clone(), timeout_ms: 10 };
    let reply = router.send(drain).await;
    assert!(
        matches!(&reply, RouterReply::Failed { message } if message.contains("still in the table")),
        "{reply:?}"
    );
    assert_eq!(router.drain(&InstanceId("web-9-unknown".to_owned()), 10).await, 0);
    let missing = RouterClient::connect(&router.folder.path().join("nobody")).await;
    assert!(matches!(missing, Err(ClientError::Connect { .. })));
    router.stop().await;
}
