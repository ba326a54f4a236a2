//! The PROXY protocol, versions 1 and 2: who a connection comes from, said by the proxy in front
//! before the first byte of the client.

use super::peek;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// What a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Before the addresses of version 2.
const FIXED: usize = 16;
/// The longest header that is read: a proxy may add what it knows about the connection.
const LONGEST: usize = 2_048;

/// Both ends of the connection at the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub client: SocketAddr,
    /// What the client connected to.
    pub server: SocketAddr,
}

/// A header and its length. Without ends the connection is the proxy's own, as for its health
/// checks, or of a kind that says nothing.
pub(super) type Header = (Option<Ends>, usize);

/// Reads the header, which must be there, and not a byte more.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<Ends>> {
    let mut buffer = vec![0; LONGEST];
    let (ends, length) = peek(stream, &mut buffer, parse).await??;
    stream.read_exact(&mut buffer[..length]).await?;
    Ok(ends)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Returns `None` while there is not enough to tell.
pub(super) fn parse(bytes: &[u8]) -> Option<io::Result<Header>> {
    if bytes.starts_with(SIGNATURE) {
        return parse_binary(bytes);
    }
    if SIGNATURE.starts_with(bytes) {
        return None;
    }
    if !bytes.starts_with(b"PROXY ") {
        let may_become = b"PROXY ".starts_with(bytes);
        return (!may_become).then(|| Err(invalid("there is no PROXY header")));
    }
    let end = bytes.windows(2).take(LONGEST_LINE - 1).position(|pair| pair == b"\r\n");
    match end {
        Some(end) => Some(parse_line(&bytes[..end]).map(|ends| (ends, end + 2))),
        None if bytes.len() < LONGEST_LINE => None,
        None => Some(Err(invalid("the PROXY line has no end"))),
    }
}

fn parse_line(line: &[u8]) -> io::Result<Option<Ends>> {
    let wrong = || invalid("the PROXY line is malformed");
    let text = std::str::from_utf8(line).map_err(|_| wrong())?;
    let mut words = text.split(' ').skip(1);
    let is_v4 = match words.next() {
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(wrong()),
    };
    let words: Vec<&str> = words.collect();
    let [client, server, client_port, server_port] = words[..] else { return Err(wrong()) };
    let end = |address: &str, port: &str| -> io::Result<SocketAddr> {
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits && address.is_ipv4() == is_v4);
        Ok(SocketAddr::new(address, port.ok_or_else(wrong)?))
    };
    Ok(Some(Ends { client: end(client, client_port)?, server: end(server, server_port)? }))
}

fn parse_binary(bytes: &[u8]) -> Option<io::Result<Header>> {
    let head = bytes.get(..FIXED)?;
    let length = FIXED + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > LONGEST {
        return Some(Err(invalid("the PROXY header is too long")));
    }
    let addresses = bytes.get(FIXED..length)?;
    let ends = match (head[12], head[13]) {
        // LOCAL: the proxy itself.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => ends_v4(addresses).map(Some),
        (0x21, 0x21) => ends_v6(addresses).map(Some),
        // Datagrams and unix sockets.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Ok(None),
        _ => Err(invalid("the PROXY header has another version or command")),
    };
    Some(ends.map(|ends| (ends, length)))
}

fn ends_v4(bytes: &[u8]) -> io::Result<Ends> {
    let Some((addresses, ports)) = bytes.split_first_chunk::<8>() else { return Err(short()) };
    let [a, b, c, d, e, f, g, h] = *addresses;
    let (client, server) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    ends(client.into(), server.into(), ports)
}

fn ends_v6(bytes: &[u8]) -> io::Result<Ends> {
    let Some((client, rest)) = bytes.split_first_chunk::<16>() else { return Err(short()) };
    let Some((server, ports)) = rest.split_first_chunk::<16>() else { return Err(short()) };
    ends(Ipv6Addr::from(*client).into(), Ipv6Addr::from(*server).into(), ports)
}

