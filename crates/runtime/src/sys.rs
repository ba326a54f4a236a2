//! The system calls that have no safe wrapper: all `unsafe` of Windlass is in this file.
#![allow(unsafe_code)]

mod join;
mod storage;

pub use join::*;
pub use storage::*;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use windlass_core::instance::TerminalSize;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// What [`fork`] returned in: the new process, or its parent with the new process's identifier.
pub enum Fork {
    Child,
    Parent(libc::pid_t),
}

/// Turns the result of a raw system call into an owned file descriptor.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Returns a descriptor that becomes readable when process `pid` ends.
pub fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Returns a detached copy of the mount at `path`, with or without the mounts below it.
pub fn clone_mount(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let deep = if recursive { AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | deep | libc::O_CLOEXEC as libc::c_uint;
    // SAFETY: the path is a C string that outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// What [`change_mount`] changes.
#[derive(Default)]
pub struct MountChange<'a> {
    /// Show owners through the mapping of this user namespace.
    pub owners: Option<&'a OwnedFd>,
    pub read_only: bool,
    /// Ignore devices and set-user-id bits.
    pub restricted: bool,
}

/// Changes a detached mount.
pub fn change_mount(mount: &OwnedFd, change: &MountChange<'_>) -> io::Result<()> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let flags = [
        (change.read_only, MOUNT_ATTR_RDONLY),
        (change.restricted, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
        (change.owners.is_some(), MOUNT_ATTR_IDMAP),
    ];
    let attributes = MountAttributes {
        set: flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).sum(),
        clear: 0,
        propagation: 0,
        user_namespace: change.owners.map_or(0, |file| file.as_raw_fd() as u64),
    };
    // SAFETY: the structure has the kernel's layout, its size is passed and it outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    })
}

/// Attaches a detached mount on an opened file or directory.
pub fn attach_mount(mount: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    // SAFETY: both paths are C strings that outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })
}

/// Forks. The child shares nothing that can be broken only if this process has one thread.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: only called by the shim and by a container's first process, which have one thread:
    // no lock can be held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Makes the program that `command` starts move itself into the groups whose `cgroup.procs` are
/// given, before it does anything else.
pub fn start_in_groups(command: &mut std::process::Command, groups: Vec<std::fs::File>) {
    use std::os::unix::process::CommandExt;
    let enter = move || {
        for group in &groups {
            // SAFETY: the buffer outlives the call, and the descriptor is open.
            let written = unsafe { libc::write(group.as_raw_fd(), c"0".as_ptr().cast(), 1) };
            check(libc::c_long::try_from(written).unwrap_or(-1))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes plain system calls only and allocates nothing.
    unsafe { command.pre_exec(enter) };
}

/// Ends this process at once, without running destructors or exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Waits for a signal, for ever.
pub fn pause_for_ever() -> ! {
    loop {
        // SAFETY: has no arguments.
        unsafe { libc::pause() };
    }
}

/// Waits until any child has ended. Returns its identifier and its exit code (128 + signal).
pub fn wait_any_child() -> io::Result<(libc::pid_t, i32)> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok((pid, exit_code(status))) }
}

/// Reaps child `pid`, which has ended or is about to. Returns its exit code (128 + signal).
pub fn wait_child(pid: libc::pid_t) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } >= 0 {
            return Ok(exit_code(status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn exit_code(status: libc::c_int) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// Makes this process ignore the signals that a terminal or a service manager sends.
pub fn ignore_termination_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: installs no handler, only the disposition "ignore".
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives every signal its default disposition and unblocks all, as a program expects at its start.
pub fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: installs no handler; refused for signals that cannot be changed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is used and outlives the calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Closes every file of this process, those it has forgotten included. Nothing may use a
/// descriptor afterwards.
pub fn close_all_files() {
    // SAFETY: only called by a container's first process, which then owns nothing and only waits.
    unsafe { libc::syscall(libc::SYS_close_range, 0u32, u32::MAX, 0u32) };
}

/// Makes `file` descriptor number `number` of this process, in place of what was there.
pub fn replace_file(file: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: takes two integers; the callers pass 0, 1 and 2, which no Rust object owns.
    check(libc::c_long::from(unsafe { libc::dup2(file.as_raw_fd(), number) }))
}

/// Returns a close-on-exec copy of standard descriptor `number`, numbered 10 or higher.
pub fn copy_standard_file(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes integers.
    owned(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10) }))
}

/// Sets the name that `ps` shows for this process, at most 15 bytes.
pub fn set_process_name(name: &CStr) {
    // SAFETY: the kernel copies at most 16 bytes of a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Sets the size of a terminal; its foreground processes get SIGWINCH.
pub fn set_terminal_size(terminal: impl AsFd, size: TerminalSize) -> io::Result<()> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = terminal.as_fd().as_raw_fd();
    // SAFETY: the structure is what this request reads and outlives the call.
    check(libc::c_long::from(unsafe { libc::ioctl(terminal, libc::TIOCSWINSZ, &raw const size) }))
}

/// Opens a file or directory below `root`, whose symbolic links cannot lead out of it.
pub fn open_in_root(root: &OwnedFd, path: &Path, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    const RESOLVE_IN_ROOT: u64 = 0x10;
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: u64::from(mode),
        resolve: RESOLVE_IN_ROOT,
    };
    let path = c_path(path)?;
    // SAFETY: the structure has the kernel's layout, its size is passed, and both outlive the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    })
}

/// Returns freed memory to the system: a shim lives long and needs little after its start.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes an integer; the shim has one thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Receives the one file that the peer of a connected Unix socket sends.
pub fn receive_file(socket: impl AsFd) -> io::Result<OwnedFd> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
    let mut byte = [0; 64];
    let mut data = [io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<UnixAddr>(socket, &mut data, Some(&mut space), flags)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(files) = control
            && let Some(file) = files.first()
        {
            // SAFETY: the kernel has just made this descriptor for us.
            return Ok(unsafe { OwnedFd::from_raw_fd(*file) });
        }
    }
    Err(io::Error::other("the peer sent no file"))
}

/// Lets the asynchronous runtime say when `file` becomes readable.
pub fn watch_readable(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open for as long as it lives and never changes its number.
    unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }.map_err(io::Error::from)
}
