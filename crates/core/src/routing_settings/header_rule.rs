//! Rules on headers: set a value, or remove the header.

use super::{RoutingSettingsError, shortened};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rules on headers of requests, or of answers, that one app can have.
pub const MOST_HEADER_RULES: usize = 50;
/// The longest value that can be set, in bytes.
const VALUE_BYTES: usize = 4_096;

/// The rules by the name of the header in lower case; `None` removes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct HeaderRules(BTreeMap<String, Option<String>>);

impl HeaderRules {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns each name with the value that it gets; `None`: it is removed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.0.get(&name.to_ascii_lowercase()).map(|value| value.as_deref())
    }

    /// Sets a rule: an empty value removes the header, `None` drops the rule.
    pub fn put(&mut self, name: &str, value: Option<&str>) -> Result<(), RoutingSettingsError> {
        let header = |reason| RoutingSettingsError::Header { name: shortened(name), reason };
        let lower = name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if lower.is_empty() || lower.len() > 100 || !lower.bytes().all(token) {
            return Err(header("it is not the name of a header"));
        }
        if let Some(reason) = reserved_header(&lower) {
            return Err(header(reason));
        }
        let Some(value) = value else {
            self.0.remove(&lower);
            return Ok(());
        };
        let value = value.trim();
        if value.len() > VALUE_BYTES || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(header("a value has at most 4096 printable ASCII characters"));
        }
        self.0.insert(lower, Some(value.to_owned()).filter(|value| !value.is_empty()));
        Ok(())
    }

    pub(super) fn over(&self, server: &Self) -> Self {
        let mut rules = server.0.clone();
        rules.extend(self.0.clone());
        Self(rules)
    }
}

/// Returns why no rule can be about a header, by its name in lower case.
#[must_use]
pub fn reserved_header(name: &str) -> Option<&'static str> {
    match name {
        "connection"
        | "keep-alive"
        | "te"
        | "trailer"
        | "transfer-encoding"
        | "upgrade"
        | "proxy-connection"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "expect" => Some("it belongs to one connection"),
        "content-length" | "host" => Some("it says what the message is"),
        "forwarded" | "via" | "x-request-id" | "x-request-start" => Some("the router makes it"),
        "strict-transport-security" => Some("use hsts, which sets it over HTTPS only"),
        _ if name.starts_with("x-forwarded-") => Some("the router makes it"),
        _ => None,
    }
}