fn ends(client: IpAddr, server: IpAddr, ports: &[u8]) -> io::Result<Ends> {
    let Some(&[a, b, c, d]) = ports.first_chunk::<4>() else { return Err(short()) };
    let (client_port, server_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Ok(Ends {
        client: SocketAddr::new(client, client_port),
        server: SocketAddr::new(server, server_port),
    })
}

fn short() -> io::Error {
    invalid("the PROXY header's addresses are cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(header: &str) -> Option<Result<Header, String>> {
        parse(header.as_bytes()).map(|parsed| parsed.map_err(|error| error.to_string()))
    }

    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, addresses].concat()
    }

    #[test]
    fn lines_are_read() {
        let ends = |client: &str, server: &str| {
            Some(Ends { client: client.parse().unwrap(), server: server.parse().unwrap() })
        };
        let line = "PROXY TCP4 203.0.113.7 198.51.100.2 56324 443\r\n";
        let expected = (ends("203.0.113.7:56324", "198.51.100.2:443"), line.len());
        assert_eq!(text(&format!("{line}GET / HTTP/1.1\r\n")), Some(Ok(expected)));
        let line = "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(text(line), Some(Ok((ends("[2001:db8::1]:1", "[::1]:65535"), line.len()))));
        assert_eq!(text("PROXY UNKNOWN\r\n"), Some(Ok((None, 15))));
        assert_eq!(text("PROXY UNKNOWN a b c\r\nx"), Some(Ok((None, 21))));
        for part in ["", "P", "PROXY", "PROXY TCP4 1.", "PROXY UNKNOWN\r"] {
            assert_eq!(text(part), None, "{part}");
        }
        for wrong in [
            "GET / HTTP/1.1\r\n",
            "PROXY\tTCP4",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.1.1.1 1.1.1.1 1 2\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 2 3\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 +1 2\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
            "PROXY UDP4 1.1.1.1 1.1.1.1 1 2\r\n",
            &format!("PROXY UNKNOWN {}", "x".repeat(100)),
        ] {
            assert!(matches!(text(wrong), Some(Err(_))), "{wrong}");
        }
    }

    #[test]
    fn binary_headers_are_read() {
        let mut addresses = vec![203, 0, 113, 7, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];
        let header = binary(0x21, 0x11, &addresses);
        let (ends, length) = parse(&header).unwrap().unwrap();
        let ends = ends.unwrap();
        assert_eq!(ends.client, "203.0.113.7:56324".parse().unwrap());
        assert_eq!((ends.server.port(), length), (443, 28));
        for cut in 0..header.len() {
            assert!(parse(&header[..cut]).is_none(), "{cut}");
        }
        // With what a proxy adds after the addresses.
        addresses.extend([0x04, 0, 2, 1, 2]);
        let (with_more, length) = parse(&binary(0x21, 0x11, &addresses)).unwrap().unwrap();
        assert_eq!((with_more, length), (Some(ends), 33));
        let v6 = [[0; 15].as_slice(), &[1], &[0; 15], &[2], &[0, 1, 0, 2]].concat();
        let (ends, _) = parse(&binary(0x21, 0x21, &v6)).unwrap().unwrap();
        assert_eq!(ends.unwrap().client, "[::1]:1".parse().unwrap());
        assert_eq!(parse(&binary(0x20, 0x00, &[])).unwrap().unwrap(), (None, 16));
        assert!(parse(&binary(0x21, 0x11, &[1, 2, 3])).unwrap().is_err());
        assert!(parse(&binary(0x31, 0x11, &addresses)).unwrap().is_err());
        let long = [SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat();
        assert!(parse(&long).unwrap().is_err());
    }

    proptest! {
        #[test]
        fn anything_is_parsed_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..3,
        ) {
            let start: &[u8] = match kind { 0 => b"", 1 => b"PROXY ", _ => SIGNATURE };
            let bytes = [start, &bytes].concat();
            if let Some(Ok((_, length))) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
