//! Route tables: what the control plane tells the router.

use crate::ids::{AppId, InstanceId};
use crate::names::{AppName, ProcessType};
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
    /// Waits until the instance, already out of the table, has no request, stream or tunnel in
    /// flight, or the time is up. Answered by `Drained`.
    Drain { instance: InstanceId, timeout_ms: u64 },
    /// Answered by `Status`.
    Status,
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
pub enum RouterReply {
    Applied,
    /// `in_flight` is what was still open when the time was up: 0 for a clean drain.
    Drained {
        in_flight: u64,
    },
    Status(RouterStatus),
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
    /// Where the name server of instances listens, if there is one.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    pub apps: usize,
    pub requests: u64,
    pub in_flight: u64,
}
