//! A router from its start to its end.

use crate::access_log::AccessLog;
use crate::client::RouterClient;
use crate::config::{Limits, RouterConfig, RouterError, Routes};
use crate::hand_over::{Gate, Handles, Inherited};
use crate::table::{Table, TableStore};
use crate::{control, listen};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use windlass_core::route::RouterCommand;

/// How long connections cut off at the end may take to write their log lines.
const CLOSING: Duration = Duration::from_secs(1);
/// How often unused connections to targets are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// What the parts of a router share.
pub(crate) struct Router {
    pub http: SocketAddr,
    pub dns: Option<SocketAddr>,
    pub table: TableStore,
    pub log: AccessLog,
    pub limits: Limits,
    pub requests: AtomicU64,
    pub in_flight: AtomicU64,
    pub phase: watch::Sender<Phase>,
    /// One permit for each client connection, held until its tunnel, if any, has ended.
    pub connections: Arc<Semaphore>,
    /// What the next router gets.
    pub handles: Handles,
    /// The router before this one, while it has something in flight.
    pub before: Option<RouterClient>,
    pub gate: Gate,
    /// Whether the next router serves.
    pub handed_over: watch::Sender<bool>,
    /// Somebody else may have taken the control socket's place and ended.
    pub control_lost: Notify,
    /// What is in flight after a hand-over gets no longer than after a signal.
    pub hurry: Notify,
}

impl Router {
    /// Returns whether the next router serves.
    pub fn has_handed_over(&self) -> bool {
        *self.handed_over.borrow()
    }
}

/// Where in its life the router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// The next router accepts; connections end with their next answer.
    HandedOver,
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
    run_after(None, config, shutdown, ready).await
}

/// The same in the place of the router that has handed over; see [`take_over`](crate::take_over).
/// `ready` is called once that one accepts no more.
///
/// # Errors
/// As [`run`]; the other router goes on then.
pub async fn run_after(
    inherited: Option<Inherited>,
    config: RouterConfig,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), RouterError> {
    let (socket, routes) = (config.control_socket.clone(), config.routes.clone());
    let (router, listener) = open(inherited, config).await?;
    let sweeper = tokio::spawn(sweep(Arc::clone(&router)));
    let publishing = tokio::spawn(publish(router.table.subscribe(), routes));
    let accepting = tokio::spawn(listen::accept(listener, Arc::clone(&router)));
    // From here on nothing can fail: whoever is before this one ends now.
    let control = control::ControlSocket::bind(&socket, router.handed_over.subscribe())?;
    let commands = tokio::spawn(control.serve(Arc::clone(&router)));
    if let Some(before) = &router.before {
        let _ = before.send(RouterCommand::TakenOver).await;
    }
    tracing::info!(http = %router.http, apps = router.table.current().len(), "router is serving");
    ready(router.http);

    let mut shutdown = pin!(shutdown);
    let mut handed_over = router.handed_over.subscribe();
    let next_serves = async {
        let _ = handed_over.wait_for(|handed_over| *handed_over).await;
    };
    tokio::select! {
        () = shutdown.as_mut() => {}
        () = next_serves => {
            let _ = accepting.await;
            return finish_after_hand_over(&router, shutdown, [sweeper, publishing]).await;
        }
    }
    if let Some(before) = &router.before {
        let _ = before.send(RouterCommand::Stop).await;
    }
    router.phase.send_replace(Phase::Draining);
    // Its end closes the listening socket, of which there is one more descriptor.
    router.handles.close_listener();
    let _ = accepting.await;
    end_connections(&router).await;
    wait_for_before(&router).await;
    sweeper.abort();
    publishing.abort();
    // Aborting drops the control socket, which removes its file.
    commands.abort();
    let _ = commands.await;
    let _ = tokio::task::spawn_blocking(move || router.log.stop()).await;
    Ok(())
}

