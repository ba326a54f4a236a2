//! A real TCP port that opens when it is told to.

use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrIn, bind, getsockname, listen,
    shutdown, socket,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A bound port of the loopback address. It refuses connections until it is opened; then each
/// gets an answer. Dropping it closes it.
pub(super) struct Port {
    socket: OwnedFd,
    pub address: SocketAddr,
    /// Whether it answers with status 503.
    pub is_sick: Arc<AtomicBool>,
}

impl Port {
    pub fn bind() -> Self {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .expect("a socket can be made");
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port is free");
        let bound: SockaddrIn = getsockname(socket.as_raw_fd()).expect("it is bound");
        let address = SocketAddr::from((bound.ip(), bound.port()));
        Self { socket, address, is_sick: Arc::default() }
    }

    pub fn open(&self) {
        listen(&self.socket, Backlog::MAXCONN).expect("a bound socket can listen");
        let listener = TcpListener::from(self.socket.try_clone().expect("there are free numbers"));
        let is_sick = self.is_sick.clone();
        // Ends when the port is dropped: accepting from a socket that was shut down fails.
        std::thread::spawn(move || {
            while let Ok((mut connection, _)) = listener.accept() {
                // A connection that is closed with something unread is reset, and the answer with it.
                let _ = connection.set_read_timeout(Some(Duration::from_millis(100)));
                let _ = connection.read(&mut [0; 4096]);
                let status = match is_sick.load(Ordering::Relaxed) {
                    true => "503 Sick",
                    false => "204 No Content",
                };
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
                let _ = connection.write_all(answer.as_bytes());
            }
        });
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }
}
