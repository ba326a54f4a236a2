//! A router from its start to its end.

use crate::access_log::AccessLog;
use crate::config::{Limits, RouterConfig, RouterError};
use crate::table::TableStore;
use crate::{control, listen};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long connections cut off at the end may take to write their log lines.
const CLOSING: Duration = Duration::from_secs(1);
/// How often unused connections to targets are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// What the parts of a router share.
pub(crate) struct Router {
    pub http: SocketAddr,
    pub table: TableStore,
    pub log: AccessLog,
    pub limits: Limits,
    pub requests: AtomicU64,
    pub in_flight: AtomicU64,
    pub phase: watch::Sender<Phase>,
    /// One permit for each client connection, held until its tunnel, if any, has ended.
    pub connections: Arc<Semaphore>,
}

/// Where in its life the router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Nothing new is accepted; what is in flight goes on.
    Draining,
    /// The time is up: what is left is cut off.
    Closing,
}

/// Returns a runtime fit for a router: two threads with small stacks.
///
/// # Errors
/// When the threads cannot be started.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_stack_size(512 * 1024)
        .thread_name("router")
        .enable_all()
        .build()
}

/// Serves until `shutdown` completes and requests, streams and tunnels in flight have ended, at
/// most [`Limits::shutdown`] later. Calls `ready` with the HTTP address once it accepts.
///
/// # Errors
/// When it cannot start: the address is taken, or another router has the control socket.
pub async fn run(
    config: RouterConfig,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), RouterError> {
    let control = control::ControlSocket::bind(&config.control_socket)?;
    let listener = listen::bind(config.http, config.limits.bind_retry).await?;
    let http = listener
        .local_addr()
        .map_err(|source| RouterError::Listen { address: config.http, source })?;
    let router = Arc::new(Router {
        http,
        table: TableStore::open(config.table_file),
        log: AccessLog::start(config.limits.log_backlog).map_err(RouterError::LogThread)?,
        requests: AtomicU64::new(0),
        in_flight: AtomicU64::new(0),
        phase: watch::Sender::new(Phase::Serving),
        connections: Arc::new(Semaphore::new(config.limits.client_connections)),
        limits: config.limits,
    });
    let commands = tokio::spawn(control.serve(Arc::clone(&router)));
    let sweeper = tokio::spawn(sweep(Arc::clone(&router)));
    let accepting = tokio::spawn(listen::accept(listener, Arc::clone(&router)));
    tracing::info!(%http, apps = router.table.current().len(), "router is serving");
    ready(http);

    shutdown.await;
    router.phase.send_replace(Phase::Draining);
    // Its end closes the listening socket.
    let _ = accepting.await;
    if !all_closed(&router, router.limits.shutdown).await {
        tracing::warn!("requests are still in flight at the end: cutting them off");
        router.phase.send_replace(Phase::Closing);
        all_closed(&router, CLOSING).await;
    }
    sweeper.abort();
    // Aborting drops the control socket, which removes its file.
    commands.abort();
    let _ = commands.await;
    let _ = tokio::task::spawn_blocking(move || router.log.stop()).await;
    Ok(())
}

/// Waits until no client connection is left; returns whether that was within `timeout`.
async fn all_closed(router: &Router, timeout: Duration) -> bool {
    let all = u32::try_from(router.limits.client_connections).unwrap_or(u32::MAX);
    tokio::time::timeout(timeout, router.connections.acquire_many(all)).await.is_ok()
}

async fn sweep(router: Arc<Router>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let table = router.table.current();
        for target in table.apps().flat_map(|app| &app.targets) {
            target.pool.sweep(router.limits.target_idle);
        }
    }
}