async fn open(
    inherited: Option<Inherited>,
    config: RouterConfig,
) -> Result<(Arc<Router>, tokio::net::TcpListener), RouterError> {
    let failed = |source| RouterError::Listen { address: config.http, source };
    let (listener, lock, before) = match inherited {
        Some(inherited) => {
            let listener = inherited.listener(config.http, config.limits.bind_retry).await?;
            (listener, inherited.lock, Some(inherited.before))
        }
        None => {
            let lock = control::lock(&config.control_socket)?;
            (listen::bind(config.http, config.limits.bind_retry).await?, lock, None)
        }
    };
    let http = listener.local_addr().map_err(failed)?;
    let again = std::os::fd::AsFd::as_fd(&listener).try_clone_to_owned().map_err(failed)?;
    let router = Router {
        http,
        dns: config.dns,
        table: TableStore::open(config.table_file, config.boot_id),
        log: AccessLog::start(config.limits.log_backlog).map_err(RouterError::LogThread)?,
        requests: AtomicU64::new(0),
        in_flight: AtomicU64::new(0),
        phase: watch::Sender::new(Phase::Serving),
        connections: Arc::new(Semaphore::new(config.limits.client_connections)),
        limits: config.limits,
        handles: Handles::new(again, lock, config.others),
        before,
        gate: Gate::default(),
        handed_over: config.handed_over,
        control_lost: Notify::new(),
        hurry: Notify::new(),
    };
    Ok((Arc::new(router), listener))
}

/// Serves what is in flight at a router that has handed over, and then ends. The control socket
/// and the table's file are the next one's.
async fn finish_after_hand_over(
    router: &Arc<Router>,
    shutdown: impl Future<Output = ()>,
    helpers: [tokio::task::JoinHandle<()>; 2],
) -> Result<(), RouterError> {
    tracing::info!("the next router serves; this one ends with what it has in flight");
    let hurry = async {
        tokio::select! {
            () = shutdown => {}
            () = router.hurry.notified() => {}
        }
    };
    tokio::select! {
        closed = all_ended(router, router.limits.after_hand_over) => {
            if !closed {
                router.phase.send_replace(Phase::Closing);
                all_closed(router, CLOSING).await;
            }
        }
        () = hurry => {
            if let Some(before) = &router.before {
                let _ = before.send(RouterCommand::Stop).await;
            }
            router.phase.send_replace(Phase::Draining);
            end_connections(router).await;
            wait_for_before(router).await;
        }
    }
    helpers.iter().for_each(tokio::task::JoinHandle::abort);
    let router = Arc::clone(router);
    let _ = tokio::task::spawn_blocking(move || router.log.stop()).await;
    Ok(())
}

/// Waits until no client connection is left here and at the router before this one, which is told
/// through this one of what it must know; returns whether that was within `limit`.
async fn all_ended(router: &Router, limit: Duration) -> bool {
    let ended = async {
        let closed = all_closed(router, limit).await;
        if let Some(before) = &router.before {
            before.closed().await;
        }
        closed
    };
    tokio::time::timeout(limit, ended).await.unwrap_or(false)
}

/// Waits for the router before this one, which was told to stop.
async fn wait_for_before(router: &Router) {
    if let Some(before) = &router.before {
        let _ = tokio::time::timeout(router.limits.shutdown + CLOSING, before.closed()).await;
    }
}

/// Waits until what is in flight has ended, and cuts it off when the time is up.
async fn end_connections(router: &Router) {
    if !all_closed(router, router.limits.shutdown).await {
        tracing::warn!("requests are still in flight at the end: cutting them off");
        router.phase.send_replace(Phase::Closing);
        all_closed(router, CLOSING).await;
    }
}

/// Waits until no client connection is left; returns whether that was within `timeout`.
async fn all_closed(router: &Router, timeout: Duration) -> bool {
    let all = u32::try_from(router.limits.client_connections).unwrap_or(u32::MAX);
    tokio::time::timeout(timeout, router.connections.acquire_many(all)).await.is_ok()
}

/// Shows every table that is in force to whoever else in this process serves from it.
async fn publish(mut tables: watch::Receiver<Arc<Table>>, routes: watch::Sender<Routes>) {
    loop {
        let table = Arc::clone(&tables.borrow_and_update());
        routes.send_replace(table.apps().map(|app| Arc::clone(&app.route)).collect());
        if tables.changed().await.is_err() {
            return;
        }
    }
}

async fn sweep(router: Arc<Router>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let table = router.table.current();
        for target in table.apps().flat_map(|app| app.all_targets()) {
            target.pool.sweep(router.limits.target_idle);
        }
    }
}
