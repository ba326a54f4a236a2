//! The few rtnetlink requests that put a container on the network, by hand: five small messages
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
const NEW_ROUTE: u16 = 24;

const LINK_NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const LINK_INFO_DATA: u16 = 2;
const LINK_GROUP: u16 = 27;
const LINK_NAMESPACE: u16 = 28;
const VETH_PEER: u16 = 1;
const ADDRESS: u16 = 1;
const LOCAL_ADDRESS: u16 = 2;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_INTERFACE: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_SOURCE: u16 = 7;

const HEADER: usize = 16;
const UP: u32 = 1;
const TABLE_MAIN: u8 = 254;
const BY_ADMINISTRATOR: u8 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
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

    /// Makes a pair of virtual Ethernet devices: `name` here, up, and `peer` in `namespace`, down
    /// (the kernel makes it first, when it has no other end yet).
    /// `group` is the peer's.
    pub fn add_veth(
        &self,
        name: &str,
        peer: &str,
        group: u32,
        namespace: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
        let mut message = Message::new(NEW_LINK, flags, &link(0, UP));
        message.attribute(LINK_NAME, &c_string(name)).nested(LINK_INFO, |info| {
            info.attribute(LINK_INFO_KIND, b"veth").nested(LINK_INFO_DATA, |data| {
                data.nested(VETH_PEER, |end| {
                    end.0.extend_from_slice(&link(0, 0));
                    end.attribute(LINK_NAME, &c_string(peer));
                    end.attribute(LINK_GROUP, &group.to_ne_bytes());
                    end.attribute(LINK_NAMESPACE, &namespace.as_raw_fd().to_ne_bytes());
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

    /// Gives a device a single address (prefix length 32).
    pub fn add_address(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut fixed = [libc::AF_INET as u8, 32, 0, SCOPE_UNIVERSE, 0, 0, 0, 0];
        fixed[4..].copy_from_slice(&index.to_ne_bytes());
        let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
        let mut message = Message::new(NEW_ADDRESS, flags, &fixed);
        message.attribute(LOCAL_ADDRESS, &address.octets()).attribute(ADDRESS, &address.octets());
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
