//! Connections that the server makes to where its users tell it to: which URLs and addresses are
//! allowed.

mod address;
mod host;

pub use address::{Refused, check_address, check_source_address};
pub use host::check_host;

use std::fmt;
use std::str::FromStr;

/// The longest URL, in bytes.
pub const URL_BYTES: usize = 2_000;

/// How to speak with the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    /// RFC 6587 over plain TCP.
    Syslog,
    SyslogTls,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Syslog, Self::SyslogTls];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Syslog => "syslog",
            Self::SyslogTls => "syslog+tls",
        }
    }

    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    #[must_use]
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Https | Self::SyslogTls)
    }

    /// The port of a URL without one; syslog has none that is usual over plain TCP.
    fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::SyslogTls => Some(6514),
            Self::Syslog => None,
        }
    }
}

/// A URL that a user gave, taken apart. It is shown as it was given, so it may show a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OutgoingUrl {
    text: String,
    pub scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// `/path?query`; `/` at least.
    pub path: String,
    /// User and password, decoded.
    pub credentials: Option<(String, String)>,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("The URL is not one of these: {0}.")]
    Scheme(String),
    #[error("The URL has no host.")]
    Host,
    #[error("The URL's port is not a number from 1 to 65535.")]
    Port,
    #[error("A syslog URL needs a port: syslog://HOST:514.")]
    NoPort,
    #[error("A syslog URL is a host and a port only: syslog://HOST:PORT.")]
    SyslogPath,
    #[error("The URL has a character that must be percent-encoded.")]
    Characters,
    #[error("The URL is longer than {URL_BYTES} bytes.")]
    Long,
}

impl OutgoingUrl {
    /// Refuses schemes that are not among `allowed`.
    pub fn with_scheme(text: &str, allowed: &[Scheme]) -> Result<Self, UrlError> {
        let found = Self::from_str(text);
        match found {
            Ok(url) if allowed.contains(&url.scheme) => Ok(url),
            Ok(_) | Err(UrlError::Scheme(_)) => Err(UrlError::Scheme(schemes(allowed))),
            Err(error) => Err(error),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands in the `Host` header: the port only where it is not the usual one.
    #[must_use]
    pub fn host_header(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.scheme.default_port() == Some(self.port) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

fn schemes(allowed: &[Scheme]) -> String {
    let names: Vec<_> = allowed.iter().map(|scheme| format!("{}://…", scheme.as_str())).collect();
    names.join(", ")
}

/// Without credentials, path and query, which may be secrets.
impl fmt::Display for OutgoingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host_header())
    }
}

impl fmt::Debug for OutgoingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OutgoingUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_BYTES {
            return Err(UrlError::Long);
        }
        if !text.bytes().all(is_url_byte) {
            return Err(UrlError::Characters);
        }
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| UrlError::Scheme(schemes(&Scheme::ALL)))?;
        let scheme = Scheme::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or_else(|| UrlError::Scheme(schemes(&Scheme::ALL)))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host, scheme)?;
        if !scheme.is_http() && (user.is_some() || !matches!(path, "" | "/")) {
            return Err(UrlError::SyslogPath);
        }
        Ok(Self {
            text: text.to_owned(),
            scheme,
            host,
            port,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            credentials: user.map(credentials).transpose()?,
        })
    }
}

/// Printable ASCII, without what no URL has unencoded.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')
}

fn host_and_port(text: &str, scheme: Scheme) -> Result<(String, u16), UrlError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (address, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_address = host.contains(':');
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || host.len() > 253 || !(is_address || host.bytes().all(named)) {
        return Err(UrlError::Host);
    }
    let port = match port.strip_prefix(':') {
        Some("") | None if port.len() <= 1 => scheme.default_port().ok_or(UrlError::NoPort)?,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u16>().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?
        }
        _ => return Err(UrlError::Port),
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn credentials(text: &str) -> Result<(String, String), UrlError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decoded = |text| percent_decoded(text).ok_or(UrlError::Characters);
    Ok((decoded(user)?, decoded(password)?))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url: OutgoingUrl = "https://me:p%40ss@Logs.example.com/in?key=1#x".parse().unwrap();
        assert_eq!((url.scheme, url.port), (Scheme::Https, 443));
        assert_eq!((url.host.as_str(), url.path.as_str()), ("logs.example.com", "/in?key=1"));
        assert_eq!(url.credentials, Some(("me".into(), "p@ss".into())));
        assert_eq!(url.host_header(), "logs.example.com");
        assert_eq!(format!("{url} {url:?}"), "https://logs.example.com https://logs.example.com");
        let url: OutgoingUrl = "http://[::1]:8080?x=1".parse().unwrap();
        assert_eq!((url.host.as_str(), url.path.as_str()), ("::1", "/?x=1"));
        assert_eq!(url.host_header(), "[::1]:8080");
        let url: OutgoingUrl = "syslog+tls://logs.example.com".parse().unwrap();
        assert_eq!((url.scheme, url.port), (Scheme::SyslogTls, 6514));
        let url: OutgoingUrl = "https://example.com:/".parse().unwrap();
        assert_eq!(url.port, 443);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let cases = [
            ("", UrlError::Scheme(schemes(&Scheme::ALL))),
            ("example.com", UrlError::Scheme(schemes(&Scheme::ALL))),
            ("ftp://example.com", UrlError::Scheme(schemes(&Scheme::ALL))),
            ("file:///etc/passwd", UrlError::Scheme(schemes(&Scheme::ALL))),
            ("https://", UrlError::Host),
            ("https:///path", UrlError::Host),
            ("https://a%2eb/", UrlError::Host),
            ("https://[::1", UrlError::Host),
            ("https://[fe80::1%25eth0]/", UrlError::Host),
            ("https://a:0/", UrlError::Port),
            ("https://a:65536/", UrlError::Port),
            ("https://a:+80/", UrlError::Port),
            ("https://[::1]80/", UrlError::Port),
            ("syslog://a", UrlError::NoPort),
            ("syslog://a:514/path", UrlError::SyslogPath),
            ("syslog://me@a:514", UrlError::SyslogPath),
            ("https://a/b c", UrlError::Characters),
            ("https://a/\r\nX: y", UrlError::Characters),
            ("https://a/é", UrlError::Characters),
            ("https://me:%zz@a/", UrlError::Characters),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<OutgoingUrl>(), Err(expected), "{text:?}");
        }
        let long = format!("https://a/{}", "x".repeat(URL_BYTES));
        assert_eq!(long.parse::<OutgoingUrl>(), Err(UrlError::Long));
        let error = OutgoingUrl::with_scheme("syslog://a:1", &[Scheme::Https]).unwrap_err();
        assert_eq!(error.to_string(), "The URL is not one of these: https://….");
    }
}
