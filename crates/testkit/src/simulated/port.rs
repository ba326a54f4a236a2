//! A real TCP port that opens when it is told to.

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// A bound port of the loopback address. It refuses connections until it is opened; then the
/// kernel takes them up. Dropping it closes it.
pub(super) struct Port {
    socket: OwnedFd,
    pub address: SocketAddr,
}

impl Port {
    pub fn bind() -> Self {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .expect("a socket can be made");
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port is free");
        let bound: SockaddrIn = getsockname(socket.as_raw_fd()).expect("it is bound");
        Self { socket, address: SocketAddr::from((bound.ip(), bound.port())) }
    }

    pub fn open(&self) {
        listen(&self.socket, Backlog::MAXCONN).expect("a bound socket can listen");
    }
}
