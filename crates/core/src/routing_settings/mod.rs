//! How an app's requests are routed: the settings that its people choose.

mod header_rule;
mod key;
mod mount;
mod network;
mod page;
mod password;
mod report;
mod value;

pub use header_rule::{HeaderRules, MOST_HEADER_RULES, reserved_header};
pub use key::{NAMES, REQUEST_HEADER, RESPONSE_HEADER};
pub use mount::PathMount;
pub use network::Network;
pub use page::{PAGE_BYTES, Page, PageKind, Pages};
pub use password::{NoPasswordHash, PasswordHash};
pub use report::{Origin, Reported, report};

use crate::names::Hostname;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// From the whole request to the first byte of the answer, unless somebody chose (Heroku H12).
pub const FIRST_BYTE_SECONDS: u32 = 30;
/// Silence in both directions, unless somebody chose (Heroku H15).
pub const IDLE_SECONDS: u32 = 55;
/// The longest time limit of a request: one day.
pub const LONGEST_SECONDS: u32 = 86_400;
/// Requests of one app that may wait for an instance, unless somebody chose.
pub const QUEUE: u32 = 1_000;
/// The most requests in flight at one instance, and the longest queue, that may be chosen.
pub const MOST_REQUESTS: u32 = 100_000;
/// Redirects of domains, mounts and users that one app can have, each.
pub const MOST_ENTRIES: usize = 100;
/// Networks in one list.
pub const MOST_NETWORKS: usize = 1_000;

/// What somebody chose; `None` and empty are the default. The router gets those of the app with
/// the server's where the app has none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RoutingSettings {
    /// What happens to requests over plain HTTP; by default they are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<HttpsMode>,
    /// `max-age` of Strict-Transport-Security on answers over HTTPS; 0 and `None`: no such header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts_subdomains: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts_preload: Option<bool>,
    /// Domains of the app that only lead to another one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub redirects: BTreeMap<Hostname, DomainRedirect>,
    /// Paths of other apps' hosts that this app answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathMount>,
    /// Whether the app gets paths without the prefix of `paths`; by default it gets them whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_path: Option<bool>,
    /// Who may see the app; empty: everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub basic_auth: Vec<BasicUser>,
    /// The networks from which requests are served; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// The networks from which they are not, also if `allow` has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Network>,
    /// The largest body of a request, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// From the whole request to the first byte of the answer (H12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_seconds: Option<u32>,
    /// Silence in both directions of an answer, an upload or a tunnel (H15, H28).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Headers of requests that are set or removed on their way to the app.
    #[serde(skip_serializing_if = "HeaderRules::is_empty")]
    pub request_headers: HeaderRules,
    /// Headers of answers that are set or removed on their way to the client.
    #[serde(skip_serializing_if = "HeaderRules::is_empty")]
    pub response_headers: HeaderRules,
    /// Whether a client keeps its instance, by a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<bool>,
    /// Requests that may be in flight at each instance; with more than this times its instances
    /// the app is saturated and requests wait. `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Requests that may wait while the app is saturated or starting; more are answered with H11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Requests of one client address; more are answered with 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Requests that a client may send at once; by default as many as in one second, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_burst: Option<u32>,
    /// Whether requests are in the app's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<bool>,
    /// What the app speaks; HTTP/1.1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<AppProtocol>,
    /// Own pages in the place of the router's.
    #[serde(skip_serializing_if = "Pages::is_empty")]
    pub pages: Pages,
}

/// What happens to requests over plain HTTP.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HttpsMode {
    /// They are served.
    Allow,
    /// They are sent to the same address with `https`.
    Redirect,
}

/// Where requests to a domain are sent.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DomainRedirect {
    pub to: Hostname,
    /// 301, or 308, which keeps the method.
    pub status: u16,
}

/// Somebody who may see the app.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BasicUser {
    pub name: String,
    pub password: PasswordHash,
}

/// How answers are compressed for clients that can read it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Off,
    Gzip,
}

/// What an app speaks.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// HTTP/1.1
    #[default]
    H1,
    /// HTTP/2 without TLS, by prior knowledge: for gRPC.
    H2c,
}

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    /// 1, 60 or 3600.
    pub seconds: u32,
}

impl RateLimit {
    /// Returns the time in which a client earns one request.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds)) / self.requests.max(1)
    }

    /// Returns how many requests a client may send at once if nobody chose.
    #[must_use]
    pub fn default_burst(&self) -> u32 {
        (self.requests / self.seconds.max(1)).max(1)
    }
}

