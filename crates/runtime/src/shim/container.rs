//! The OCI bundle of an instance and its launch by libcontainer.

use super::init::{COMMAND_NOT_FOUND, InitExecutor, wait_for_execution};
use super::mounts::{self, USERS};
use super::{ShimError, network};
use crate::cgroup::Cgroup;
use crate::launch::{self, Launch};
use crate::sys;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use windlass_core::instance::{InstanceKind, Output};

/// Docker's default set for root, less making devices and raw sockets, with the kernel's numbers.
/// Other users have none.
const ROOT_CAPABILITIES: [(&str, u32); 12] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_FSETID", 4),
    ("CAP_FOWNER", 3),
    ("CAP_SETGID", 6),
    ("CAP_SETUID", 7),
    ("CAP_SETFCAP", 31),
    ("CAP_SETPCAP", 8),
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_KILL", 5),
    ("CAP_AUDIT_WRITE", 29),
];

const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The most files that a process of a container may open, unless the host allows fewer.
const OPEN_FILES: u64 = 10_000;

/// How readily the kernel ends the processes of a build when the whole machine is out of memory
/// (-1000 to 1000; 0 for what is served): before anything else, however little they use.
const BUILD_OOM_SCORE: i32 = 900;

/// Where programs look for the certificates that they trust, beside the system's file.
const CA_VARIABLES: [&str; 6] = [
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// Our ends of a container's standard files.
pub enum Stdio {
    /// Output and error in one pipe, which keeps their order; no input.
    Merged(OwnedFd),
    Pipes {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    Terminal(OwnedFd),
}

/// A container whose command has been executed.
pub struct Started {
    /// Its first process; our child.
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub stdio: Stdio,
}

/// Puts the container together in `directory`, the current directory, and starts it.
pub fn start(directory: &Path, launch: &Launch, cgroup: &Cgroup) -> Result<Started, ShimError> {
    let filter = crate::seccomp::load(&launch.seccomp_program)
        .map_err(ShimError::io(format!("read {:?}", launch.seccomp_program)))?;
    let network = network::enter_new_network(launch)?;
    let root = mounts::prepare(directory, launch)?;
    cgroup.create(&launch.spec.resources).map_err(ShimError::io("set the limits"))?;
    let configuration = configuration(launch, cgroup, &root);
    launch::write_json(Path::new("config.json"), &configuration)
        .map_err(ShimError::io("write config.json"))?;

    let (report, report_writer) = pipe()?;
    let executor = InitExecutor {
        filter: Rc::new(filter),
        report: Rc::new(report_writer),
        working_directory: launch.spec.working_directory.clone().into(),
    };
    let name = launch.spec.id.to_string();
    let builder = ContainerBuilder::new(name, SyscallType::default())
        .with_root_path(directory.join("state"))
        .map_err(|error| explain(&error))?
        .with_executor(executor);
    let user = launch.user_base + launch.spec.user;
    let (container, stdio) = match &launch.spec.output {
        Output::Attached { terminal: Some(size) } => {
            let path = directory.join("console.sock");
            let listener = UnixListener::bind("console.sock")
                .map_err(ShimError::io("make the console's socket"))?;
            let container = build(builder.with_console_socket(Some(path)), directory)?;
            let terminal = listener
                .accept()
                .and_then(|(socket, _)| sys::receive_file(&socket))
                .map_err(ShimError::io("receive the terminal"))?;
            sys::set_terminal_size(&terminal, *size)
                .map_err(ShimError::io("set the terminal's size"))?;
            set_non_blocking(&terminal)?;
            (container, Stdio::Terminal(terminal))
        }
        output => {
            let pipes = Pipes::new(matches!(output, Output::Attached { .. }), user)?;
            let builder = builder
                .with_stdin(pipes.inside.0)
                .with_stdout(pipes.inside.1)
                .with_stderr(pipes.inside.2);
            (build(builder, directory)?, pipes.outside)
        }
    };
    network.wait()?;
    run(container, report, stdio)
}

/// Returns the capabilities of a container's user.
pub(super) fn capabilities(user: u32) -> &'static [(&'static str, u32)] {
    if user == 0 { &ROOT_CAPABILITIES } else { &[] }
}

type Container = libcontainer::container::Container;

fn build(builder: ContainerBuilder, directory: &Path) -> Result<Container, ShimError> {
    builder
        .as_init(directory)
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(|error| explain(&error))
}

fn run(mut container: Container, report: OwnedFd, stdio: Stdio) -> Result<Started, ShimError> {
    let no_pid = || ShimError::Container("libcontainer returned no process".to_owned());
    let pid = container.pid().ok_or_else(no_pid)?.as_raw();
    let pidfd = sys::pidfd_open(pid).map_err(ShimError::io("watch the container"))?;
    container.start().map_err(|error| explain(&error))?;
    match wait_for_execution(report.as_fd()) {
        None => Ok(Started { pid, pidfd, stdio }),
        Some(message) => {
            let _ = sys::wait_child(pid);
            Err(from_container(&message))
        }
    }
}

/// Turns libcontainer's nested error into one sentence.
fn explain(error: &LibcontainerError) -> ShimError {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = inner.source();
    }
    from_container(&message)
}

