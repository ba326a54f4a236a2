//! The settings by their names: read from text, and shown as text.

use super::value::{
    bytes, count, entries, flag, one_of, rate, seconds, show_bytes, show_flag, show_rate,
    show_seconds,
};
use super::{
    AppProtocol, BasicUser, Compression, HttpsMode, LONGEST_SECONDS, MOST_REQUESTS, Network,
    PathMount, RoutingSettings, RoutingSettingsError, shortened,
};

/// The names under which settings are set, in the order of reports. Rules on headers are beside
/// them, see [`REQUEST_HEADER`].
pub const NAMES: [&str; 20] = [
    "https",
    "hsts",
    "hsts-subdomains",
    "hsts-preload",
    "path",
    "strip-path",
    "basic-auth",
    "allow",
    "deny",
    "max-body",
    "first-byte-timeout",
    "idle-timeout",
    "compression",
    "sticky",
    "concurrency",
    "queue",
    "rate-limit",
    "rate-burst",
    "access-log",
    "app-protocol",
];

/// Begins the name of a rule on a header of requests: `request-header:X-Tenant`.
pub const REQUEST_HEADER: &str = "request-header:";
/// Begins the name of a rule on a header of answers: `response-header:X-Frame-Options`.
pub const RESPONSE_HEADER: &str = "response-header:";

/// Settings that make no sense for all apps of a server.
const ONLY_FOR_APPS: [&str; 3] = ["path", "strip-path", "basic-auth"];

const HTTPS: [(&str, HttpsMode); 2] =
    [("allow", HttpsMode::Allow), ("redirect", HttpsMode::Redirect)];
const COMPRESSIONS: [(&str, Compression); 2] =
    [("off", Compression::Off), ("gzip", Compression::Gzip)];
const PROTOCOLS: [(&str, AppProtocol); 2] = [("h1", AppProtocol::H1), ("h2c", AppProtocol::H2c)];

impl RoutingSettings {
    /// Sets one by its name from text as people write it; `None` goes back to the default. Users
    /// of `basic-auth` come with their hashed password, `NAME:HASH`.
    pub fn set(&mut self, name: &str, text: Option<&str>) -> Result<(), RoutingSettingsError> {
        if let Some(header) = name.strip_prefix(REQUEST_HEADER) {
            return self.request_headers.put(header, text);
        }
        if let Some(header) = name.strip_prefix(RESPONSE_HEADER) {
            return self.response_headers.put(header, text);
        }
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            return Err(RoutingSettingsError::UnknownName(shortened(name)));
        };
        let networks = |text| entries::<Network>(name, text, super::MOST_NETWORKS);
        match name {
            "https" => self.https = text.map(|t| one_of(name, t, &HTTPS)).transpose()?,
            "hsts" => self.hsts_seconds = text.map(|t| hsts(name, t)).transpose()?,
            "hsts-subdomains" => self.hsts_subdomains = text.map(|t| flag(name, t)).transpose()?,
            "hsts-preload" => self.hsts_preload = text.map(|t| flag(name, t)).transpose()?,
            "path" => self.paths = text.map(paths).transpose()?.unwrap_or_default(),
            "strip-path" => self.strip_path = text.map(|t| flag(name, t)).transpose()?,
            "basic-auth" => self.basic_auth = text.map(users).transpose()?.unwrap_or_default(),
            "allow" => self.allow = text.map(networks).transpose()?.unwrap_or_default(),
            "deny" => self.deny = text.map(networks).transpose()?.unwrap_or_default(),
            "max-body" => self.max_body_bytes = text.map(|t| bytes(name, t)).transpose()?,
            "first-byte-timeout" => {
                self.first_byte_seconds = text.map(|t| limit(name, t)).transpose()?;
            }
            "idle-timeout" => self.idle_seconds = text.map(|t| limit(name, t)).transpose()?,
            "compression" => {
                self.compression = text.map(|t| one_of(name, t, &COMPRESSIONS)).transpose()?;
            }
            "sticky" => self.sticky = text.map(|t| flag(name, t)).transpose()?,
            "concurrency" => self.concurrency = text.map(|t| requests(name, t)).transpose()?,
            "queue" => {
                let expected = "a number of waiting requests from 0 to 100000";
                self.queue =
                    text.map(|t| count(name, t, 0, MOST_REQUESTS, expected)).transpose()?;
            }
            "rate-limit" => self.rate_limit = text.map(|t| rate(name, t)).transpose()?,
            "rate-burst" => self.rate_burst = text.map(|t| requests(name, t)).transpose()?,
            "access-log" => self.access_log = text.map(|t| flag(name, t)).transpose()?,
            _ => self.app_protocol = text.map(|t| one_of(name, t, &PROTOCOLS)).transpose()?,
        }
        Ok(())
    }

    /// Returns one by its name, as people write it; `None`: nobody chose. Of `basic-auth` only
    /// the users' names.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        if let Some(header) = name.strip_prefix(REQUEST_HEADER) {
            return self.request_headers.get(header).map(|value| value.unwrap_or_default().into());
        }
        if let Some(header) = name.strip_prefix(RESPONSE_HEADER) {
            return self.response_headers.get(header).map(|value| value.unwrap_or_default().into());
        }
        match name {
            "https" => self.https.map(|value| word(value, &HTTPS)),
            "hsts" => {
                self.hsts_seconds.map(|s| if s == 0 { "off".into() } else { show_seconds(s) })
            }
            "hsts-subdomains" => self.hsts_subdomains.map(show_flag),
            "hsts-preload" => self.hsts_preload.map(show_flag),
            "path" => joined(self.paths.iter()),
            "strip-path" => self.strip_path.map(show_flag),
            "basic-auth" => joined(self.basic_auth.iter().map(|user| &user.name)),
            "allow" => joined(self.allow.iter()),
            "deny" => joined(self.deny.iter()),
            "max-body" => self.max_body_bytes.map(show_bytes),
            "first-byte-timeout" => self.first_byte_seconds.map(show_seconds),
            "idle-timeout" => self.idle_seconds.map(show_seconds),
            "compression" => self.compression.map(|value| word(value, &COMPRESSIONS)),
            "sticky" => self.sticky.map(show_flag),
            "concurrency" => self.concurrency.map(|n| n.to_string()),
            "queue" => self.queue.map(|n| n.to_string()),
            "rate-limit" => self.rate_limit.map(show_rate),
            "rate-burst" => self.rate_burst.map(|n| n.to_string()),
            "access-log" => self.access_log.map(show_flag),
            "app-protocol" => self.app_protocol.map(|value| word(value, &PROTOCOLS)),
            _ => None,
        }
    }

    /// Reads the server's defaults: `https=redirect max-body=100M`.
    pub fn server_defaults(text: &str) -> Result<Self, RoutingSettingsError> {
        let mut settings = Self::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if ONLY_FOR_APPS.contains(&name) {
                return Err(RoutingSettingsError::OnlyForApps(name.to_owned()));
            }
            settings.set(name, Some(value))?;
        }
        settings.check()?;
        Ok(settings)
    }
}

