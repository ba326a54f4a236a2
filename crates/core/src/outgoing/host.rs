//! What is known of a URL's host without asking a name server.

use super::address::{Refused, check_address};
use std::net::{IpAddr, Ipv4Addr};

/// Refuses a host that stands for an address which may not be connected to, however it is written:
/// `10.0.0.1`, `localhost`, `127.1`, `0x7f000001`. Other names pass: each of the addresses that
/// they lead to is decided about by [`check_address`] when it is connected to.
pub fn check_host(host: &str, allow_private: bool) -> Result<(), Refused> {
    match written_address(host) {
        Some(address) => check_address(address, allow_private),
        None => Ok(()),
    }
}

fn written_address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    numbers(&name).map(IpAddr::V4)
}

/// Reads an IPv4 address as the C library does: up to four numbers, decimal, octal (`0…`) or
/// hexadecimal (`0x…`), of which the last fills the bytes that are left.
fn numbers(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|byte| *byte > 255) {
        return None;
    }
    let left = 32 - 8 * u32::try_from(bytes.len()).ok()?;
    if u64::from(*last) >= 1 << left {
        return None;
    }
    let mut high = 0;
    for (place, byte) in [24, 16, 8].into_iter().zip(bytes) {
        high |= byte << place;
    }
    Some(Ipv4Addr::from(high | last))
}

fn number(text: &str) -> Option<u32> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() && !digits.starts_with('+') => {
            u32::from_str_radix(digits, 8).ok()
        }
        (None, _) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_itself_is_known_however_it_is_written() {
        let itself = [
            "localhost",
            "LocalHost",
            "localhost.",
            "a.localhost",
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "017700000001",
            "0177.1",
            "::1",
            "::ffff:127.0.0.1",
        ];
        for host in itself {
            let refused = check_host(host, false);
            assert!(matches!(refused, Err(Refused::Private(_))), "{host}: {refused:?}");
            assert_eq!(check_host(host, true), Ok(()), "{host}");
        }
        assert_eq!(written_address("10.258"), Some(Ipv4Addr::new(10, 0, 1, 2).into()));
        for host in ["0", "169.254.169.254", "0xa9fea9fe", "fe80::1"] {
            assert!(matches!(check_host(host, true), Err(Refused::Never(_))), "{host}");
        }
    }

    #[test]
    fn names_and_public_addresses_pass() {
        let hosts = [
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "8.8.8.8",
            "0x8.8.2056",
            "1.2.3.4.5",
            "127.0.0.256",
            "127.16777216",
            "4294967296",
            "0x",
            "08",
            "10.a",
            "x7f",
            "a.1",
            "-",
        ];
        for host in hosts {
            assert_eq!(check_host(host, false), Ok(()), "{host}");
        }
    }
}
