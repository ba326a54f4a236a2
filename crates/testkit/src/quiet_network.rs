//! A network of its own for programs that must not see what other tests do to this machine's.

use crate::command;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{Shutdown, shutdown};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc::{self, Sender};

/// A network namespace with a loopback device and nothing else, into which single ports of this
/// machine's loopback lead. Gone when this and the programs in it are.
///
/// A browser drops what it is fetching (`ERR_NETWORK_CHANGED`) whenever an address of the machine
/// comes or goes, as that of the containers' router does with the first server and the last.
pub struct QuietNetwork {
    /// For the one thread that is in the namespace.
    work: Sender<Box<dyn FnOnce() + Send>>,
    ports: Vec<TcpListener>,
}

impl QuietNetwork {
    /// Makes one. Needs root, as the servers under test do.
    #[must_use]
    pub fn start() -> Self {
        let (work, received) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::spawn(move || received.into_iter().for_each(|work| work()));
        let network = Self { work, ports: Vec::new() };
        network.inside(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
            let mut ip = Command::new("ip");
            let _ = command::run(ip.args(["link", "set", "lo", "up"]), b"").success();
        });
        network
    }

    /// Does something in the namespace: sockets opened and programs started there belong to it.
    #[track_caller]
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::sync_channel(1);
        let work = Box::new(move || drop(done.send(work())));
        self.work.send(work).expect("nothing that was done there before has panicked");
        result.recv().expect("what is done there does not panic")
    }

    /// Lets programs inside reach what listens at `127.0.0.1:port` outside.
    pub fn lead_to(&mut self, port: u16) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener =
            self.inside(move || TcpListener::bind(address)).expect("nothing else is in there");
        self.ports.push(listener.try_clone().expect("a listener can be shared"));
        std::thread::spawn(move || {
            while let Ok((inside, _)) = listener.accept() {
                // Who asks sees it closed where nobody listens, and tells of it.
                if let Ok(outside) = TcpStream::connect(address) {
                    let _ = join(inside, outside);
                }
            }
        });
    }
}

impl Drop for QuietNetwork {
    fn drop(&mut self) {
        for port in &self.ports {
            // Ends the thread that accepts.
            let _ = shutdown(port.as_raw_fd(), Shutdown::Both);
        }
    }
}

/// Passes on both ways what arrives, the ends too.
fn join(one: TcpStream, other: TcpStream) -> io::Result<()> {
    for (mut from, mut to) in [(one.try_clone()?, other.try_clone()?), (other, one)] {
        from.set_nodelay(true)?;
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn only_the_ports_that_lead_out_are_reached() {
        if !nix::unistd::geteuid().is_root() {
            return crate::skip("only root may make a network namespace");
        }
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (led, other) = (listen(), listen());
        let mut network = QuietNetwork::start();
        network.lead_to(led.local_addr().unwrap().port());
        let connect = |listener: &TcpListener| {
            let address = listener.local_addr().unwrap();
            network.inside(move || TcpStream::connect(address))
        };
        assert!(connect(&other).is_err(), "that one is outside");
        let mut inside = connect(&led).unwrap();
        let (mut outside, _) = led.accept().unwrap();
        inside.write_all(b"question").unwrap();
        inside.shutdown(std::net::Shutdown::Write).unwrap();
        let mut asked = String::new();
        outside.read_to_string(&mut asked).unwrap();
        assert_eq!(asked, "question");
        outside.write_all(b"answer").unwrap();
        drop(outside);
        let mut answered = String::new();
        inside.read_to_string(&mut answered).unwrap();
        assert_eq!(answered, "answer");
    }
}
