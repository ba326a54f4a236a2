//! The container's network: a namespace of its own and a routed pair of virtual Ethernet devices.
//!
//! No bridge: the host has a route to the one address of each instance. The host's ends have no
//! addresses: browsers drop what they load when an address of their machine comes or goes, and
//! containers come and go with each deploy. Their router's address is on the loopback device, once
//! for all. Nothing keeps the
//! namespace alive but the processes in it, so the kernel removes devices and routes when they
//! are gone, even after `kill -9`.

use super::ShimError;
use crate::launch::Launch;
use crate::netlink::{HardwareAddress, Netlink, Peer, Route, SCOPE_LINK, SCOPE_UNIVERSE};
use crate::sys::{self, Fork};
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What every container sees as its router: an address of the host's loopback device.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Each host end has this one. What it is does not matter where there is only one other end, which
/// knows it and asks nobody: a host may be told not to answer on one device for another's address.
pub const HARDWARE_ADDRESS: HardwareAddress = [0xee; 6];

/// The first device of every network namespace.
const LOOPBACK: u32 = 1;

/// How long the device of the address's last user may take to go away.
const NAME_TAKEN_LIMIT: Duration = Duration::from_secs(2);

/// A network that a child of this process is putting in place.
pub struct PendingNetwork {
    child: libc::pid_t,
    error: File,
}

/// Moves the calling process into a new network namespace, and begins to give that an `eth0` that
/// reaches the host. Making devices waits for the kernel, several milliseconds of a start, so it is
/// done by a child while the container is put together; [`PendingNetwork::wait`] ends it.
pub fn enter_new_network(launch: &Launch) -> Result<PendingNetwork, ShimError> {
    let host = Netlink::open().map_err(ShimError::io("open a netlink socket"))?;
    let host_namespace = File::open("/proc/self/ns/net")
        .map_err(ShimError::io("open the host's network namespace"))?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(ShimError::io("make a network namespace"))?;
    let (error, report) =
        nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(ShimError::io("make a pipe"))?;
    match sys::fork().map_err(ShimError::io("fork"))? {
        Fork::Parent(child) => Ok(PendingNetwork { child, error: error.into() }),
        Fork::Child => {
            let outcome = connect(launch, &host, &host_namespace);
            if let Err(error) = &outcome {
                let _ = File::from(report).write_all(error.to_string().as_bytes());
            }
            sys::exit_now(i32::from(outcome.is_err()))
        }
    }
}

impl PendingNetwork {
    /// Returns once the network is there, or what went wrong.
    pub fn wait(mut self) -> Result<(), ShimError> {
        // Its end of the pipe is closed when it ends.
        let mut message = String::new();
        let _ = self.error.read_to_string(&mut message);
        match sys::wait_child(self.child).map_err(ShimError::io("wait for the network"))? {
            0 => Ok(()),
            _ => Err(ShimError::Container(message)),
        }
    }
}

/// Takes the router's address from the host. Only when nobody on this machine has containers: their
/// routes would go with it.
pub fn remove_gateway() -> io::Result<()> {
    match Netlink::open()?.remove_address(LOOPBACK, GATEWAY) {
        Err(error) if error.kind() != io::ErrorKind::AddrNotAvailable => Err(error),
        _ => Ok(()),
    }
}

fn connect(launch: &Launch, host: &Netlink, host_namespace: &File) -> Result<(), ShimError> {
    set_kernel_parameters();
    let inside = Netlink::open().map_err(ShimError::io("open a netlink socket"))?;
    add_veth(&inside, launch, host_namespace)
        .map_err(ShimError::io(format!("make the network device {}", launch.interface)))?;
    configure_inside(&inside, launch.address).map_err(ShimError::io("configure eth0"))?;
    configure_host(host, &launch.interface, launch.address)
        .map_err(ShimError::io(format!("configure the network device {}", launch.interface)))
}

/// Any user may listen on any port and send pings; there is no IPv6 but on the loopback device.
fn set_kernel_parameters() {
    let parameters = [
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv4/ping_group_range", "0 2147483647"),
        ("ipv6/conf/default/disable_ipv6", "1"),
    ];
    for (name, value) in parameters {
        // Missing where the kernel lacks the feature, which then needs no setting.
        let _ = std::fs::write(format!("/proc/sys/net/{name}"), value);
    }
}

fn add_veth(inside: &Netlink, launch: &Launch, host_namespace: &File) -> io::Result<()> {
    let peer = Peer {
        name: &launch.interface,
        group: launch.device_group,
        hardware_address: HARDWARE_ADDRESS,
        namespace: host_namespace.as_fd(),
    };
    let deadline = Instant::now() + NAME_TAKEN_LIMIT;
    loop {
        match inside.add_veth("eth0", &peer) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

fn configure_inside(inside: &Netlink, address: Ipv4Addr) -> io::Result<()> {
    inside.set_up(LOOPBACK)?;
    let interface = inside.link_index("eth0")?;
    inside.add_address(interface, address, SCOPE_UNIVERSE)?;
    let gateway = Some(GATEWAY);
    inside.add_route(&Route { destination: None, interface, gateway, source: None })?;
    inside.add_neighbour(interface, GATEWAY, HARDWARE_ADDRESS)
}

fn configure_host(host: &Netlink, name: &str, address: Ipv4Addr) -> io::Result<()> {
    match host.add_address(LOOPBACK, GATEWAY, SCOPE_LINK) {
        // It is there from the first container on.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let interface = host.link_index(name)?;
    // Where the host has no IPv6 there are no such addresses either.
    let _ = host.without_ipv6_addresses(interface);
    host.set_up(interface)?;
    let (destination, source) = (Some(address), Some(GATEWAY));
    host.add_route(&Route { destination, interface, gateway: None, source })
}