pub(super) fn from_container(message: &str) -> ShimError {
    match message.split_once(COMMAND_NOT_FOUND) {
        Some((_, command)) => ShimError::CommandNotFound(command.trim_end_matches('"').to_owned()),
        None => ShimError::Container(message.to_owned()),
    }
}

pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), ShimError> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(ShimError::io("make a pipe"))
}

pub(super) fn set_non_blocking(file: &OwnedFd) -> Result<(), ShimError> {
    fcntl(file.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map(drop)
        .map_err(ShimError::io("set a pipe non-blocking"))
}

pub(super) struct Pipes {
    pub inside: (OwnedFd, OwnedFd, OwnedFd),
    pub outside: Stdio,
}

impl Pipes {
    /// Makes the pipes of a container. They belong to its user, who may thus open `/dev/stdout`.
    pub fn new(attached: bool, user: u32) -> Result<Self, ShimError> {
        let (stdout, inner_stdout) = pipe()?;
        set_non_blocking(&stdout)?;
        give(&inner_stdout, user)?;
        if !attached {
            let null = File::open("/dev/null").map_err(ShimError::io("open /dev/null"))?;
            let inner_stderr = inner_stdout.try_clone().map_err(ShimError::io("copy a pipe"))?;
            let inside = (null.into(), inner_stdout, inner_stderr);
            return Ok(Self { inside, outside: Stdio::Merged(stdout) });
        }
        let (stderr, inner_stderr) = pipe()?;
        let (inner_stdin, stdin) = pipe()?;
        for file in [&stderr, &stdin] {
            set_non_blocking(file)?;
        }
        for file in [&inner_stderr, &inner_stdin] {
            give(file, user)?;
        }
        let inside = (inner_stdin, inner_stdout, inner_stderr);
        Ok(Self { inside, outside: Stdio::Pipes { stdin, stdout, stderr } })
    }
}

fn give(pipe: &OwnedFd, user: u32) -> Result<(), ShimError> {
    let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(user)));
    nix::unistd::fchown(pipe.as_raw_fd(), user, group)
        .map_err(ShimError::io("give a pipe to the container's user"))
}

/// Returns the environment as `NAME=value`, with what every program needs and `more`.
pub(super) fn environment(launch: &Launch, more: &BTreeMap<String, String>) -> Vec<String> {
    let mut variables = launch.spec.environment.clone();
    variables.extend(more.clone());
    variables.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    if launch.spec.labels.kind == InstanceKind::Build && launch.ca_bundle.is_some() {
        for name in CA_VARIABLES {
            let path = mounts::ca_bundle_path(launch.spec.user);
            variables.entry(name.to_owned()).or_insert_with(|| path.to_owned());
        }
    }
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Returns how many files a process may open: never above the host's limit, since raising one
/// needs a privilege that nested hosts lack.
pub(super) fn open_files() -> u64 {
    use nix::sys::resource::{Resource, getrlimit};
    OPEN_FILES.min(getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard))
}

/// No core files: they would fill the disk.
fn process_limits() -> Value {
    let files = open_files();
    json!([
        {"type": "RLIMIT_NOFILE", "soft": files, "hard": files},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ])
}

fn system_mounts() -> Vec<Value> {
    let mount = |target: &str, kind: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
    vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=64k"]),
        mount(
            "/dev/pts",
            "devpts",
            // The only users of these terminals are this container's.
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0666"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]),
    ]
}

/// Returns the OCI runtime configuration. Not in it are binds, which are in the root already;
/// limits, which [`Cgroup`] sets; and the system call filter, which libcontainer would ignore:
/// [`InitExecutor`] applies it.
fn configuration(launch: &Launch, cgroup: &Cgroup, root: &Path) -> Value {
    let spec = &launch.spec;
    let capabilities: Vec<_> = capabilities(spec.user).iter().map(|(name, _)| *name).collect();
    let mapping = json!([{"containerID": 0, "hostID": launch.user_base, "size": USERS}]);
    let terminal = matches!(spec.output, Output::Attached { terminal: Some(_) });
    let namespaces: Vec<_> = ["pid", "mount", "uts", "ipc", "cgroup", "user"]
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    json!({
        "ociVersion": "1.0.2",
        "hostname": spec.id,
        "root": {"path": root, "readonly": false},
        "mounts": system_mounts(),
        "process": {
            "terminal": terminal,
            "user": {"uid": spec.user, "gid": spec.group.unwrap_or(spec.user)},
            "args": spec.command,
            "cwd": "/",
            "env": environment(launch, &BTreeMap::new()),
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "noNewPrivileges": true,
            "oomScoreAdj": (spec.labels.kind == InstanceKind::Build).then_some(BUILD_OOM_SCORE),
            "rlimits": process_limits(),
        },
        "linux": {
            "namespaces": namespaces,
            "uidMappings": mapping,
            "gidMappings": mapping,
            "cgroupsPath": cgroup.absolute_path(),
            "maskedPaths": MASKED_PATHS,
            "readonlyPaths": READ_ONLY_PATHS,
        },
    })
}
