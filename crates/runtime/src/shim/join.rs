//! The process that goes into a container that runs and executes a command there.
//!
//! What others had to learn holds here: it closes all files of the host before it goes in
//! (CVE-2024-21626, where a working directory behind one led out), programs inside can neither
//! trace it nor read its files, since it is not dumpable and stays so until it executes the
//! command, and the program that it runs until then is a sealed copy (CVE-2019-5736). Paths of the
//! container are looked up only after it has become the container's user.

use super::container::{capabilities, open_files};
use super::init::{COMMAND_NOT_FOUND, find_program};
use crate::launch::Launch;
use crate::sys;
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use seccompiler::BpfProgram;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use windlass_core::instance::TerminalSize;

/// The number of the device that makes terminals, as the kernel writes it: major 5, minor 2.
const TERMINAL_MAKER: u64 = 0x502;

/// More of `/etc/passwd` is not read, in bytes.
const ACCOUNTS_BYTES: u64 = 1 << 20;

/// What the command gets as its standard files.
pub enum Inside {
    Pipes(OwnedFd, OwnedFd, OwnedFd),
    /// A new terminal of the container, whose other end is sent over the socket.
    Terminal(UnixStream, TerminalSize),
}

/// Everything that is needed inside, read before.
pub struct Join<'a> {
    pub launch: &'a Launch,
    /// The container's first process.
    pub init: &'a OwnedFd,
    /// How readily the kernel ends it when memory runs out: as the container's first process.
    pub oom_score: &'a str,
    pub entrances: &'a [File],
    pub filter: &'a BpfProgram,
    pub command: &'a [String],
    /// `NAME=value`
    pub environment: &'a [String],
    pub inside: &'a Inside,
    /// Written to if the command cannot be executed; closed by its execution.
    pub report: &'a OwnedFd,
}

/// What failed, in words.
type Failure = String;

fn failed<E: std::fmt::Display>(action: &str) -> impl FnOnce(E) -> Failure {
    move |error| format!("{action}: {error}")
}

