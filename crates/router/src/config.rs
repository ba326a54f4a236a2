//! What a router is told at its start, and why it can fail to start.

use crate::target::health::Ejection;
use crate::workers::Workers;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use windlass_core::challenges::Challenges;
use windlass_core::route::{AppRoute, ListenOptions, SSH_SOCKET};
use windlass_core::zone::Zone;

/// Where a router listens and keeps its state.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// The address for plain HTTP; port 0 takes a free one.
    pub http: SocketAddr,
    pub listen: ListenOptions,
    /// The last applied certificates with their keys, as JSON with mode 0600.
    pub certificates_file: PathBuf,
    /// The unix socket for commands, made with mode 0600. A `.lock` file beside it keeps a
    /// second router out.
    pub control_socket: PathBuf,
    /// Where SSH connections to the plain port are passed on to, if they are
    /// ([`ListenOptions::ssh`]).
    pub ssh_socket: PathBuf,
    /// The last applied route table, as JSON; read at the start, replaced at each change.
    pub table_file: PathBuf,
    pub limits: Limits,
    /// Threads that serve connections, at least one; by default as many as there are processors.
    pub threads: usize,
    /// Where the name server of instances listens, as [`RouterStatus`] says it. The router only
    /// passes it on.
    ///
    /// [`RouterStatus`]: windlass_core::route::RouterStatus
    pub dns: Option<SocketAddr>,
    /// The zone that a name server beside the router answers for; passed on in the same way.
    pub zone: Option<Zone>,
    /// Gets the routes in force, and again after each change.
    pub routes: watch::Sender<Routes>,
    /// Gets the challenges of certificate authorities that are open, and again after each change.
    pub challenges: watch::Sender<Arc<Challenges>>,
    /// Says which start of the machine this is: a table saved in an earlier one has addresses that
    /// may be those of others by now. On Linux `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Sockets of others in this process, passed on to the next router.
    pub others: Arc<[OwnedFd]>,
    /// Becomes true when the next router serves: `others` are its own then.
    pub handed_over: watch::Sender<bool>,
}

/// The routes of all apps at one moment.
pub type Routes = Arc<[Arc<AppRoute>]>;

impl RouterConfig {
    /// Returns a configuration with Heroku's limits.
    #[must_use]
    pub fn new(http: SocketAddr, control_socket: PathBuf, table_file: PathBuf) -> Self {
        let (limits, routes) = (Limits::default(), watch::Sender::default());
        Self {
            http,
            listen: ListenOptions::default(),
            certificates_file: table_file.with_extension("certificates.json"),
            ssh_socket: control_socket.with_file_name(SSH_SOCKET),
            control_socket,
            table_file,
            limits,
            threads: Workers::usual(),
            dns: None,
            zone: None,
            routes,
            challenges: watch::Sender::default(),
            boot_id: String::new(),
            others: Arc::new([]),
            handed_over: watch::Sender::default(),
        }
    }
}

/// Time limits and sizes. The defaults are Heroku's where it has one.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Reaching one target (H19).
    pub connect: Duration,
    /// From the whole request to the first byte of the response (H12).
    pub first_byte: Duration,
    /// Silence in both directions of a response, an upload or a tunnel (H15, H28).
    pub idle: Duration,
    /// How long a request waits for a starting instance (H20).
    pub held: Duration,
    /// An idle client connection, and the time to send the head of a request.
    pub client_idle: Duration,
    /// How long an unused connection to a target is kept.
    pub target_idle: Duration,
    /// How long requests in flight may go on after the order to stop.
    pub shutdown: Duration,
    /// How long they may go on after the next router has taken over.
    pub after_hand_over: Duration,
    /// How long to try again when the address is in use at the start.
    pub bind_retry: Duration,
    /// Unused connections kept for each target.
    pub idle_connections_per_target: usize,
    /// Requests of one app that may wait for a starting or busy instance, unless the app's
    /// settings say another number (H11).
    pub held_requests_per_app: usize,
    /// When targets that fail are avoided, and how new ones begin.
    pub ejection: Ejection,
    /// Client connections; more wait in the kernel's queue.
    pub client_connections: usize,
    /// Log lines waiting to be written; more are dropped and counted.
    pub log_backlog: usize,
    /// How long TLS and PROXY headers may take before the first request.
    pub handshake: Duration,
    /// Requests that one connection of HTTP/2 or HTTP/3 may have open.
    pub streams_per_connection: u32,
    /// The longest path with query, in bytes.
    pub request_line: usize,
    /// The longest header line, in bytes.
    pub header_line: usize,
    /// The longest head of a request, in bytes.
    pub request_head: usize,
}

impl Limits {
    /// Returns the shortest of the limits on silence.
    pub(crate) fn shortest(&self) -> Duration {
        self.first_byte.min(self.idle).min(self.client_idle)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(55),
            held: Duration::from_secs(75),
            client_idle: Duration::from_secs(60),
            target_idle: Duration::from_secs(30),
            shutdown: Duration::from_secs(30),
            after_hand_over: Duration::from_secs(60 * 60),
            bind_retry: Duration::from_secs(3),
            idle_connections_per_target: 512,
            held_requests_per_app: 1_000,
            ejection: Ejection::default(),
            client_connections: 16_384,
            log_backlog: 16_384,
            handshake: Duration::from_secs(10),
            streams_per_connection: 128,
            request_line: 8_192,
            header_line: 8_192,
            request_head: 65_536,
        }
    }
}

/// A router could not start.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    #[error("cannot listen on {address}: {source}; choose another address or stop what uses it")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "cannot serve HTTP/3 on UDP at {address}: {source}; stop what uses this port, or set router.http3 to off"
    )]
    ListenHttp3 { address: SocketAddr, source: io::Error },
    #[error("TLS cannot be served: {0}")]
    Tls(io::Error),
    #[error("another router already answers on {}; stop it first", socket.display())]
    AlreadyRunning { socket: PathBuf },
    #[error("cannot make the control socket {}: {source}", socket.display())]
    ControlSocket { socket: PathBuf, source: io::Error },
    #[error("the router on {} did not hand over: {source}", socket.display())]
    HandOver { socket: PathBuf, source: io::Error },
    #[error("cannot start the threads that serve connections: {0}")]
    Threads(io::Error),
    #[error("cannot start the thread that writes access logs: {0}")]
    LogThread(io::Error),
}
