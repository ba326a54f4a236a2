//! `windlass shim exec`: one small process per command that is run beside an instance's own
//! processes. It starts the command in the container, forwards its standard files, and kills all
//! that the command has left when it ends or its socket is closed.
//!
//! It is a process of its own, and not the instance's shim, so that it works for instances whose
//! shim is older than the server, and so that nothing that goes wrong here harms the instance.

use super::container::{self, Pipes, Stdio, environment, from_container, pipe, set_non_blocking};
use super::init::wait_for_execution;
use super::join::{Inside, Join};
use super::{ShimError, attached, send_report};
use crate::cgroup::Cgroup;
use crate::frame::{self, Decoder, Kind};
use crate::launch::{self, ExecRequest, Launch, Report, Status};
use crate::sys::{self, Fork};
use nix::sched::CloneFlags;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use windlass_core::instance::ExitStatus;

/// The word after `shim` that runs a command.
pub const EXEC: &str = "exec";

/// How long the driver may take to say what to run.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long the kernel may take to get rid of killed processes.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Runs the shim of one command: `<program> shim exec <the instance's directory>`. Must be called
/// before the process has started any thread. Standard input is the socket to the driver.
pub fn exec_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        eprintln!("windlass shim {EXEC} is started by the server; it cannot be used by hand");
        return ExitCode::from(2);
    };
    match run(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{EXEC}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<(), ShimError> {
    let _ = nix::unistd::setsid();
    sys::ignore_termination_signals();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // Inherited by what goes into the container, whose programs must not look into it.
    nix::sys::prctl::set_dumpable(false).map_err(ShimError::io("hide"))?;
    let driver = take_socket().map_err(ShimError::io("take over the driver's socket"))?;
    let request = read_request(&driver).map_err(ShimError::io("read what to run"))?;
    let launch: Launch = launch::read_json(&directory.join(launch::LAUNCH_FILE))
        .map_err(ShimError::io(format!("read {}/{}", directory.display(), launch::LAUNCH_FILE)))?;
    let cgroup = Cgroup::new(&launch.hierarchies, &launch.cgroup_parent, launch.spec.id.as_str());
    launch.hierarchies.leave_service(&launch.cgroup_parent);
    let group = cgroup.of_command(&request.group);
    match start(directory, &launch, &cgroup, &request) {
        Ok(started) => supervise(&cgroup, &group, driver, started),
        Err(error) => {
            end(&group);
            let reason = error.to_string();
            let report = match error {
                ShimError::CommandNotFound(_) => Report::CommandNotFound { reason },
                _ => Report::Failed { reason },
            };
            send_report(&driver, &report);
        }
    }
    Ok(())
}

fn take_socket() -> io::Result<UnixStream> {
    let driver = UnixStream::from(sys::copy_standard_file(0)?);
    let null = std::fs::File::open("/dev/null")?;
    sys::replace_file(null.as_fd(), 0)?;
    Ok(driver)
}

fn read_request(mut driver: &UnixStream) -> io::Result<ExecRequest> {
    driver.set_read_timeout(Some(REQUEST_LIMIT))?;
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4096];
    loop {
        match decoder.next().map_err(io::Error::other)? {
            Some((Kind::Request, payload)) => return Ok(serde_json::from_slice(&payload)?),
            Some((kind, _)) => return Err(io::Error::other(format!("{kind:?} came first"))),
            None => {}
        }
        // No more than the request is on its way: the driver waits for the report.
        match driver.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => decoder.push(&buffer[..length]),
        }
    }
}

/// Finds the container's first process. Its number is only trusted if it is a member of the
/// instance's group: it may have been given to another process meanwhile.
fn find_init(directory: &Path, cgroup: &Cgroup) -> Result<(i32, OwnedFd), ShimError> {
    let ended = || ShimError::Container("the instance has ended".to_owned());
    let status: Status = launch::read_json(&directory.join(launch::STATUS_FILE))
        .map_err(ShimError::io("read status.json"))?;
    let Status::Running { pid, .. } = status else { return Err(ended()) };
    let init = sys::pidfd_open(pid).map_err(|_| ended())?;
    if cgroup.processes().contains(&pid) { Ok((pid, init)) } else { Err(ended()) }
}

