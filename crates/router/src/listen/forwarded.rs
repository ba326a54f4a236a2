//! Who a request comes from, and what of that a proxy in front may say in its headers.

use super::Client;
use http::HeaderValue;
use std::net::IpAddr;
use windlass_core::routing_settings::Network;

/// The proxies in front of this router that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns the address that a request began at: the last in X-Forwarded-For that is not one of
    /// a trusted proxy. `peer` is who the connection comes from.
    pub fn origin<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let mut origin = peer;
        let parts = forwarded_for.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for part in parts {
            if !self.contains(origin) {
                break;
            }
            let address = std::str::from_utf8(part).ok().and_then(|text| text.trim().parse().ok());
            let Some(address) = address else { break };
            origin = address;
        }
        origin
    }
}

/// Writes an address as X-Forwarded-For has it.
pub(super) fn address_header(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_canonical().to_string())
        .unwrap_or(HeaderValue::from_static("unknown"))
}

impl Client {
    /// Returns X-Forwarded-For for the target: what a trusted proxy said with its own address at
    /// the end, or the client's address alone.
    pub fn forwarded_for<'a>(&self, given: impl Iterator<Item = &'a [u8]>) -> HeaderValue {
        if !self.is_trusted {
            return self.address.clone();
        }
        let mut joined = Vec::new();
        for part in given {
            joined.extend_from_slice(part);
            joined.extend_from_slice(b", ");
        }
        if joined.is_empty() {
            return self.address.clone();
        }
        joined.extend_from_slice(self.address.as_bytes());
        HeaderValue::from_bytes(&joined).unwrap_or_else(|_| self.address.clone())
    }

    /// Returns the scheme that the person's browser speaks, `given` being X-Forwarded-Proto.
    pub fn forwarded_scheme(&self, given: Option<&[u8]>) -> &'static str {
        match given.filter(|_| self.is_trusted) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ => self.scheme,
        }
    }

    /// Returns the port that the person's browser connected to, `given` being X-Forwarded-Port and
    /// `scheme` what [`Client::forwarded_scheme`] returned.
    pub fn forwarded_port(&self, given: Option<&[u8]>, scheme: &'static str) -> HeaderValue {
        let is_port = |value: &&[u8]| {
            let text = std::str::from_utf8(value).unwrap_or_default();
            text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
        };
        let given = given.filter(|_| self.is_trusted).filter(is_port);
        if let Some(Ok(port)) = given.map(HeaderValue::from_bytes) {
            return port;
        }
        match scheme {
            _ if scheme == self.scheme => self.port.clone(),
            "https" => HeaderValue::from_static("443"),
            _ => HeaderValue::from_static("80"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(is_trusted: bool) -> Client {
        Client { is_trusted, ..Client::for_tests("198.51.100.7:4000", "http", 8080) }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let given = || [b"1.1.1.1, 2.2.2.2".as_slice(), b"3.3.3.3"].into_iter();
        let (stranger, proxy) = (client(false), client(true));
        assert_eq!(stranger.forwarded_for(given()), "198.51.100.7");
        assert_eq!(proxy.forwarded_for(given()), "1.1.1.1, 2.2.2.2, 3.3.3.3, 198.51.100.7");
        assert_eq!(proxy.forwarded_for(std::iter::empty()), "198.51.100.7");
        for (given, from_proxy) in [
            (None, "http"),
            (Some(b"https".as_slice()), "https"),
            (Some(b"http"), "http"),
            (Some(b"HTTPS, http"), "http"),
        ] {
            assert_eq!(stranger.forwarded_scheme(given), "http");
            assert_eq!(proxy.forwarded_scheme(given), from_proxy);
        }
        for (given, scheme, from_proxy) in [
            (None, "http", "8080"),
            (None, "https", "443"),
            (Some(b"8443".as_slice()), "https", "8443"),
            (Some(b"70000"), "http", "8080"),
            (Some(b"+1"), "http", "8080"),
            (Some(b""), "https", "443"),
        ] {
            assert_eq!(stranger.forwarded_port(given, "http"), "8080");
            assert_eq!(proxy.forwarded_port(given, scheme), from_proxy, "{given:?}");
        }
    }

    #[test]
    fn a_request_began_at_the_last_address_that_is_no_proxy() {
        let trusted = |networks: &[&str]| {
            TrustedProxies::new(networks.iter().map(|text| text.parse().unwrap()).collect())
        };
        let proxies = trusted(&["10.0.0.0/8", "2001:db8::/32"]);
        for (peer, forwarded_for, expected) in [
            ("203.0.113.1", &["1.1.1.1"][..], "203.0.113.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1", "2001:db8::1"], "1.1.1.1"),
            ("10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &["what, 10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let given = forwarded_for.iter().map(|value| value.as_bytes());
            let origin = proxies.origin(peer.parse().unwrap(), given);
            assert_eq!(origin.to_string(), expected, "{peer} {forwarded_for:?}");
        }
        assert!(!trusted(&[]).contains("10.0.0.1".parse().unwrap()));
    }
}
