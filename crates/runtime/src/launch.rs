//! What driver and shim tell each other through files of an instance's directory.
//!
//! ```text
//! <run directory>/instances/<id>/
//!   launch.json   written by the driver before the shim starts: everything the shim needs
//!   status.json   replaced by the shim: running, then exited
//!   lock          locked by the shim for as long as it lives; holds its process identifier
//!   shim.log      what the shim printed, which is nothing unless it failed
//!   …             mount points and libcontainer's state
//! ```

use crate::cgroup::Hierarchies;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use windlass_core::instance::{ExitStatus, InstanceSpec, TerminalSize};

pub const LAUNCH_FILE: &str = "launch.json";
pub const STATUS_FILE: &str = "status.json";
pub const LOCK_FILE: &str = "lock";
pub const SHIM_LOG_FILE: &str = "shim.log";

/// Everything a shim needs to start its instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    pub spec: InstanceSpec,
    /// Unpacked layers of the image, top layer first.
    pub layers: Vec<PathBuf>,
    /// Made by the shim; holds the writable layer.
    pub writable_directory: PathBuf,
    /// The user outside that is root inside; 65,536 users follow.
    pub user_base: u32,
    pub address: Ipv4Addr,
    /// The name of the host's end of the pair of virtual Ethernet devices.
    pub interface: String,
    /// The group of that device: one for each app, by which the firewall knows whose it is.
    #[serde(default)]
    pub device_group: u32,
    pub hierarchies: Hierarchies,
    /// `windlass-<name>`: the parent cgroup.
    pub cgroup_parent: String,
    /// The compiled system call filter.
    pub seccomp_program: PathBuf,
    pub resolv_conf: Option<PathBuf>,
    pub ca_bundle: Option<PathBuf>,
    /// Where the images of volumes are.
    #[serde(default)]
    pub volumes_directory: PathBuf,
}

/// A command to run beside the processes of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The name of its group below the instance's.
    pub group: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Beside that of the instance.
    pub environment: BTreeMap<String, String>,
    pub terminal: Option<TerminalSize>,
}

/// How far an instance is, in `status.json`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `pid` is the container's first process, as the host sees it.
    Running {
        pid: i32,
        started_at_ms: u64,
    },
    Exited {
        started_at_ms: u64,
        status: ExitStatus,
    },
}

/// The shim's first frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    Running { started_at_ms: u64 },
    CommandNotFound { reason: String },
    Failed { reason: String },
}

/// Reads a JSON file.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Writes a JSON file so that readers see the old or the new content, never a part.
/// Not flushed to the disk: these files need not survive a power cut.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // Only for root: these files hold the app's config vars.
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    std::fs::rename(&temporary, path)
}

/// Returns the time since the Unix epoch.
pub fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub fn now_ms() -> u64 {
    now().as_millis() as u64
}