impl RoutingSettings {
    /// Returns the settings of an app for which nobody chose any.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: LazyLock<RoutingSettings> = LazyLock::new(RoutingSettings::default);
        &NONE
    }

    #[must_use]
    pub fn is_default(&self) -> bool {
        self == Self::none()
    }

    /// Returns these settings, with those of the server where nobody chose for the app.
    #[must_use]
    pub fn over(&self, server: &Self) -> Self {
        let list = |own: &Vec<Network>, server: &Vec<Network>| {
            if own.is_empty() { server.clone() } else { own.clone() }
        };
        Self {
            https: self.https.or(server.https),
            hsts_seconds: self.hsts_seconds.or(server.hsts_seconds),
            hsts_subdomains: self.hsts_subdomains.or(server.hsts_subdomains),
            hsts_preload: self.hsts_preload.or(server.hsts_preload),
            redirects: self.redirects.clone(),
            paths: self.paths.clone(),
            strip_path: self.strip_path,
            basic_auth: self.basic_auth.clone(),
            allow: list(&self.allow, &server.allow),
            deny: list(&self.deny, &server.deny),
            max_body_bytes: self.max_body_bytes.or(server.max_body_bytes),
            first_byte_seconds: self.first_byte_seconds.or(server.first_byte_seconds),
            idle_seconds: self.idle_seconds.or(server.idle_seconds),
            compression: self.compression.or(server.compression),
            request_headers: self.request_headers.over(&server.request_headers),
            response_headers: self.response_headers.over(&server.response_headers),
            sticky: self.sticky.or(server.sticky),
            concurrency: self.concurrency.or(server.concurrency),
            queue: self.queue.or(server.queue),
            rate_limit: self.rate_limit.or(server.rate_limit),
            rate_burst: self.rate_burst.or(server.rate_burst),
            access_log: self.access_log.or(server.access_log),
            app_protocol: self.app_protocol.or(server.app_protocol),
            pages: self.pages.clone(),
        }
    }

    /// Returns the value of Strict-Transport-Security; `None`: no such header.
    #[must_use]
    pub fn hsts(&self) -> Option<String> {
        let seconds = self.hsts_seconds.filter(|seconds| *seconds > 0)?;
        let subdomains =
            if self.hsts_subdomains == Some(true) { "; includeSubDomains" } else { "" };
        let preload = if self.hsts_preload == Some(true) { "; preload" } else { "" };
        Some(format!("max-age={seconds}{subdomains}{preload}"))
    }

    #[must_use]
    pub fn app_protocol(&self) -> AppProtocol {
        self.app_protocol.unwrap_or_default()
    }

    #[must_use]
    pub fn is_sticky(&self) -> bool {
        self.sticky == Some(true)
    }

    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.compression == Some(Compression::Gzip)
    }

    /// Returns whether requests are in the app's log.
    #[must_use]
    pub fn has_access_log(&self) -> bool {
        self.access_log != Some(false)
    }

    /// Says what does not fit together.
    pub fn check(&self) -> Result<(), RoutingSettingsError> {
        const YEAR: u32 = 31_536_000;
        let preload = self.hsts_preload == Some(true);
        let subdomains = self.hsts_subdomains == Some(true);
        if preload && !(subdomains && self.hsts_seconds.is_some_and(|seconds| seconds >= YEAR)) {
            return Err(RoutingSettingsError::Preload);
        }
        for (from, redirect) in &self.redirects {
            if self.redirects.contains_key(&redirect.to) {
                let (from, to) = (from.to_string(), redirect.to.to_string());
                return Err(RoutingSettingsError::RedirectChain { from, to });
            }
        }
        for (what, count) in [
            ("redirects of domains", self.redirects.len()),
            ("paths", self.paths.len()),
            ("users", self.basic_auth.len()),
        ] {
            if count > MOST_ENTRIES {
                return Err(RoutingSettingsError::TooMany { what, most: MOST_ENTRIES });
            }
        }
        for rules in [&self.request_headers, &self.response_headers] {
            if rules.len() > MOST_HEADER_RULES {
                let (what, most) = ("header rules", MOST_HEADER_RULES);
                return Err(RoutingSettingsError::TooMany { what, most });
            }
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Something that cannot be set, in one line that says what can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingSettingsError {
    #[error("There is no routing setting {0:?}: use {list}, request-header:NAME or response-header:NAME.", list = NAMES.join(", "))]
    UnknownName(String),
    #[error("{name} is {text:?}: give {expected}.")]
    Value { name: &'static str, text: String, expected: &'static str },
    #[error("{name:?} is no header that can be set or removed: {reason}.")]
    Header { name: String, reason: &'static str },
    #[error("hsts-preload needs hsts-subdomains=on and an hsts of at least 365d.")]
    Preload,
    #[error("{from} leads to {to}, which leads on to another domain: redirect to the last one.")]
    RedirectChain { from: String, to: String },
    #[error("A domain is redirected with status 301 or 308, not {0}.")]
    RedirectStatus(u16),
    #[error("An app can have at most {most} {what}.")]
    TooMany { what: &'static str, most: usize },
    #[error("There is no page {0:?}: use error, maintenance or blank.")]
    UnknownPage(String),
    #[error(
        "A page has from 1 to {PAGE_BYTES} bytes, this one has {bytes}; larger images belong elsewhere."
    )]
    Page { bytes: usize },
    #[error("{0} is set for each app, not for the server.")]
    OnlyForApps(String),
}

#[cfg(test)]
mod tests;