fn word<T: PartialEq>(value: T, words: &[(&'static str, T)]) -> String {
    words.iter().find(|(_, of)| *of == value).map(|(word, _)| *word).unwrap_or_default().to_owned()
}

fn joined(items: impl Iterator<Item = impl ToString>) -> Option<String> {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    (!items.is_empty()).then(|| items.join(","))
}

fn hsts(name: &'static str, text: &str) -> Result<u32, RoutingSettingsError> {
    const TEN_YEARS: u32 = 315_360_000;
    let expected = "the time that browsers remember it, for example 30d or 365d, or off";
    match text {
        "off" => Ok(0),
        text => seconds(name, text, 0, TEN_YEARS, expected),
    }
}

fn limit(name: &'static str, text: &str) -> Result<u32, RoutingSettingsError> {
    seconds(name, text, 1, LONGEST_SECONDS, "a time from 1s to 24h, for example 45s or 5m")
}

fn requests(name: &'static str, text: &str) -> Result<u32, RoutingSettingsError> {
    count(name, text, 1, MOST_REQUESTS, "a number of requests from 1 to 100000")
}

fn paths(text: &str) -> Result<Vec<PathMount>, RoutingSettingsError> {
    entries("path", text, super::MOST_ENTRIES)
}

/// `NAME:HASH`, several of them with blanks between.
fn users(text: &str) -> Result<Vec<BasicUser>, RoutingSettingsError> {
    let wrong = || RoutingSettingsError::Value {
        name: "basic-auth",
        // Never what was given: it may be a password.
        text: "…".to_owned(),
        expected: "NAME:PASSWORD, several with blanks between",
    };
    let user = |text: &str| {
        let (name, password) = text.split_once(':').ok_or_else(wrong)?;
        let is_plain = |b: u8| (b'!'..=b'~').contains(&b) && b != b',';
        let fits = !name.is_empty() && name.len() <= 100 && name.bytes().all(is_plain);
        let password = password.parse().ok().filter(|_| fits).ok_or_else(wrong)?;
        Ok(BasicUser { name: name.to_owned(), password })
    };
    let users: Vec<BasicUser> = text.split_whitespace().map(user).collect::<Result<_, _>>()?;
    if users.is_empty() { Err(wrong()) } else { Ok(users) }
}
