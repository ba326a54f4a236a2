//! Where passkeys of this server are good: a browser offers them there and nowhere else.

use super::sha256;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Browsers use no passkeys at this address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Passkeys need an address with https and a host name, or localhost; this server's is {0:?} (setting `api.url`)."
)]
pub struct NoRelyingParty(pub String);

/// The server, as browsers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    origin: String,
    id: String,
}

impl RelyingParty {
    /// Returns the one at a URL.
    ///
    /// # Errors
    /// Plain HTTP at another host than localhost, or an IP address: browsers refuse both.
    pub fn of_url(url: &str) -> Result<Self, NoRelyingParty> {
        Self::parsed(&url.trim().to_ascii_lowercase())
            .ok_or_else(|| NoRelyingParty(url.chars().take(200).collect()))
    }

    fn parsed(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
            None => (authority, None),
        };
        let is_local = host == "localhost" || host.ends_with(".localhost");
        let usual = match scheme {
            "https" => 443,
            "http" if is_local => 80,
            _ => return None,
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let is_name = !host.is_empty()
            && host.bytes().all(allowed)
            && !host.starts_with('.')
            && !host.ends_with('.')
            && host.parse::<Ipv4Addr>().is_err()
            && host.parse::<Ipv6Addr>().is_err();
        if !is_name {
            return None;
        }
        let port = port.filter(|port| *port != usual);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(Self { origin: format!("{scheme}://{host}{port}"), id: host.to_owned() })
    }

    /// Where its pages are: `https://api.example.com`, as browsers write it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its host name, to which passkeys are bound.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn id_hash(&self) -> [u8; 32] {
        sha256(self.id.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_as_browsers_take_them() {
        for (url, origin, id) in [
            ("https://api.example.com", "https://api.example.com", "api.example.com"),
            ("https://API.example.com:443/x", "https://api.example.com", "api.example.com"),
            ("https://api.example.com:8443/", "https://api.example.com:8443", "api.example.com"),
            ("http://localhost:8081", "http://localhost:8081", "localhost"),
            ("http://api.localhost:80", "http://api.localhost", "api.localhost"),
        ] {
            let party = RelyingParty::of_url(url).unwrap();
            assert_eq!((party.origin(), party.id()), (origin, id), "{url}");
        }
        for url in [
            "http://api.example.com",
            "https://192.0.2.1",
            "https://192.0.2.1:8443",
            "https://[2001:db8::1]",
            "https://[::1]:8081",
            "http://127.0.0.1:8081",
            "https://user@example.com",
            "https://",
            "ftp://localhost",
            "localhost",
            "https://example.com:99999",
            "",
        ] {
            assert!(RelyingParty::of_url(url).is_err(), "{url}");
        }
        let error = RelyingParty::of_url("http://192.0.2.1:8081").unwrap_err().to_string();
        assert!(error.contains("192.0.2.1") && error.contains("api.url"), "{error}");
    }
}
