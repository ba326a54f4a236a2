//! What a process does to itself before it executes a command inside a container.

use super::{check, owned};
use nix::sched::CloneFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// The second version of the kernel's capability structures, of two words each.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Higher numbers are unknown to every kernel there is.
const LAST_CAPABILITY: u32 = 63;

/// Closes every file of this process but these and the standard ones.
///
/// Only for a process that ends or executes a program without dropping anything that it owned
/// before: what it owned is closed.
pub fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.retain(|fd| *fd > 2);
    kept.sort_unstable();
    let mut first = 3;
    for end in kept.into_iter().chain([u32::MAX]) {
        if first < end {
            // SAFETY: takes integers; the caller does not use what is closed.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, end - 1, 0u32) })?;
        }
        first = end.saturating_add(1);
    }
    Ok(())
}

/// Moves this process into the namespaces of another one, all at once: what it may do in the
/// others is decided before it gives up its rights on the host.
pub fn join_namespaces(process: &OwnedFd, namespaces: CloneFlags) -> io::Result<()> {
    Ok(nix::sched::setns(process, namespaces)?)
}

/// Takes from this process, and from all that it will execute, every capability whose number is
/// not given. Must be called while it may still do so in its user namespace.
pub fn limit_capabilities(kept: &[u32]) -> io::Result<()> {
    for number in (0..=LAST_CAPABILITY).filter(|number| !kept.contains(number)) {
        // SAFETY: takes integers.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        match check(dropped.into()) {
            // The kernel knows no more.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Sets the capabilities that this process has now; it can pass none on to programs by itself.
pub fn set_capabilities(numbers: &[u32]) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        process: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Word {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // SAFETY: takes integers.
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    }))?;
    let mut words = [Word::default(); 2];
    for number in numbers {
        if let Some(word) = words.get_mut((number / 32) as usize) {
            word.effective |= 1 << (number % 32);
            word.permitted |= 1 << (number % 32);
        }
    }
    let header = Header { version: CAPABILITY_VERSION, process: 0 };
    // SAFETY: both have the kernel's layout for this version and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) })
}

/// Opens the other end of a terminal without looking up a path, which the container could have
/// put something else at.
pub fn open_terminal_peer(terminal: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes integers.
    let peer = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    owned(peer.into())
}

/// Lets the other end of a new terminal be opened.
pub fn unlock_terminal(terminal: &OwnedFd) -> io::Result<()> {
    let locked: libc::c_int = 0;
    // SAFETY: the integer is what this request reads and outlives the call.
    check(libc::c_long::from(unsafe {
        libc::ioctl(terminal.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked)
    }))
}

/// Makes a terminal the one that controls this session, which has none.
pub fn take_terminal(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: takes integers.
    check(libc::c_long::from(unsafe {
        libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0)
    }))
}

/// Sends a file to the peer of a connected Unix socket, for [`super::receive_file`].
pub fn send_file(socket: impl AsFd, file: &OwnedFd) -> io::Result<()> {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let files = [file.as_raw_fd()];
    let data = [io::IoSlice::new(b"t")];
    let control = [ControlMessage::ScmRights(&files)];
    let socket = socket.as_fd().as_raw_fd();
    sendmsg::<()>(socket, &data, &control, MsgFlags::empty(), None)?;
    Ok(())
}