impl Join<'_> {
    /// Runs the command in place of this process, a child of the shim in the container's process
    /// namespace.
    pub fn run(&self) -> ! {
        let Err(why) = self.enter().and_then(|()| self.execute());
        let _ = nix::unistd::write(self.report, why.as_bytes());
        sys::exit_now(127)
    }

    fn enter(&self) -> Result<(), Failure> {
        // Allowed to be refused: lowering it needs a privilege.
        let _ = std::fs::write("/proc/self/oom_score_adj", self.oom_score);
        for group in self.entrances {
            let mut group: &File = group;
            group.write_all(b"0").map_err(failed("enter the instance's group"))?;
        }
        self.close_files().map_err(failed("close the host's files"))?;
        let namespaces = CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        sys::join_namespaces(self.init, namespaces).map_err(failed("join the instance"))?;
        self.become_user()
    }

    fn close_files(&self) -> io::Result<()> {
        let mut kept = vec![self.init.as_raw_fd(), self.report.as_raw_fd()];
        match self.inside {
            Inside::Pipes(stdin, stdout, stderr) => {
                kept.extend([stdin, stdout, stderr].map(AsRawFd::as_raw_fd));
            }
            Inside::Terminal(socket, _) => kept.push(socket.as_raw_fd()),
        }
        sys::close_all_but(&kept)
    }

    /// Gives up everything that the container's own processes do not have.
    fn become_user(&self) -> Result<(), Failure> {
        let spec = &self.launch.spec;
        let numbers: Vec<u32> = capabilities(spec.user).iter().map(|(_, n)| *n).collect();
        let files = open_files();
        setrlimit(Resource::RLIMIT_NOFILE, files, files).map_err(failed("limit open files"))?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed("limit core files"))?;
        sys::limit_capabilities(&numbers).map_err(failed("drop capabilities"))?;
        let (user, group) =
            (Uid::from_raw(spec.user), Gid::from_raw(spec.group.unwrap_or(spec.user)));
        setgroups(&[]).map_err(failed("drop groups"))?;
        setresgid(group, group, group).map_err(failed("become the group"))?;
        setresuid(user, user, user).map_err(failed("become the user"))?;
        sys::set_capabilities(&numbers).map_err(failed("drop capabilities"))?;
        nix::sys::prctl::set_no_new_privs().map_err(failed("drop privileges"))?;
        nix::sys::prctl::set_dumpable(false).map_err(failed("hide"))?;
        // Its group is killed when its shim ends; this is for when shim and server are killed.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(failed("be bound to the shim"))
    }

    fn execute(&self) -> Result<std::convert::Infallible, Failure> {
        let directory = &self.launch.spec.working_directory;
        nix::unistd::chdir(directory.as_str())
            .map_err(failed(&format!("enter the working directory {directory:?}")))?;
        // Refused by the kernel for a directory outside of this root.
        std::env::current_dir().map_err(failed("the working directory is not in the image"))?;
        nix::unistd::setsid().map_err(failed("make a session"))?;
        self.take_standard_files().map_err(failed("make the terminal"))?;

        let program = self.command.first().map_or("", String::as_str);
        let path = self.environment.iter().rev().find_map(|v| v.strip_prefix("PATH="));
        let program = find_program(program, path.unwrap_or_default())
            .map_err(|why| format!("{COMMAND_NOT_FOUND}{why}"))?;
        let program = c_string(&program.to_string_lossy())?;
        let arguments = c_strings(self.command)?;
        let mut environment = c_strings(self.environment)?;
        if !self.environment.iter().any(|variable| variable.starts_with("HOME=")) {
            let home = home_of(self.launch.spec.user).unwrap_or_else(|| "/".to_owned());
            environment.push(c_string(&format!("HOME={home}"))?);
        }
        sys::reset_signals();
        // Fails for an empty filter too.
        seccompiler::apply_filter(self.filter).map_err(failed("filter system calls"))?;
        nix::unistd::execve(&program, &arguments, &environment)
            .map_err(|error| format!("{COMMAND_NOT_FOUND}{}: {error}", self.command[0]))
    }

    fn take_standard_files(&self) -> io::Result<()> {
        let files = match self.inside {
            Inside::Pipes(stdin, stdout, stderr) => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            Inside::Terminal(socket, size) => {
                let terminal = open_terminal(socket, *size)?;
                for number in 0..3 {
                    sys::replace_file(terminal.as_fd(), number)?;
                }
                return Ok(());
            }
        };
        for (number, file) in (0..).zip(files) {
            sys::replace_file(file, number)?;
        }
        Ok(())
    }
}

/// Makes a terminal of the container's, sends its outer end to the shim, and returns the inner
/// one, which controls this session.
fn open_terminal(shim: &UnixStream, size: TerminalSize) -> io::Result<OwnedFd> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NOFOLLOW);
    let maker = options.open("/dev/pts/ptmx")?;
    let found = maker.metadata()?;
    if !found.file_type().is_char_device() || found.rdev() != TERMINAL_MAKER {
        return Err(io::Error::other("/dev/pts/ptmx makes no terminals"));
    }
    let outer = OwnedFd::from(maker);
    sys::unlock_terminal(&outer)?;
    sys::set_terminal_size(&outer, size)?;
    let inner = sys::open_terminal_peer(&outer)?;
    sys::take_terminal(&inner)?;
    sys::send_file(shim, &outer)?;
    Ok(inner)
}

/// Returns the home directory of a user inside, as libcontainer gives it to the first process. The
/// C library is not asked: it would load plug-ins of the container.
fn home_of(user: u32) -> Option<String> {
    let mut accounts = String::new();
    File::open("/etc/passwd").ok()?.take(ACCOUNTS_BYTES).read_to_string(&mut accounts).ok()?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|f| f.get(2).and_then(|n| n.parse().ok()) == Some(user));
    found?.get(5).map(ToString::to_string)
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, Failure> {
    texts.iter().map(|text| c_string(text)).collect()
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| format!("{text:?} has a zero byte"))
}
