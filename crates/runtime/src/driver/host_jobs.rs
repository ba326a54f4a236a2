//! Programs of the host under limits: image builders, which make containers themselves.

use super::{EmbeddedDriver, KILL_LIMIT, cgroup_parent};
use crate::cgroup::Cgroup;
use crate::launch::now_ms;
use crate::processors;
use crate::sys;
use async_trait::async_trait;
use bytes::BytesMut;
use nix::fcntl::OFlag;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use windlass_core::driver::DriverError;
use windlass_core::host_job::{HostJob, HostJobOutput, HostJobs};
use windlass_core::ids::InstanceId;
use windlass_core::instance::ExitStatus;

/// No instance's identifier has an underscore.
const PREFIX: &str = "host_job_";

/// How often a job is looked at for whether it has reached its limit of processes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// From util-linux, which every Debian has. The program is the first process of its namespace: it
/// sees no process but its own, and when it is killed the kernel kills the rest.
const NEW_NAMESPACES: [&str; 8] =
    ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--ipc", "--uts"];

/// Gives a program a root of its own; see there.
const OWN_ROOT: &str = include_str!("host_job_root.sh");

/// Returns what the namespaces' first process runs.
fn command_in_namespaces(job: &HostJob) -> Vec<OsString> {
    let own = || job.command.iter().map(OsString::from);
    let Some(folders) = &job.confined_to else { return own().collect() };
    let shell = ["sh", "-c", OWN_ROOT, "sh"].into_iter().map(OsString::from);
    let begin = std::iter::once(job.working_directory.clone().into_os_string());
    let folders = folders.iter().map(|folder| folder.clone().into_os_string());
    shell.chain(begin).chain(folders).chain(["--".into()]).chain(own()).collect()
}

impl EmbeddedDriver {
    fn host_job_group(&self, name: &str) -> Cgroup {
        Cgroup::new(&self.hierarchies, &cgroup_parent(&self.config.name), name)
    }

    /// Kills the jobs of a server that is no more.
    pub(super) async fn end_host_jobs(&self) {
        for name in self.hierarchies.groups(&cgroup_parent(&self.config.name), PREFIX) {
            end(self.host_job_group(&name)).await;
        }
    }
}

#[async_trait]
impl HostJobs for EmbeddedDriver {
    async fn run(&self, job: HostJob) -> Result<mpsc::Receiver<HostJobOutput>, DriverError> {
        let program = job.command.first().cloned().unwrap_or_default();
        let name = format!("{PREFIX}{}", InstanceId::random("job", 1));
        let group = self.host_job_group(&name);
        match spawn(&job, &group) {
            Ok((child, output)) => {
                let (sender, receiver) = mpsc::channel(64);
                tokio::spawn(follow(child, output, group, sender));
                Ok(receiver)
            }
            Err(error) => {
                end(group).await;
                Err(DriverError::Other(format!("{program} could not be started: {error}")))
            }
        }
    }
}

fn spawn(job: &HostJob, group: &Cgroup) -> io::Result<(Child, Receiver)> {
    group.create(&job.resources)?;
    if let Some(shares) = job.resources.cpu_shares {
        group.set_shares(shares)?;
    }
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let mut command = std::process::Command::new(NEW_NAMESPACES[0]);
    command.args(&NEW_NAMESPACES[1..]).arg("--").args(command_in_namespaces(job));
    command.env_clear().envs(&job.environment).current_dir(&job.working_directory);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    sys::start_in_groups(&mut command, group.entrances()?);
    let mut command = Command::from(command);
    let child = command.kill_on_drop(true).spawn()?;
    // The command holds our copies of the pipe's other end.
    drop(command);
    if let Some(pid) = child.id() {
        let _ =
            processors::spare(job.resources.spared_processors, Pid::from_raw(pid.cast_signed()));
    }
    Ok((child, Receiver::from_owned_fd(reader)?))
}

/// Passes the output on until the program has ended or nobody listens any more. A program that has
/// reached its limit of processes is killed: it would go on and get nothing done.
async fn follow(
    mut child: Child,
    mut output: Receiver,
    group: Cgroup,
    sender: mpsc::Sender<HostJobOutput>,
) {
    let mut buffer = BytesMut::new();
    let mut open = true;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let ended = loop {
        buffer.reserve(16 * 1024);
        tokio::select! {
            biased;
            () = sender.closed() => break None,
            read = output.read_buf(&mut buffer), if open => match read {
                Ok(1..) => {
                    if sender.send(HostJobOutput::Output(buffer.split().freeze())).await.is_err() {
                        break None;
                    }
                }
                _ => open = false,
            },
            status = child.wait() => break Some(status),
            _ = looks.tick() => {
                if group.ran_out_of_processes() {
                    let _ = child.start_kill();
                    break Some(child.wait().await);
                }
            }
        }
    };
    let out_of_memory = group.ran_out_of_memory();
    let out_of_processes = group.ran_out_of_processes();
    end(group).await;
    let Some(status) = ended else { return };
    // What it wrote before it ended; nobody holds the pipe open any more.
    while open && matches!(output.read_buf(&mut buffer).await, Ok(1..)) {
        if sender.send(HostJobOutput::Output(buffer.split().freeze())).await.is_err() {
            return;
        }
        buffer.reserve(16 * 1024);
    }
    let code = status.map_or(1, |status| {
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(libc::SIGKILL))
    });
    let status =
        ExitStatus { code, out_of_memory, out_of_processes, reason: None, at_ms: now_ms() };
    let _ = sender.send(HostJobOutput::Ended(status)).await;
}

/// Kills what is left in a job's group and removes it.
async fn end(group: Cgroup) {
    let ended = tokio::task::spawn_blocking(move || {
        if !group.kill_all(KILL_LIMIT) {
            tracing::error!(?group, "processes could not be killed");
        }
        group.remove();
    });
    let _ = ended.await;
}
