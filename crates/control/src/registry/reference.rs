//! Names of images in registries, and hosts of registries.

use crate::{PlatformError, Result};
use std::fmt;

/// The longest reference, in bytes.
const REFERENCE_BYTES: usize = 512;
/// The longest host with its port, in bytes.
const HOST_BYTES: usize = 260;

/// `HOST/NAME`, `HOST/NAME:TAG` or `HOST/NAME@sha256:DIGEST`. Without a host the server's
/// `registries.conf` says where the image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageReference(String);

impl ImageReference {
    /// Reads a reference. Of one that has both a tag and a digest the digest counts.
    ///
    /// # Errors
    /// `Invalid` with one line that shows the form.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let invalid = || {
            PlatformError::Invalid(format!(
                "{text:?} is no image reference: write HOST/NAME, HOST/NAME:TAG or HOST/NAME@sha256:DIGEST."
            ))
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let host_ends = host_of(name).map_or(0, str::len);
        let (host, path) = name.split_at(host_ends);
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        let is_part = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            part.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
                && part.bytes().next().is_some_and(plain)
        };
        let is_tag = |tag: &str| {
            (1..=128).contains(&tag.len())
                && !tag.starts_with(['.', '-'])
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let is_digest = |digest: &str| {
            digest.strip_prefix("sha256:").is_some_and(|digits| {
                digits.len() == 64 && digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        let is_host = host.is_empty() || check_host(host).is_ok();
        let path_is_good = path.strip_prefix('/').unwrap_or(path).split('/').all(is_part);
        let good = text.len() <= REFERENCE_BYTES
            && is_host
            && path_is_good
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !good {
            return Err(invalid());
        }
        Ok(Self(match digest {
            Some(digest) => format!("{host}{path}@{digest}"),
            None => text.to_owned(),
        }))
    }

    /// The registry's host and port, if the reference names one.
    pub(crate) fn host(&self) -> Option<&str> {
        host_of(&self.0)
    }

    /// Returns the reference with the digest that it turned out to have.
    pub(crate) fn with_digest(&self, digest: &str) -> String {
        if self.0.contains('@') { self.0.clone() } else { format!("{}@{digest}", self.0) }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first part of a name is a host if it looks like one, as every tool has it.
fn host_of(name: &str) -> Option<&str> {
    let (first, _) = name.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

/// Checks a registry's host: a name or an address, with a port if it is not the usual one.
///
/// # Errors
/// `Invalid` with one line.
pub(super) fn check_host(host: &str) -> Result<()> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let is_address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host.len() <= HOST_BYTES && (is_name || is_address) && is_port {
        return Ok(());
    }
    Err(PlatformError::Invalid(format!(
        "{host:?} is no registry: write its host, and its port if it has one, as in registry.example.com:5000."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_have_hosts_tags_and_digests() {
        for (text, host) in [
            ("registry.example.com/team/app", Some("registry.example.com")),
            ("127.0.0.1:5000/app:v1.2_3", Some("127.0.0.1:5000")),
            ("localhost/app", Some("localhost")),
            ("[::1]:5000/app:1", Some("[::1]:5000")),
            ("app:latest", None),
            ("team/app", None),
        ] {
            let reference = ImageReference::parse(text).unwrap();
            assert_eq!(reference.host(), host, "{text}");
            assert_eq!(reference.to_string(), text);
            assert_eq!(reference.with_digest(DIGEST), format!("{text}@{DIGEST}"));
        }
        let both = ImageReference::parse(&format!("host:5000/app:1@{DIGEST}")).unwrap();
        assert_eq!(both.to_string(), format!("host:5000/app@{DIGEST}"), "the digest counts");
        assert_eq!(both.with_digest("sha256:other"), both.to_string());
    }

    #[test]
    fn what_is_no_reference_is_refused_in_one_line() {
        for text in [
            "",
            "App",
            "https://host/app",
            "host.example/app:",
            "host.example/app@sha256:12",
            "host.example//app",
            "host.example/",
            "--help",
            "a b",
            "host.example:0/app",
            "../app",
            "host.example/app\n",
        ] {
            // Space around a reference does no harm.
            let Err(error) = ImageReference::parse(text) else {
                assert_eq!(text.trim(), "host.example/app");
                continue;
            };
            let error = error.to_string();
            assert!(error.contains("HOST/NAME") && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for host in ["registry.example.com", "localhost:5000", "10.0.0.1", "[::1]", "[::1]:5000"] {
            check_host(host).unwrap();
        }
        for host in ["", "https://x", "a/b", "a:b", "a:0", "-x", "a b", "[x]", "me@host", ":5000"] {
            assert!(check_host(host).is_err(), "{host}");
        }
    }
}
