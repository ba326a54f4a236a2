//! Which addresses may be connected to for a user.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The owner of the server may allow it.
    #[error(
        "{0} is an address of a private network, and this server connects to public ones only (its owner can allow others with `webhooks.allow_private`)"
    )]
    Private(IpAddr),
    /// Nobody listens there who should: link-local (where clouds serve credentials), multicast,
    /// unspecified and reserved addresses.
    #[error("{0} is not an address that can be connected to")]
    Never(IpAddr),
    /// The owner of the server may allow it.
    #[error(
        "{0} is this server itself, where nothing is fetched from (its owner can allow it with `webhooks.allow_private`)"
    )]
    Itself(IpAddr),
}

/// Decides about an address that a name led to. Forms that carry an IPv4 address inside an IPv6
/// one are decided by the address inside.
pub fn check_address(address: IpAddr, allow_private: bool) -> Result<(), Refused> {
    let kind = match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    };
    match kind {
        Kind::Public => Ok(()),
        Kind::Private if allow_private => Ok(()),
        Kind::Private => Err(Refused::Private(address)),
        Kind::Never => Err(Refused::Never(address)),
    }
}

/// Decides about an address that a source is fetched from. Apps can reach private networks by
/// themselves, so those are allowed; what listens on this machine's loopback is the server's own.
pub fn check_source_address(address: IpAddr, allow_itself: bool) -> Result<(), Refused> {
    if is_loopback(address) {
        return if allow_itself { Ok(()) } else { Err(Refused::Itself(address)) };
    }
    check_address(address, true)
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback()
                || carried_v4(address.segments()).is_some_and(|inside| inside.is_loopback())
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    Never,
}

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        // This network; link-local; multicast, reserved and broadcast.
        (0 | 224..=255, ..) | (169, 254, _) => Kind::Never,
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) => Kind::Private,
        // Between a provider and its customers; networks that measure.
        (100, 64..=127, _) | (198, 18 | 19, _) => Kind::Private,
        // Protocols and documentation.
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) => Kind::Never,
        _ => Kind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    let segments = address.segments();
    if address.is_loopback() {
        return Kind::Private;
    }
    if let Some(inside) = carried_v4(segments) {
        return kind_of_v4(inside);
    }
    match segments {
        // Unique local addresses.
        [0xfc00..=0xfdff, ..] => Kind::Private,
        // Documentation; Teredo and other protocols' own.
        [0x2001, 0x0db8 | 0x0000..=0x01ff, ..] | [0x3fff, ..] => Kind::Never,
        // Global unicast; all else is link-local, multicast or not given out.
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never,
    }
}

/// The IPv4 address in a mapped or compatible address, a NAT64 or a 6to4 one.
fn carried_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let (high, low) = match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] if (high, low) > (0, 1) => (high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_from_everywhere_but_the_server_itself_and_cloud_credentials() {
        let check = |text: &str, allowed| check_source_address(text.parse().unwrap(), allowed);
        for own in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "2002:7f00:1::1"] {
            assert!(matches!(check(own, false), Err(Refused::Itself(_))), "{own}");
            assert_eq!(check(own, true), Ok(()), "{own}");
        }
        for never in ["169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "::", "fe80::1"] {
            assert!(matches!(check(never, true), Err(Refused::Never(_))), "{never}");
        }
        for fine in ["8.8.8.8", "10.0.0.1", "192.168.1.1", "fd12::1", "2606:4700::1111"] {
            assert_eq!(check(fine, false), Ok(()), "{fine}");
        }
    }

    #[test]
    fn only_public_addresses_are_connected_to_unless_the_owner_allows_private_ones() {
        let table = [
            ("8.8.8.8", Kind::Public),
            ("100.63.255.255", Kind::Public),
            ("172.32.0.1", Kind::Public),
            ("192.169.0.1", Kind::Public),
            ("2606:4700::1111", Kind::Public),
            ("64:ff9b::808:808", Kind::Public),
            ("::ffff:8.8.8.8", Kind::Public),
            ("127.0.0.1", Kind::Private),
            ("127.8.9.1", Kind::Private),
            ("10.208.0.7", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("100.64.0.1", Kind::Private),
            ("198.19.0.1", Kind::Private),
            ("::1", Kind::Private),
            ("fd12::1", Kind::Private),
            ("fc00::1", Kind::Private),
            ("::ffff:127.0.0.1", Kind::Private),
            ("::ffff:10.0.0.1", Kind::Private),
            ("::10.0.0.1", Kind::Private),
            ("64:ff9b::a00:1", Kind::Private),
            ("2002:7f00:1::1", Kind::Private),
            ("0.0.0.0", Kind::Never),
            ("0.1.2.3", Kind::Never),
            ("169.254.169.254", Kind::Never),
            ("::ffff:169.254.169.254", Kind::Never),
            ("2002:a9fe:a9fe::1", Kind::Never),
            ("224.0.0.1", Kind::Never),
            ("240.0.0.1", Kind::Never),
            ("255.255.255.255", Kind::Never),
            ("192.0.0.1", Kind::Never),
            ("203.0.113.7", Kind::Never),
            ("::", Kind::Never),
            ("fe80::1", Kind::Never),
            ("fec0::1", Kind::Never),
            ("ff02::1", Kind::Never),
            ("2001:db8::1", Kind::Never),
            ("2001::1", Kind::Never),
            ("4000::1", Kind::Never),
        ];
        for (text, kind) in table {
            let address: IpAddr = text.parse().unwrap();
            let expected = |allowed| match kind {
                Kind::Public => Ok(()),
                Kind::Private if allowed => Ok(()),
                Kind::Private => Err(Refused::Private(address)),
                Kind::Never => Err(Refused::Never(address)),
            };
            assert_eq!(check_address(address, false), expected(false), "{text}");
            assert_eq!(check_address(address, true), expected(true), "{text}");
        }
    }
}
