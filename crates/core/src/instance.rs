//! An instance: one running process of an app, of a build or of a one-off command.

use crate::ids::{AppId, Digest, InstanceId};
use crate::names::{AppName, ProcessType};
use crate::volume::VolumeSource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Everything a driver needs to start an instance. The driver keeps it for as long as it
/// knows the instance and gives it back in [`ObservedInstance`], so that a restarted control
/// plane recognises what runs.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct InstanceSpec {
    pub id: InstanceId,
    pub labels: InstanceLabels,
    /// The image whose layers are the root file system.
    pub image: Digest,
    /// The program and its arguments; no shell is added.
    pub command: Vec<String>,
    pub working_directory: String,
    pub environment: BTreeMap<String, String>,
    /// User inside the container: 0 is root *inside* only.
    pub user: u32,
    /// Group inside the container; `None` is the group with the user's number.
    #[serde(default)]
    pub group: Option<u32>,
    pub mounts: Vec<Mount>,
    pub resources: Resources,
    /// The port that the instance is expected to listen on, for the address in
    /// [`ObservedInstance`]; `None` for an instance that nobody connects to.
    pub port: Option<u16>,
    pub output: Output,
}

/// What the instance is, in the control plane's words.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct InstanceLabels {
    pub app: AppId,
    pub app_name: AppName,
    pub kind: InstanceKind,
    pub process: ProcessType,
    /// 1 for `web.1`; a random number for one-off instances (`run.4711`).
    pub index: u32,
    /// The release's version number; `None` for builds.
    pub release: Option<u32>,
    /// The control plane stops it so long after its start, in milliseconds; for one-offs.
    #[serde(default)]
    pub time_limit_ms: Option<u64>,
    /// Restart generation: `ps:restart` raises the formation's and replaces older instances.
    pub generation: u64,
}

impl InstanceLabels {
    /// Returns the name that people see: `web.1`, `run.4711`.
    #[must_use]
    pub fn display_name(&self) -> String {
        format!("{}.{}", self.process, self.index)
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum InstanceKind {
    /// Kept running by the reconciler.
    Formation,
    /// `windlass run`: runs once.
    OneOff,
    /// Runs buildpacks.
    Build,
}

/// What is mounted.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum MountSource {
    /// A directory or file of the host.
    Host(PathBuf),
    Volume(VolumeSource),
}

impl From<PathBuf> for MountSource {
    fn from(path: PathBuf) -> Self {
        Self::Host(path)
    }
}

/// Something that appears in the container.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Mount {
    pub source: MountSource,
    pub target: String,
    pub writable: bool,
    /// Whether owners on disk are container owners (0 on disk is 0 inside). True for everything
    /// that Windlass owns; false for files of the host, which must be world-readable.
    pub id_mapped: bool,
}

/// Hard limits of one instance. `None` means no limit of its own.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Default)]
pub struct Resources {
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core: 1500 is one and a half cores.
    pub cpu_millis: Option<u32>,
    /// Relative weight when cores are contended, cgroup v1 scale (2 to 262144, default 1024).
    pub cpu_shares: Option<u32>,
    pub processes: Option<u32>,
    /// How many of the machine's first processors are left to others; one is always used. Weights
    /// alone do not help whoever waits for a processor that is inside the kernel for somebody else.
    #[serde(default)]
    pub spared_processors: u32,
}

/// Where standard output and error go.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Every line is appended to this log file as `source` (`app[web.1]`), in the format of
    /// [`crate::log_line`]. Goes on when the control plane is away.
    Log { file: PathBuf, source: String },
    /// Bytes go to whoever started the instance; it is killed when they go away.
    Attached { terminal: Option<TerminalSize> },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TerminalSize {
    pub rows: u16,
    pub columns: u16,
}

/// An instance as a driver sees it now.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ObservedInstance {
    pub spec: InstanceSpec,
    pub state: InstanceState,
    /// Milliseconds since the Unix epoch when its process started.
    pub started_at_ms: u64,
    /// Where its port can be reached from the router, when the spec names a port.
    pub address: Option<SocketAddr>,
    /// Where other instances reach it on the private network; `None` when it is on none.
    #[serde(default)]
    pub private_address: Option<IpAddr>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    Running,
    Exited(ExitStatus),
}

/// How an instance ended.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code, or 128 + the signal's number.
    pub code: i32,
    /// Whether the kernel killed a process of it for memory.
    pub out_of_memory: bool,
    /// Whether a process of it could not start another for its limit of processes.
    #[serde(default)]
    pub out_of_processes: bool,
    /// Set when the driver ended or lost it ("its shim was killed"), in words.
    pub reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}