fn start(
    directory: &Path,
    launch: &Launch,
    cgroup: &Cgroup,
    request: &ExecRequest,
) -> Result<container::Started, ShimError> {
    let filter = crate::seccomp::load(&launch.seccomp_program)
        .map_err(ShimError::io(format!("read {:?}", launch.seccomp_program)))?;
    let (init_pid, init) = find_init(directory, cgroup)?;
    let oom_score =
        std::fs::read_to_string(format!("/proc/{init_pid}/oom_score_adj")).unwrap_or_default();
    let (_, entrances) = cgroup
        .create_for_command(&request.group)
        .map_err(ShimError::io("make a group for the command"))?;
    let (report, report_writer) = pipe()?;
    let (inside, outside) = match request.terminal {
        Some(size) => {
            let (socket, theirs) =
                UnixStream::pair().map_err(ShimError::io("make a pair of sockets"))?;
            (Inside::Terminal(theirs, size), Err(socket))
        }
        None => {
            let pipes = Pipes::new(true, launch.user_base + launch.spec.user)?;
            let (stdin, stdout, stderr) = pipes.inside;
            (Inside::Pipes(stdin, stdout, stderr), Ok(pipes.outside))
        }
    };
    let join = Join {
        launch,
        init: &init,
        oom_score: oom_score.trim(),
        entrances: &entrances,
        filter: &filter,
        command: &request.command,
        environment: &environment(launch, &request.environment),
        inside: &inside,
        report: &report_writer,
    };
    // For children only: this process stays on the host.
    sys::join_namespaces(&init, CloneFlags::CLONE_NEWPID)
        .map_err(ShimError::io("join the instance"))?;
    let pid = match sys::fork().map_err(ShimError::io("start a process in the instance"))? {
        Fork::Child => join.run(),
        Fork::Parent(pid) => pid,
    };
    drop((inside, report_writer, entrances));
    let pidfd = sys::pidfd_open(pid).map_err(ShimError::io("watch the command"))?;
    // Without a terminal the report says why.
    let terminal = outside.or_else(|socket| sys::receive_file(&socket).map(Stdio::Terminal));
    if let Some(message) = wait_for_execution(report.as_fd()) {
        let _ = sys::wait_child(pid);
        return Err(from_container(&message));
    }
    let stdio = terminal.map_err(ShimError::io("receive the terminal"))?;
    if let Stdio::Terminal(terminal) = &stdio {
        set_non_blocking(terminal)?;
    }
    Ok(container::Started { pid, pidfd, stdio })
}

/// Ends every process of the command that is left.
fn end(group: &Cgroup) {
    let _ = group.kill_all(KILL_LIMIT);
    group.remove();
}

fn supervise(instance: &Cgroup, group: &Cgroup, driver: UnixStream, started: container::Started) {
    let before = (instance.ran_out_of_memory(), instance.ran_out_of_processes());
    send_report(&driver, &Report::Running { started_at_ms: launch::now_ms() });
    sys::trim_memory();
    let container::Started { pid, pidfd, stdio } = started;
    let Ok(mut last_words) = driver.try_clone() else { return end(group) };
    let kill_others = || {
        let _ = group.kill_all(KILL_LIMIT);
    };
    let reason = attached::forward(pid, &pidfd, stdio, driver, kill_others);
    let code = sys::wait_child(pid).unwrap_or(128 + libc::SIGKILL);
    let killed = code == 128 + libc::SIGKILL;
    let out_of_memory = killed && !before.0 && instance.ran_out_of_memory();
    // Version 1 counts in the group of who is refused, version 2 in the one with the limit.
    let out_of_processes =
        group.ran_out_of_processes() || (!before.1 && instance.ran_out_of_processes());
    end(group);
    let at_ms = launch::now_ms();
    let status = ExitStatus { code, out_of_memory, out_of_processes, reason, at_ms };
    let mut bytes = Vec::new();
    let payload = serde_json::to_vec(&status).unwrap_or_default();
    frame::encode_into(&mut bytes, Kind::Exited, &payload);
    let _ = last_words.set_nonblocking(false);
    let _ = last_words.set_write_timeout(Some(REQUEST_LIMIT));
    let _ = last_words.write_all(&bytes);
}
