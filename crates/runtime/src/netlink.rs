//! The few rtnetlink requests that put a container on the network, by hand: eight small messages
//! do not need a library, and the shim stays small and has no threads.

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

const ERROR: u16 = 2;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const NEW_NEIGHBOUR: u16 = 28;

const LINK_HARDWARE_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const LINK_INFO_DATA: u16 = 2;
const LINK_OF_FAMILY: u16 = 26;
const LINK_GROUP: u16 = 27;
const LINK_NAMESPACE: u16 = 28;
const VETH_PEER: u16 = 1;
/// How a device gets IPv6 addresses of its own accord.
const IPV6_ADDRESSES: u16 = 8;
const NO_ADDRESSES: u8 = 1;
const ADDRESS: u16 = 1;
const LOCAL_ADDRESS: u16 = 2;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_INTERFACE: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_SOURCE: u16 = 7;
const NEIGHBOUR: u16 = 1;
const NEIGHBOUR_HARDWARE_ADDRESS: u16 = 2;
const PERMANENT: u8 = 0x80;

const HEADER: usize = 16;
const UP: u32 = 1;
const TABLE_MAIN: u8 = 254;
const BY_ADMINISTRATOR: u8 = 4;
pub const SCOPE_UNIVERSE: u8 = 0;
pub const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;
const ON_LINK: u32 = 4;

/// A message being put together: header, fixed part, attributes.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nested(kind, |message| message.0.extend_from_slice(value))
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(&mut self) -> &[u8] {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        &self.0
    }
}

/// The fixed part of a link message. Flags that are not zero are set, the others left alone.
fn link(index: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn c_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The address of a device on its link.
pub type HardwareAddress = [u8; 6];

/// The end of a pair of virtual Ethernet devices that is in another namespace.
pub struct Peer<'a> {
    pub name: &'a str,
    pub group: u32,
    pub hardware_address: HardwareAddress,
    pub namespace: BorrowedFd<'a>,
}

/// A route to add.
pub struct Route {
    /// `None` is the default route.
    pub destination: Option<Ipv4Addr>,
    pub interface: u32,
    pub gateway: Option<Ipv4Addr>,
    /// The source address of packets that this machine sends along it.
    pub source: Option<Ipv4Addr>,
}

/// A connection to the kernel for the network namespace in which it was opened.
pub struct Netlink(OwnedFd);

impl Netlink {
    pub fn open() -> io::Result<Self> {
        let protocol = SockProtocol::NetlinkRoute;
        let flags = SockFlag::SOCK_CLOEXEC;
        Ok(Self(socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?))
    }

