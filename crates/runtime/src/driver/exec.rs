//! Commands beside the processes of an instance that runs.

use super::attach::{self, Ending};
use super::instances::{Instance, Phase};
use super::launcher::read_report;
use super::{EmbeddedDriver, KILL_LIMIT};
use crate::cgroup::Cgroup;
use crate::frame::{Kind, MAXIMUM_PAYLOAD, encode_into};
use crate::launch::{ExecRequest, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use windlass_core::driver::{Attached, DriverError, ExecCommand};
use windlass_core::ids::InstanceId;

/// Tells the commands of this server apart. Those of an earlier one ended with it; its number
/// keeps them apart while they do.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl EmbeddedDriver {
    pub(super) async fn run_beside(
        &self,
        id: &InstanceId,
        command: ExecCommand,
    ) -> Result<Attached, DriverError> {
        let instance = self.running(id)?;
        let observed = instance.started().await?;
        let refuse = |reason: String| DriverError::Other(format!("in {id}: {reason}"));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let ExecCommand { command, environment, terminal } = command;
        let request = ExecRequest {
            group: format!("exec-{}-{number}", std::process::id()),
            command,
            environment,
            terminal,
        };
        let mut frame = Vec::new();
        let payload = serde_json::to_vec(&request).map_err(|error| refuse(error.to_string()))?;
        if payload.len() > MAXIMUM_PAYLOAD {
            return Err(refuse("command and environment are longer than 1 MiB".to_owned()));
        }
        encode_into(&mut frame, Kind::Request, &payload);

        let directory = self.directory(id);
        let (child, mut socket) =
            self.program.spawn_exec(&directory).map_err(|error| refuse(error.to_string()))?;
        let group = self.cgroup(id).of_command(&request.group);
        // In a task of its own, so that a caller who gives up leaves nothing behind.
        tokio::spawn(clear_away(child, group.clone()));
        socket.write_all(&frame).await.map_err(|error| refuse(error.to_string()))?;
        let (report, decoder) = read_report(&mut socket, &directory).await.map_err(refuse)?;
        match report {
            Report::Running { .. } => {
                Ok(attach::attach(observed, Ending::Command, socket, decoder, group))
            }
            Report::CommandNotFound { reason } => Err(DriverError::CommandNotFound(reason)),
            Report::Failed { reason } => Err(refuse(reason)),
        }
    }

    fn running(&self, id: &InstanceId) -> Result<Arc<Instance>, DriverError> {
        let known = self.instances.get(id);
        let instance = known.ok_or_else(|| DriverError::NoSuchInstance(id.clone()))?;
        match instance.phase() {
            Phase::Starting | Phase::Running { .. } => Ok(instance),
            Phase::Exited { .. } | Phase::Failed { .. } => {
                Err(DriverError::Other(format!("instance {id} has ended")))
            }
        }
    }
}

/// Waits for the end of a command's shim, and ends what it left if it was killed.
async fn clear_away(mut child: Child, group: Cgroup) {
    let _ = child.wait().await;
    let cleared = tokio::task::spawn_blocking(move || {
        let gone = group.kill_all(KILL_LIMIT);
        group.remove();
        gone
    });
    if !cleared.await.unwrap_or(false) {
        tracing::error!("processes of a command could not be killed");
    }
}
