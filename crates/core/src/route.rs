//! Route tables: what the control plane tells the router.

use crate::challenges::Challenges;
use crate::ids::{AppId, InstanceId};
use crate::names::{AppName, ProcessType};
use crate::routing_settings::{Network, RoutingSettings};
use crate::zone::Zone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// All that the router knows of one app. Replaced as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct AppRoute {
    pub app: AppId,
    pub app_name: AppName,
    /// Host names in lower case without port; `*.example.com` matches one or more labels.
    pub hosts: Vec<String>,
    pub availability: Availability,
    pub targets: Vec<Target>,
    /// A new release that takes a share of the requests.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// The app's log file for Heroku's router lines; `None` switches them off.
    pub log_file: Option<PathBuf>,
    /// What the app's names on the private network answer.
    #[serde(default)]
    pub private: PrivateNames,
    /// What people chose for its requests; `None`: nothing. See [`AppRoute::settings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<RoutingSettings>>,
}

impl AppRoute {
    /// Returns the routing settings in force.
    #[must_use]
    pub fn settings(&self) -> &RoutingSettings {
        self.settings.as_deref().unwrap_or_else(|| RoutingSettings::none())
    }
}

/// What an app's names below `.internal` answer, and to whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PrivateNames {
    /// Every instance in service, of all process types.
    pub instances: Vec<NamedInstance>,
    /// The other apps that may ask.
    pub linked: BTreeSet<AppId>,
}

/// One instance that has a name.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NamedInstance {
    pub process: ProcessType,
    pub index: u32,
    pub address: IpAddr,
}

/// What to answer when there is no target to send a request to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Nothing was ever deployed (H81).
    Blank,
    /// The formation has no web process (H14).
    NoWebProcesses,
    /// Every web instance has crashed (H10).
    Crashed,
    /// Web instances are starting: hold requests, at most 75 s (H20).
    Starting,
    /// Maintenance mode (H80); targets are ignored.
    Maintenance,
    /// There are targets.
    Serving,
}

/// Targets that take a share of an app's requests beside its others.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Canary {
    /// Of a hundred requests, from 1 to 99. Without other targets they get all.
    pub percent: u8,
    pub targets: Vec<Target>,
}

/// One instance that takes requests.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Target {
    pub instance: InstanceId,
    /// `web.1`
    pub name: String,
    pub address: SocketAddr,
}

/// How a router listens, beside its address for plain requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ListenOptions {
    /// The address for requests over TLS; port 0 takes a free one, `None` is nowhere.
    pub https: Option<SocketAddr>,
    /// The port of https in URLs, if it is not the one of `https`.
    pub https_public_port: Option<u16>,
    /// Proxies in front of the router whose X-Forwarded headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether these proxies begin each connection with a PROXY header, version 1 or 2.
    pub proxy_protocol: bool,
    /// Whether HTTP/2 is spoken over TLS only, not also on the plain port with clients that begin
    /// with it.
    #[serde(default)]
    pub without_h2c: bool,
    /// Whether HTTP/3 is served too, on the UDP port with the number of the one of `https`.
    #[serde(default)]
    pub http3: bool,
    /// Whether connections to the plain port that begin with SSH are passed on to the server, to its
    /// socket [`SSH_SOCKET`] beside the control socket.
    #[serde(default)]
    pub ssh: bool,
}

/// The name of the unix socket at which the server takes the SSH connections of the router's port.
pub const SSH_SOCKET: &str = "ssh.sock";

impl ListenOptions {
    /// Returns whether a router that was started with these has what is wanted; any port is where
    /// port 0 is.
    #[must_use]
    pub fn suit(&self, wanted: &Self) -> bool {
        let is_free = wanted.https.is_some_and(|address| address.port() == 0);
        let ip = |address: Option<SocketAddr>| address.map(|address| address.ip());
        let suits = self.https == wanted.https || (is_free && ip(self.https) == ip(wanted.https));
        suits && Self { https: wanted.https, ..self.clone() } == *wanted
    }
}

/// A certificate that the router shows to clients.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct RouteCertificate {
    /// For which names, in lower case; `*.example.com` matches one label.
    pub hosts: Vec<String>,
    /// Whether it is also for clients that name no host, or one without a certificate.
    #[serde(default)]
    pub is_default: bool,
    /// The certificate first, then who signed it.
    pub chain_pem: String,
    pub key_pem: String,
}

/// The key is not shown.
impl std::fmt::Debug for RouteCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("RouteCertificate");
        shown.field("hosts", &self.hosts).field("is_default", &self.is_default);
        shown.finish_non_exhaustive()
    }
}

/// A command to the router, one JSON object a line on its control socket.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum RouterCommand {
    /// Replaces the whole table. Answered by `Applied` once it is in memory and on disk.
    Sync { routes: Vec<AppRoute> },
    /// Replaces one app's route. Answered by `Applied`.
    Upsert { route: AppRoute },
    /// Forgets an app. Answered by `Applied`.
    Remove { app: AppId },
    /// Replaces all certificates, or none if one of them cannot be used. Answered by `Applied` once
    /// they are in force and on disk.
    Certificates { certificates: Vec<RouteCertificate> },
    /// Replaces what is answered to certificate authorities. Answered by `Applied`.
    Challenges { challenges: Challenges },
    /// Waits until the instance, already out of the table, has no request, stream or tunnel in
    /// flight, or the time is up. Answered by `Drained`.
    Drain { instance: InstanceId, timeout_ms: u64 },
    /// Answered by `Status`.
    Status,
    /// Answered by `Metrics`.
    Metrics,
    /// Passes the listening sockets to the router that listens at `to`. Answered by `Applied`; no
    /// other command is taken until that router serves or has given up.
    HandOver { to: PathBuf },
    /// From the next router: it serves, this one accepts nothing more and ends with what it has
    /// in flight. Answered by `Applied`.
    TakenOver,
    /// From the next router: end as after SIGTERM. Answered by `Applied`.
    Stop,
}

/// A command with the number that its answer repeats: commands run side by side.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RouterRequest {
    pub id: u64,
    #[serde(flatten)]
    pub command: RouterCommand,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RouterResponse {
    pub id: u64,
    #[serde(flatten)]
    pub reply: RouterReply,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", tag = "reply")]
#[allow(clippy::large_enum_variant, reason = "they are read one at a time")]
pub enum RouterReply {
    Applied,
    /// `in_flight` is what was still open when the time was up: 0 for a clean drain.
    Drained {
        in_flight: u64,
    },
    Status(RouterStatus),
    /// In Prometheus' text format.
    Metrics {
        text: String,
    },
    Failed {
        message: String,
    },
}

/// The port through which the control plane reaches the router. An implementation waits a while
/// for a router that is being restarted before it gives up.
#[async_trait::async_trait]
pub trait RouterPort: Send + Sync + 'static {
    /// Returns the router's answer, or why there is none.
    async fn send(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable>;
}

/// The router gave no answer, or refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the router did not answer: {0}")]
pub struct RouterUnavailable(pub String);

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RouterStatus {
    pub pid: u32,
    pub http: SocketAddr,
    /// Where it takes requests over TLS, if it does.
    #[serde(default)]
    pub https: Option<SocketAddr>,
    /// What it was started with.
    #[serde(default)]
    pub listen: ListenOptions,
    /// Where the name server of instances listens, if there is one.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    /// The zone that it answers for, and where.
    #[serde(default)]
    pub zone: Option<Zone>,
    pub apps: usize,
    pub requests: u64,
    pub in_flight: u64,
}
