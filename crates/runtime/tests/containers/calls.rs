//! System calls made inside a container, and what must come of them.
#![allow(unsafe_code)]

use std::io;

pub struct Call {
    pub name: &'static str,
    pub expected: &'static str,
    number: i64,
    arguments: [i64; 3],
}

const fn call(
    name: &'static str,
    number: i64,
    arguments: [i64; 3],
    expected: &'static str,
) -> Call {
    Call { name, expected, number, arguments }
}

const NO: &str = "EPERM";
const ICMP: i64 = 1;
const DATAGRAM: i64 = 2;
const STREAM: i64 = 1;
const RAW: i64 = 3;

pub const CALLS: &[Call] = &[
    call("clone3", libc::SYS_clone3, [0, 0, 0], "ENOSYS"),
    call("clone into a user namespace", libc::SYS_clone, [0x1000_0000, 0, 0], NO),
    call("clone into a mount namespace", libc::SYS_clone, [0x0002_0000, 0, 0], NO),
    call("unshare", libc::SYS_unshare, [0x1000_0000, 0, 0], NO),
    call("setns", libc::SYS_setns, [0, 0, 0], NO),
    call("keyctl", libc::SYS_keyctl, [0, 0, 0], NO),
    call("add_key", libc::SYS_add_key, [0, 0, 0], NO),
    call("bpf", libc::SYS_bpf, [0, 0, 0], NO),
    call("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0], NO),
    call("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0], NO),
    call("perf_event_open", libc::SYS_perf_event_open, [0, 0, 0], NO),
    call("mount", libc::SYS_mount, [0, 0, 0], NO),
    call("fsopen", libc::SYS_fsopen, [0, 0, 0], NO),
    call("open_by_handle_at", libc::SYS_open_by_handle_at, [0, 0, 0], NO),
    call("personality: no randomisation", libc::SYS_personality, [0x0004_0000, 0, 0], NO),
    call("personality: which", libc::SYS_personality, [0xffff_ffff, 0, 0], "works"),
    call("socket: VSOCK", libc::SYS_socket, [40, STREAM, 0], NO),
    call("socket: ALG", libc::SYS_socket, [38, 5, 0], NO),
    call("socket: raw", libc::SYS_socket, [2, RAW, ICMP], NO),
    call("socket: packet", libc::SYS_socket, [17, RAW, 0], NO),
    call("socket: ping", libc::SYS_socket, [2, DATAGRAM, ICMP], "works"),
    call("socket: TCP", libc::SYS_socket, [2, STREAM, 0], "works"),
    call("a call of the x32 ABI", 0x4000_0000 + libc::SYS_getpid, [0, 0, 0], "EPERM"),
    call("an unknown call", 9999, [0, 0, 0], NO),
];

/// Makes the calls and prints what came of them.
pub fn make() {
    for call in CALLS {
        let [a, b, c] = call.arguments;
        // SAFETY: the calls either fail or take no pointers but null.
        let result = unsafe { libc::syscall(call.number, a, b, c, 0, 0) };
        let error = io::Error::last_os_error().raw_os_error();
        let word = match (result, error) {
            (0.., _) => "works".to_owned(),
            (_, Some(libc::EPERM)) => "EPERM".to_owned(),
            (_, Some(libc::ENOSYS)) => "ENOSYS".to_owned(),
            (_, other) => format!("{other:?}"),
        };
        println!("{}: {word}", call.name);
    }
}
