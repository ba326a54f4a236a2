//! The embedded driver and the shim: containers on this machine.
//!
//! ```text
//! server ── EmbeddedDriver ──spawns──► windlass shim (one per instance, from a sealed memfd)
//!             launch.json ──────────►    network namespace, mounts, cgroup, libcontainer
//!             status.json ◄──────────    └─ init ── the app's command
//! ```
//!
//! An instance does not need the server: its shim holds its pipes, writes its log and records how
//! it ended. A server that starts finds the shims that live by their locks. A shim that was
//! killed takes its instance with it as soon as a driver sees it. Everything that the kernel
//! should clean up by itself (mounts, network devices) belongs to namespaces that end with the
//! last process in them.
//!
//! This is the only crate with `unsafe`, all of it in the module `sys`.

mod cgroup;
mod doctor;
mod driver;
mod frame;
mod launch;
mod netlink;
mod processors;
mod seccomp;
mod shim;
mod sys;
mod syscalls;
mod volume;

pub use doctor::{Check, probe};
pub use driver::{EmbeddedDriver, clients_directory};
pub use shim::{GATEWAY, shim_main};
pub use volume::copy::COPY as COPY_VOLUME;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// How an [`EmbeddedDriver`] is set up.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Six hexadecimal digits that no other server on this machine has: they name cgroups,
    /// network devices and the firewall's table.
    pub name: String,
    /// State that must not survive a reboot, on a tmpfs, for example `/run/windlass/<name>`.
    pub run_directory: PathBuf,
    /// Writable layers, on a disk, and the users given to apps.
    pub work_directory: PathBuf,
    pub images: windlass_oci::ImageStore,
    /// The addresses of instances; `None` takes a free /20 out of 10.200.0.0/14.
    pub subnet: Option<(Ipv4Addr, u8)>,
    /// Bound into containers as `/etc/resolv.conf`; `None` is the host's.
    pub resolv_conf: Option<PathBuf>,
    /// Bound into containers as `/etc/ssl/certs/ca-certificates.crt`; `None` is the host's, if
    /// it has one.
    pub ca_bundle: Option<PathBuf>,
    /// The images of volumes, on a disk: `volumes` beside the work directory.
    pub volumes_directory: PathBuf,
    /// TCP ports of this machine that instances may connect to, such as the router's. All
    /// others are closed to them.
    pub host_ports: Vec<u16>,
    /// The port of [`GATEWAY`], UDP and TCP, on which this machine answers instances' questions
    /// for names; they ask at port 53. `None` lets them ask the name servers of `resolv_conf`.
    pub name_server_port: Option<u16>,
    /// The program to run as `<program> shim <directory>`; `None` is the running program.
    pub shim_executable: Option<PathBuf>,
}

impl RuntimeConfig {
    /// Returns a configuration with everything optional left to the driver.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        run_directory: impl Into<PathBuf>,
        work_directory: impl Into<PathBuf>,
        images: windlass_oci::ImageStore,
    ) -> Self {
        let work_directory = work_directory.into();
        Self {
            name: name.into(),
            run_directory: run_directory.into(),
            volumes_directory: work_directory.with_file_name("volumes"),
            work_directory,
            images,
            subnet: None,
            resolv_conf: None,
            ca_bundle: None,
            host_ports: Vec::new(),
            name_server_port: None,
            shim_executable: None,
        }
    }
}

/// Why the driver could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{action}: {source}")]
    Io { action: String, source: std::io::Error },
    #[error("the runtime's name {0:?} must be six hexadecimal digits")]
    InvalidName(String),
    #[error(
        "{0} must be searchable by everybody (`chmod o+x`): root inside a container is another \
         user outside"
    )]
    NotSearchable(PathBuf),
    #[error("containers need root; run the server as root")]
    NotRoot,
    #[error("the system call filter could not be compiled: {0}")]
    Seccomp(seccompiler::BackendError),
    #[error("no addresses for instances: {0}")]
    Subnet(String),
    #[error("the firewall rules could not be set: {0}")]
    Firewall(String),
}

impl RuntimeError {
    fn io(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let action = format!("{action} {}", path.display());
        move |source| Self::Io { action, source }
    }
}
