//! The port through which the control plane runs a program of the host under limits, for what
//! cannot run in a container of ours: image builders make containers themselves.

use crate::driver::DriverError;
use crate::instance::{ExitStatus, Resources};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::sync::mpsc;

#[async_trait]
pub trait HostJobs: Send + Sync {
    /// Starts a program in a control group of its own and in new process, mount, IPC and host name
    /// namespaces. What is returned gives its output and then how it ended; dropping it kills the
    /// program and all that it started. Its time is the caller's to limit; one that reaches its
    /// limit of processes is killed.
    async fn run(&self, job: HostJob) -> Result<mpsc::Receiver<HostJobOutput>, DriverError>;
}

/// A program to run.
#[derive(Clone, Debug)]
pub struct HostJob {
    /// The program and its arguments; no shell is added.
    pub command: Vec<String>,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    pub working_directory: PathBuf,
    pub resources: Resources,
    /// All of the host that it sees beside the system's programs and settings without secrets, with
    /// the right to write to it. `None`: it sees the whole host.
    pub confined_to: Option<Vec<PathBuf>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostJobOutput {
    /// Of its standard output and error, in their order.
    Output(Bytes),
    /// The last that comes.
    Ended(ExitStatus),
}
