//! The port through which the control plane runs things. `windlass-runtime` implements it on
//! this machine; a Kubernetes driver and the simulated one of the tests stand behind it too.
//!
//! Nothing here assumes one machine, except that builds mount host directories.

use crate::admission::Machine;
use crate::disk_guard::DiskSpace;
use crate::host_job::HostJobs;
use crate::ids::InstanceId;
use crate::instance::{ExitStatus, InstanceSpec, ObservedInstance, TerminalSize};
use crate::links::Links;
use crate::volume::Volumes;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Starts an instance whose output goes to a log; returns once its process has been
    /// executed (not once it is healthy). Starting an identifier that runs already is no error
    /// and starts nothing.
    async fn start(&self, spec: InstanceSpec) -> Result<ObservedInstance, DriverError>;

    /// Starts an instance with [`crate::instance::Output::Attached`]. Dropping what is returned
    /// kills the instance.
    async fn start_attached(&self, spec: InstanceSpec) -> Result<Attached, DriverError>;

    /// Starts a command beside the processes of an instance that runs: same file system, network,
    /// user, limits and environment. Dropping what is returned kills it.
    async fn exec(&self, id: &InstanceId, _command: ExecCommand) -> Result<Attached, DriverError> {
        Err(DriverError::Other(format!("nothing can be run inside {id} here")))
    }

    /// Sends SIGTERM to every process of the instance, waits at most `grace`, then kills all that
    /// is left. Returns how its first process ended. An instance that has ended already is no error.
    async fn stop(&self, id: &InstanceId, grace: Duration) -> Result<Stopped, DriverError>;

    /// Returns every instance known, those that have ended and were not forgotten included.
    async fn observe(&self) -> Result<Vec<ObservedInstance>, DriverError>;

    /// Drops the record and the leftovers of an instance that has ended. Unknown is no error.
    async fn forget(&self, id: &InstanceId) -> Result<(), DriverError>;

    /// Returns the directory of this machine that holds what the instance has written outside of
    /// its mounts, for counting it; `None` where there is no such place.
    fn writable_directory(&self, _id: &InstanceId) -> Option<PathBuf> {
        None
    }

    /// Returns the memory that an instance uses, in bytes, without what the kernel would give back
    /// at once; `None` where it cannot be told.
    fn memory_used(&self, _id: &InstanceId) -> Option<u64> {
        None
    }

    /// Returns where the programs of an instance listen for TCP connections, as they see it; none
    /// where it cannot be told.
    fn listening(&self, _id: &InstanceId) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// Returns what the machine has for instances; `None` where something else decides what fits.
    fn machine(&self) -> Option<Machine> {
        None
    }

    /// Returns the space of the file system that instances write to; `None` where it is not shared.
    fn disk_space(&self) -> Option<DiskSpace> {
        None
    }

    /// Says whose instances reach each other, in place of what was said before; in force when it
    /// returns, for instances that run and for all to come, and kept while the control plane is
    /// away. Before the first call nobody reaches anybody.
    async fn set_links(&self, links: &Links) -> Result<(), DriverError>;

    /// Whether an instance that runs has reached its limit of processes since its start.
    fn is_out_of_processes(&self, _id: &InstanceId) -> bool {
        false
    }

    /// Returns what looks after volumes; `None` where there are none.
    fn volumes(&self) -> Option<&dyn Volumes> {
        None
    }

    /// Returns what runs programs of the host for this driver; `None` where there is no host.
    fn host_jobs(&self) -> Option<&dyn HostJobs> {
        None
    }

    /// Returns a stream of what happens to instances. A receiver that lags must call
    /// [`Driver::observe`].
    fn events(&self) -> broadcast::Receiver<InstanceEvent>;
}

#[derive(Clone, Debug)]
pub enum InstanceEvent {
    Exited { id: InstanceId, status: ExitStatus },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub status: ExitStatus,
    /// Whether the grace period ran out and processes were killed.
    pub killed: bool,
}

/// A command to run inside an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCommand {
    /// The program and its arguments; no shell is added.
    pub command: Vec<String>,
    /// Beside that of the instance.
    pub environment: BTreeMap<String, String>,
    /// A terminal of this size; `None` for pipes.
    pub terminal: Option<TerminalSize>,
}

/// The two ends of an attached instance.
pub struct Attached {
    pub instance: ObservedInstance,
    /// Ends after [`AttachedOutput::Exited`].
    pub output: mpsc::Receiver<AttachedOutput>,
    /// Dropping it is [`AttachedInput::StdinClosed`].
    pub input: mpsc::Sender<AttachedInput>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachedOutput {
    /// Also carries standard error when there is a terminal.
    Stdout(Bytes),
    Stderr(Bytes),
    Exited(ExitStatus),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachedInput {
    Stdin(Bytes),
    StdinClosed,
    Resize(TerminalSize),
    /// A signal number for every process of the instance.
    Signal(i32),
}

/// Why a driver could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("image {0} is not on this machine")]
    NoSuchImage(String),
    #[error("no instance {0} is known")]
    NoSuchInstance(InstanceId),
    #[error("instance {id} could not be started: {reason}")]
    Start { id: InstanceId, reason: String },
    #[error("the command was not found in the image: {0}")]
    CommandNotFound(String),
    #[error("there is not enough room: {0}")]
    NoRoom(String),
    /// What is asked for needs the instances that use something to be stopped first.
    #[error("{0}")]
    InUse(String),
    #[error("{0}")]
    Other(String),
}