    /// Makes a pair of virtual Ethernet devices: `name` here, up, and the peer in its namespace,
    /// down (the kernel makes it first, when it has no other end yet).
    pub fn add_veth(&self, name: &str, peer: &Peer<'_>) -> io::Result<()> {
        let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
        let mut message = Message::new(NEW_LINK, flags, &link(0, UP));
        message.attribute(LINK_NAME, &c_string(name)).nested(LINK_INFO, |info| {
            info.attribute(LINK_INFO_KIND, b"veth").nested(LINK_INFO_DATA, |data| {
                data.nested(VETH_PEER, |end| {
                    end.0.extend_from_slice(&link(0, 0));
                    end.attribute(LINK_HARDWARE_ADDRESS, &peer.hardware_address);
                    end.attribute(LINK_NAME, &c_string(peer.name));
                    end.attribute(LINK_GROUP, &peer.group.to_ne_bytes());
                    end.attribute(LINK_NAMESPACE, &peer.namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.request(&mut message).map(drop)
    }

    /// Returns the index of the device called `name`.
    pub fn link_index(&self, name: &str) -> io::Result<u32> {
        let mut message = Message::new(GET_LINK, REQUEST, &link(0, 0));
        message.attribute(LINK_NAME, &c_string(name));
        let reply = self.request(&mut message)?;
        let index = reply.get(HEADER + 4..HEADER + 8).ok_or(io::ErrorKind::InvalidData)?;
        Ok(u32::from_ne_bytes([index[0], index[1], index[2], index[3]]))
    }

    pub fn set_up(&self, index: u32) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, REQUEST | ACKNOWLEDGE, &link(index, UP));
        self.request(&mut message).map(drop)
    }

    /// Lets a device be without IPv6 addresses, of which it would make one when it is set up.
    pub fn without_ipv6_addresses(&self, index: u32) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, REQUEST | ACKNOWLEDGE, &link(index, 0));
        message.nested(LINK_OF_FAMILY, |families| {
            families.nested(libc::AF_INET6 as u16, |ipv6| {
                ipv6.attribute(IPV6_ADDRESSES, &[NO_ADDRESSES]);
            });
        });
        self.request(&mut message).map(drop)
    }

    /// Gives a device a single address (prefix length 32). One of [`SCOPE_LINK`] is never chosen
    /// as source of packets that leave by devices without addresses.
    pub fn add_address(&self, index: u32, address: Ipv4Addr, scope: u8) -> io::Result<()> {
        let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
        self.change_address(NEW_ADDRESS, flags, (index, address, scope))
    }

    /// Takes such an address from a device.
    pub fn remove_address(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let flags = REQUEST | ACKNOWLEDGE;
        self.change_address(DELETE_ADDRESS, flags, (index, address, SCOPE_UNIVERSE))
    }

    fn change_address(
        &self,
        kind: u16,
        flags: u16,
        (index, address, scope): (u32, Ipv4Addr, u8),
    ) -> io::Result<()> {
        let mut fixed = [libc::AF_INET as u8, 32, 0, scope, 0, 0, 0, 0];
        fixed[4..].copy_from_slice(&index.to_ne_bytes());
        let mut message = Message::new(kind, flags, &fixed);
        message.attribute(LOCAL_ADDRESS, &address.octets()).attribute(ADDRESS, &address.octets());
        self.request(&mut message).map(drop)
    }

    /// Says for good where an address on a device's link is, which then nobody is asked for.
    pub fn add_neighbour(
        &self,
        index: u32,
        address: Ipv4Addr,
        hardware_address: HardwareAddress,
    ) -> io::Result<()> {
        let mut fixed = [libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..10].copy_from_slice(&u16::from(PERMANENT).to_ne_bytes());
        let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
        let mut message = Message::new(NEW_NEIGHBOUR, flags, &fixed);
        message.attribute(NEIGHBOUR, &address.octets());
        message.attribute(NEIGHBOUR_HARDWARE_ADDRESS, &hardware_address);
        self.request(&mut message).map(drop)
    }

    pub fn add_route(&self, route: &Route) -> io::Result<()> {
        let length = if route.destination.is_some() { 32 } else { 0 };
        let (scope, flags) = match route.gateway {
            Some(_) => (SCOPE_UNIVERSE, ON_LINK),
            None => (SCOPE_LINK, 0),
        };
        let mut fixed = [0; 12];
        fixed[..8].copy_from_slice(&[
            libc::AF_INET as u8,
            length,
            0,
            0,
            TABLE_MAIN,
            BY_ADMINISTRATOR,
            scope,
            UNICAST,
        ]);
        fixed[8..].copy_from_slice(&flags.to_ne_bytes());
        let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
        let mut message = Message::new(NEW_ROUTE, flags, &fixed);
        message.attribute(ROUTE_INTERFACE, &route.interface.to_ne_bytes());
        let addresses = [
            (ROUTE_DESTINATION, route.destination),
            (ROUTE_GATEWAY, route.gateway),
            (ROUTE_SOURCE, route.source),
        ];
        for (kind, address) in addresses {
            if let Some(address) = address {
                message.attribute(kind, &address.octets());
            }
        }
        self.request(&mut message).map(drop)
    }

    /// Sends one request and returns the first message of the answer.
    fn request(&self, message: &mut Message) -> io::Result<Vec<u8>> {
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), message.finish(), &kernel, MsgFlags::empty())?;
        let mut buffer = vec![0; 16 * 1024];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        buffer.truncate(length);
        let kind = buffer.get(4..6).ok_or(io::ErrorKind::InvalidData)?;
        if u16::from_ne_bytes([kind[0], kind[1]]) == ERROR {
            let code = buffer.get(HEADER..HEADER + 4).ok_or(io::ErrorKind::InvalidData)?;
            let code = i32::from_ne_bytes([code[0], code[1], code[2], code[3]]);
            if code != 0 {
                return Err(io::Error::from_raw_os_error(-code));
            }
        }
        Ok(buffer)
    }
}
