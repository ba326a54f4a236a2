//! A router from its start to its end.

use crate::access_log::AccessLog;
use crate::client::RouterClient;
use crate::config::{Limits, RouterConfig, RouterError, Routes};
use crate::hand_over::{Gate, Handles, Inherited, Sockets};
use crate::http1::{self, Alarms};
use crate::http3;
use crate::listen::{Door, Listening, SshPassage, TicketKeys, Tls, TrustedProxies};
use crate::table::{Table, TableStore};
use crate::workers::Workers;
use crate::{control, listen};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use windlass_core::route::RouterCommand;
use windlass_core::zone::Zone;

/// How long connections cut off at the end may take to write their log lines.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);
/// How often unused connections to targets are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// What the parts of a router share.
pub(crate) struct Router {
    pub http: SocketAddr,
    pub listening: Listening,
    pub dns: Option<SocketAddr>,
    pub zone: Option<Zone>,
    pub table: TableStore,
    pub log: AccessLog,
    pub limits: Limits,
    pub requests: AtomicU64,
    pub in_flight: AtomicU64,
    /// The time limits of HTTP/1 connections.
    pub alarms: Arc<Alarms>,
    pub workers: Workers,
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

/// Returns a runtime fit for a router: one thread, since those that serve connections are its own
/// ([`RouterConfig::threads`]).
///
/// # Errors
/// When the threads cannot be started.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
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
    let (router, mut listeners) = open(inherited, config).await?;
    let sweeper = tokio::spawn(sweep(Arc::clone(&router)));
    let alarms = Arc::clone(&router.alarms);
    let phase = router.phase.subscribe();
    let _threads = router.workers.end_with();
    let ringing = tokio::spawn(async move { alarms.ring(phase).await });
    let publishing = tokio::spawn(publish(router.table.subscribe(), routes));
    let http3 = listeners.http3.take().map(|door| tokio::spawn(door.serve(Arc::clone(&router))));
    let accepting = tokio::spawn(listeners.accept(Arc::clone(&router)));
    // From here on nothing can fail: whoever is before this one ends now.
    let control = control::ControlSocket::bind(&socket, router.handed_over.subscribe())?;
    let commands = tokio::spawn(control.serve(Arc::clone(&router)));
    if let Some(before) = &router.before {
        let _ = before.send(RouterCommand::TakenOver).await;
    }
    let https = router.listening.https.map(tracing::field::display);
    let on_udp = router.listening.alt_svc.is_some();
    tracing::info!(http = %router.http, https, http3 = on_udp, apps = router.table.current().len(), "router is serving");
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
            let helpers = [sweeper, publishing, ringing];
            finish_after_hand_over(&router, shutdown).await;
            return finish(router, http3, &helpers).await;
        }
    }
    if let Some(before) = &router.before {
        let _ = before.send(RouterCommand::Stop).await;
    }
    router.phase.send_replace(Phase::Draining);
    // Its end closes the listening sockets, of which there is one more descriptor each.
    router.handles.close_listeners();
    let _ = accepting.await;
    end_connections(&router).await;
    wait_for_before(&router).await;
    // Aborting drops the control socket, which removes its file.
    commands.abort();
    let _ = commands.await;
    finish(router, http3, &[sweeper, publishing, ringing]).await
}

/// The sockets on which clients connect.
struct Listeners {
    http: TcpListener,
    https: Option<TcpListener>,
    http3: Option<http3::Door>,
}

impl Listeners {
    async fn bind(config: &RouterConfig) -> Result<Self, RouterError> {
        let retry = config.limits.bind_retry;
        let http = listen::bind(config.http, retry).await?;
        let https = match config.listen.https {
            Some(address) => Some(listen::bind(address, retry).await?),
            None => None,
        };
        let http3 = match address_of_http3(config, https.as_ref()) {
            Some(address) => Some(http3::Door::bind(address, retry).await?),
            None => None,
        };
        Ok(Self { http, https, http3 })
    }

    async fn inherit(
        inherited: &mut Inherited,
        config: &RouterConfig,
    ) -> Result<Self, RouterError> {
        let retry = config.limits.bind_retry;
        let http = inherited.http_listener(config.http, retry).await?;
        let https = match config.listen.https {
            Some(address) => Some(inherited.https_listener(address, retry).await?),
            None => None,
        };
        let http3 = match address_of_http3(config, https.as_ref()) {
            Some(address) => Some(inherited.http3_door(address, retry).await?),
            None => None,
        };
        Ok(Self { http, https, http3 })
    }

