//! Names that people choose, parsed once at the edge.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that a user gave is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error(
        "Name {0:?} must start with a letter, end with a letter or digit and can only contain lowercase letters, digits, and dashes (2 to 30 characters)."
    )]
    App(String),
    #[error("{0:?} is not a process type: use letters, digits, `-` and `_` (at most 63)")]
    ProcessType(String),
    #[error(
        "{0:?} is not a config var name: use letters, digits and `_`, not starting with a digit"
    )]
    ConfigVar(String),
    #[error("{0:?} is not a valid hostname.")]
    Hostname(String),
    #[error(
        "{0:?} is not a volume name: use lowercase letters, digits and dashes, starting with a letter (at most 30)"
    )]
    Volume(String),
    #[error(
        "{0:?} is not a cron job's name: use lowercase letters, digits and dashes (at most 40)"
    )]
    Cron(String),
    #[error(
        "{0:?} is not a pipeline's name: use lowercase letters, digits and dashes, starting with a letter (2 to 30)"
    )]
    Pipeline(String),
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $error:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Debug)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName::$error(text.chars().take(80).collect()))
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of an app: 2 to 30 characters, `^[a-z][a-z0-9-]*[a-z0-9]$` (Heroku's rule,
    /// but two characters are enough). It is also the first label of its default domain.
    AppName, App, |s| {
        (2..=30).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && s.as_bytes()[0].is_ascii_lowercase()
            && !s.ends_with('-')
    }
);

name_type!(
    /// The name of a pipeline: 2 to 30 characters, as an app's.
    PipelineName, Pipeline, |s| s.parse::<AppName>().is_ok()
);

name_type!(
    /// A process type of a formation: `web`, `worker`, `release` …
    ProcessType, ProcessType, |s| {
        (1..=63).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }
);

name_type!(
    /// The name of a config var: `^[A-Za-z_][A-Za-z0-9_]*$`, at most 128 characters.
    ConfigVarName, ConfigVar, |s| {
        (1..=128).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !s.as_bytes()[0].is_ascii_digit()
    }
);

name_type!(
    /// The name of a volume within its app: `^[a-z][a-z0-9-]*$`, at most 30 characters.
    VolumeName, Volume, |s| {
        (1..=30).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && s.as_bytes()[0].is_ascii_lowercase()
    }
);

name_type!(
    /// The name of a cron job within its app: `^[a-z0-9][a-z0-9-]*$`, at most 40 characters.
    CronName, Cron, |s| {
        (1..=40).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !s.starts_with('-')
    }
);

name_type!(
    /// A host name in lower case, with an optional leading `*.` label.
    Hostname, Hostname, |s| {
        let rest = s.strip_prefix("*.").unwrap_or(s);
        (1..=253).contains(&s.len()) && rest.contains('.') && rest.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
    }
);

impl ProcessType {
    /// Returns `web`, the only type that receives requests.
    #[must_use]
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    #[must_use]
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }

    /// Returns whether this is the release-phase command, which is never scaled.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.0 == "release"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_follow_herokus_rule() {
        for good in ["ab", "bibly", "my-app-2", "a23456789012345678901234567890"] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "2ab",
            "Ab",
            "ab-",
            "-ab",
            "a_b",
            "a.b",
            "../x",
            "ab\n",
            "a2345678901234567890123456789012",
        ] {
            assert!(bad.parse::<AppName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hostnames() {
        for good in ["example.com", "*.example.com", "a-b.c.d"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in ["localhost", "", "*", "a..b", "-a.b", "A.b", "a.b/c", "a b.c", "x.*.y"] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad:?}");
        }
    }
}
