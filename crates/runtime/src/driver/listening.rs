//! Where the programs of an instance listen, as the kernel shows it for their network namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How `/proc/…/net/tcp` marks a socket that listens.
const LISTENS: &str = "0A";

/// Returns the TCP addresses at which somebody listens in a process's network namespace; none where
/// the process is gone.
pub fn of_process(pid: i32) -> Vec<SocketAddr> {
    let tables = ["tcp", "tcp6"]
        .into_iter()
        .filter_map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).ok());
    tables.flat_map(|table| parse(&table)).collect()
}

/// Parses a table of sockets: after the number, the local address is the second word of a line and
/// its state the fourth. Addresses are words of 32 bits in the machine's byte order.
fn parse(table: &str) -> Vec<SocketAddr> {
    let listening = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        let [_, local, _, LISTENS] = words[..] else { return None };
        let (address, port) = local.split_once(':')?;
        Some(SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?))
    });
    listening.collect()
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for start in (0..text.len()).step_by(8) {
        let word = u32::from_str_radix(text.get(start..start + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn tables_of_the_kernel_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n\
            \x20  1: 0100007F:1F91 0100007F:9999 01 00000000:00000000 00:00000000\n\
            \x20  2: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000\n\
            \x20  3: 00000000000000000000000001000000:0050 0:0 0A\n\
            \x20  4: 0000000000000000FFFF00000100007F:0051 0:0 0A\n\
            \x20  5: 0A:1 0:0 0A\n  6:\n";
        let found: Vec<String> = parse(table).iter().map(ToString::to_string).collect();
        let expected = ["127.0.0.1:8080", "0.0.0.0:5000", "[::1]:80", "[::ffff:127.0.0.1]:81"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = of_process(i32::try_from(std::process::id()).unwrap());
        assert!(own.contains(&listener.local_addr().unwrap()), "{own:?}");
        assert_eq!(of_process(-1), []);
    }
}
