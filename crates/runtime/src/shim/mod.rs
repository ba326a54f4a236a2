//! `windlass shim`: one small process per instance. It puts the container together, holds its
//! pipes, writes its log, reaps it and records how it ended. It needs no server while it runs.
//!
//! It has one thread, always: libcontainer clones without the C library's fork handlers, so a
//! second thread that holds the allocator's lock at that moment would hang the container.

mod attached;
mod container;
mod exec;
mod init;
mod join;
mod log_writer;
mod mounts;
mod network;
mod output;
mod root;

pub use exec::EXEC;
pub use mounts::USERS;
pub use network::{GATEWAY, HARDWARE_ADDRESS, remove_gateway};

use crate::cgroup::Cgroup;
use crate::frame::{self, Kind};
use crate::launch::{self, Launch, Report, Status};
use crate::processors;
use crate::sys;
use container::Stdio;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use windlass_core::instance::{ExitStatus, Output};

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error("{0}")]
    CommandNotFound(String),
    #[error("{action}: {source}")]
    Io { action: String, source: io::Error },
    #[error("{0}")]
    Container(String),
}

impl ShimError {
    /// Returns a function that says what was being done when an input/output error came.
    fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source: source.into() }
    }
}

/// Runs the shim of one instance; `arguments` are those after `shim`. Must be called before the
/// process has started any thread. Standard input is the socket to the driver and standard
/// output the instance's lock file, locked.
pub fn shim_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        eprintln!("windlass shim is started by the server; it cannot be used by hand");
        return ExitCode::from(2);
    };
    if directory.as_os_str() == crate::volume::copy::COPY {
        return crate::volume::copy::copy_main(arguments);
    }
    if directory.as_os_str() == EXEC {
        return exec::exec_main(arguments);
    }
    match run(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the shim keeps of its standard files, as close-on-exec copies that no container inherits.
struct Inherited {
    driver: UnixStream,
    /// Keeps the lock for the life of the process.
    _lock: OwnedFd,
}

fn take_standard_files() -> io::Result<Inherited> {
    let driver = UnixStream::from(sys::copy_standard_file(0)?);
    let lock = sys::copy_standard_file(1)?;
    let mut lock_file = std::fs::File::from(lock.try_clone()?);
    lock_file.write_all(std::process::id().to_string().as_bytes())?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    sys::replace_file(std::os::fd::AsFd::as_fd(&null), 0)?;
    sys::replace_file(std::os::fd::AsFd::as_fd(&null), 1)?;
    Ok(Inherited { driver, _lock: lock })
}

fn run(directory: &Path) -> Result<(), ShimError> {
    let _ = nix::unistd::setsid();
    sys::ignore_termination_signals();
    // The server's may be stricter; programs in containers expect the usual one.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let inherited = take_standard_files().map_err(ShimError::io("take over the driver's files"))?;
    let action = format!("enter {}", directory.display());
    nix::unistd::chdir(directory).map_err(ShimError::io(action))?;
    let launch: Launch = launch::read_json(Path::new(launch::LAUNCH_FILE))
        .map_err(ShimError::io(format!("read {}/{}", directory.display(), launch::LAUNCH_FILE)))?;
    let cgroup = Cgroup::new(&launch.hierarchies, &launch.cgroup_parent, launch.spec.id.as_str());
    launch.hierarchies.leave_service(&launch.cgroup_parent);

    // Inherited by all that is started. A program may undo it for itself, as far as the kernel lets
    // it: it is no limit against an attacker, whom weights and quotas keep in bounds.
    let _ = processors::spare(launch.spec.resources.spared_processors, Pid::this());

    match container::start(directory, &launch, &cgroup) {
        Ok(started) => supervise(&launch, &cgroup, inherited.driver, started),
        Err(error) => {
            let _ = cgroup.kill_all(Duration::from_secs(2));
            cgroup.remove();
            let reason = error.to_string();
            let report = match error {
                ShimError::CommandNotFound(_) => Report::CommandNotFound { reason },
                _ => Report::Failed { reason },
            };
            send_report(&inherited.driver, &report);
            Ok(())
        }
    }
}

/// Tells the driver how the start went. A driver that went away meanwhile reads `status.json`.
fn send_report(mut driver: &UnixStream, report: &Report) {
    let mut bytes = Vec::new();
    let payload = serde_json::to_vec(report).unwrap_or_default();
    frame::encode_into(&mut bytes, Kind::Report, &payload);
    let _ = driver.write_all(&bytes);
}

fn supervise(
    launch: &Launch,
    cgroup: &Cgroup,
    driver: UnixStream,
    started: container::Started,
) -> Result<(), ShimError> {
    let started_at_ms = launch::now_ms();
    let status_file = Path::new(launch::STATUS_FILE);
    launch::write_json(status_file, &Status::Running { pid: started.pid, started_at_ms })
        .map_err(ShimError::io("write status.json"))?;
    send_report(&driver, &Report::Running { started_at_ms });
    if let Some(shares) = launch.spec.resources.cpu_shares {
        let _ = cgroup.set_shares(shares);
    }
    // After the container's start, which would have inherited it. Needs a privilege that nested
    // hosts lack; without it the kernel may pick the shim when memory runs out.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-500");
    sys::trim_memory();

    let pid = started.pid;
    let reason = match (&launch.spec.output, started.stdio) {
        (Output::Log { file, source }, Stdio::Merged(output)) => {
            drop(driver);
            let writer = log_writer::LogWriter::new(file, source);
            output::copy_to_log(&started.pidfd, output, writer);
            None
        }
        // The first process of a process namespace takes all others with it.
        (_, stdio) => attached::forward(pid, &started.pidfd, stdio, driver, || {}),
    };
    let code = sys::wait_child(pid).unwrap_or(128 + libc::SIGKILL);
    let out_of_memory = cgroup.ran_out_of_memory();
    let out_of_processes = cgroup.ran_out_of_processes();
    let _ = cgroup.kill_all(Duration::from_secs(5));
    let status =
        ExitStatus { code, out_of_memory, out_of_processes, reason, at_ms: launch::now_ms() };
    launch::write_json(status_file, &Status::Exited { started_at_ms, status })
        .map_err(ShimError::io("write status.json"))?;
    cgroup.remove();
    Ok(())
}
