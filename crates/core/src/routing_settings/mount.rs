//! Paths: several apps share a host, each below its own prefix.

use super::{RoutingSettingsError, shortened};
use crate::names::Hostname;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A path of a host that an app answers: `www.example.com/api`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathMount {
    pub host: Hostname,
    /// Starts with a slash and does not end with one: `/api`.
    pub prefix: String,
}

impl PathMount {
    /// Whether a path is the prefix or lies below it. `/api` has `/api` and `/api/x`, not `/apis`.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        covers(&self.prefix, path)
    }
}

/// Whether `path`, with or without a query, is `prefix` or lies below it.
#[must_use]
pub(super) fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'/' | b'?')))
}

impl FromStr for PathMount {
    type Err = RoutingSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || RoutingSettingsError::Value {
            name: "path",
            text: shortened(text),
            expected: "the host of another of your apps and a path, for example www.example.com/api",
        };
        let at = text.find('/').ok_or_else(wrong)?;
        let (host, prefix) = text.split_at(at);
        let host: Hostname = host.to_ascii_lowercase().parse().map_err(|_| wrong())?;
        let prefix = prefix.trim_end_matches('/');
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
        let segments = prefix.split('/').skip(1);
        let odd = |segment: &str| matches!(segment, "" | "." | "..");
        if host.as_str().starts_with('*')
            || prefix.is_empty()
            || prefix.len() > 200
            || !prefix.bytes().all(plain)
            || segments.into_iter().any(odd)
        {
            return Err(wrong());
        }
        Ok(Self { host, prefix: prefix.to_owned() })
    }
}

impl fmt::Display for PathMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_and_cover_whole_segments() {
        let mount: PathMount = "WWW.example.com/api/v1/".parse().unwrap();
        assert_eq!(mount.to_string(), "www.example.com/api/v1");
        for (path, covered) in [
            ("/api/v1", true),
            ("/api/v1/", true),
            ("/api/v1/x?y", true),
            ("/api/v1?x=/y", true),
            ("/api/v10", false),
            ("/api", false),
            ("/API/v1", false),
            ("*", false),
        ] {
            assert_eq!(mount.covers(path), covered, "{path}");
        }
        for wrong in [
            "",
            "/api",
            "example.com",
            "example.com/",
            "a.b//x",
            "a.b/../x",
            "*.a.b/x",
            "a.b/x y",
            "a.b/%41",
        ] {
            assert!(wrong.parse::<PathMount>().is_err(), "{wrong}");
        }
    }
}