    /// Returns where they listen, and more descriptors of them.
    fn share(&mut self, config: &RouterConfig) -> Result<(SocketAddr, Sockets), RouterError> {
        let failed = |source| RouterError::Listen { address: config.http, source };
        let share = |listener: &TcpListener| listener.as_fd().try_clone_to_owned();
        let https = self.https.as_ref().map(share).transpose().map_err(failed)?;
        let http = share(&self.http).map_err(failed)?;
        let http3 = self.http3.as_mut().map(http3::Door::share).transpose().map_err(failed)?;
        let sockets = Sockets { http, https, http3: http3.flatten() };
        Ok((self.http.local_addr().map_err(failed)?, sockets))
    }

    /// Accepts connections until the router stops serving.
    async fn accept(self, router: Arc<Router>) {
        let https = async {
            if let Some(https) = self.https {
                listen::accept(https, Door::Tls, Arc::clone(&router)).await;
            }
        };
        tokio::join!(https, listen::accept(self.http, Door::Plain, Arc::clone(&router)));
    }
}

/// Returns where HTTP/3 is served, if it is: beside the socket for TLS.
fn address_of_http3(config: &RouterConfig, https: Option<&TcpListener>) -> Option<SocketAddr> {
    https.filter(|_| config.listen.http3)?.local_addr().ok()
}

async fn open(
    inherited: Option<Inherited>,
    config: RouterConfig,
) -> Result<(Arc<Router>, Listeners), RouterError> {
    let (mut listeners, lock, before, keys) = match inherited {
        Some(mut inherited) => {
            let listeners = Listeners::inherit(&mut inherited, &config).await?;
            (listeners, inherited.lock, Some(inherited.before), inherited.ticket_keys)
        }
        None => {
            let lock = control::lock(&config.control_socket)?;
            (Listeners::bind(&config).await?, lock, None, TicketKeys::default())
        }
    };
    let (http, sockets) = listeners.share(&config)?;
    let https = listeners.https.as_ref().and_then(|https| https.local_addr().ok());
    let https_public_port = config.listen.https_public_port.or(https.map(|https| https.port()));
    let listening = Listening {
        https,
        https_public_port,
        alt_svc: listeners.http3.as_ref().and(https_public_port).and_then(http3::alt_svc),
        trusted_proxies: TrustedProxies::new(config.listen.trusted_proxies.clone()),
        proxy_protocol: config.listen.proxy_protocol,
        ssh: config.listen.ssh.then(|| SshPassage::new(config.ssh_socket)),
        options: config.listen,
        tls: Tls::open(config.certificates_file, keys).map_err(RouterError::Tls)?,
    };
    let router = Router {
        http,
        listening,
        dns: config.dns,
        zone: config.zone,
        table: TableStore::open(config.table_file, config.boot_id, config.limits.ejection)
            .with_challenges(config.challenges),
        log: AccessLog::start(config.limits.log_backlog).map_err(RouterError::LogThread)?,
        requests: AtomicU64::new(0),
        in_flight: AtomicU64::new(0),
        alarms: Arc::new(Alarms::new(config.limits.shortest())),
        workers: Workers::start(config.threads, http1::settle).map_err(RouterError::Threads)?,
        phase: watch::Sender::new(Phase::Serving),
        connections: Arc::new(Semaphore::new(config.limits.client_connections)),
        limits: config.limits,
        handles: Handles::new(sockets, lock, config.others),
        before,
        gate: Gate::default(),
        handed_over: config.handed_over,
        control_lost: Notify::new(),
        hurry: Notify::new(),
    };
    Ok((Arc::new(router), listeners))
}

/// Serves what is in flight at a router that has handed over, and then ends. The control socket
/// and the table's file are the next one's.
async fn finish_after_hand_over(router: &Arc<Router>, shutdown: impl Future<Output = ()>) {
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
}

/// Ends what is left once no connection is.
async fn finish(
    router: Arc<Router>,
    http3: Option<JoinHandle<()>>,
    helpers: &[JoinHandle<()>],
) -> Result<(), RouterError> {
    helpers.iter().for_each(JoinHandle::abort);
    if let Some(mut http3) = http3 {
        // Clients are told that their connections have ended.
        let _ = tokio::time::timeout(CLOSING, &mut http3).await;
        http3.abort();
    }
    end_threads(router).await;
    Ok(())
}

/// Ends what still serves a connection, and then the log that it writes to.
async fn end_threads(router: Arc<Router>) {
    let end = move || {
        router.workers.stop();
        router.log.stop();
    };
    let _ = tokio::task::spawn_blocking(end).await;
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
            target.streams.sweep(router.limits.target_idle);
            target.shared.sweep(router.limits.target_idle);
        }
    }
}
