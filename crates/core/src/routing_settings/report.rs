//! What holds for an app, and where each of it comes from.

use super::{
    FIRST_BYTE_SECONDS, IDLE_SECONDS, NAMES, QUEUE, REQUEST_HEADER, RESPONSE_HEADER,
    RoutingSettings, value,
};
use std::collections::BTreeSet;

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody set it for the app.
    App,
    /// The server's owner set it for all apps.
    Server,
    /// Nobody did.
    BuiltIn,
}

impl Origin {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Server => "server",
            Self::BuiltIn => "built-in",
        }
    }
}

/// One setting that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    pub name: String,
    /// As people write it; `None`: it has no value. A rule that removes a header has an empty one.
    pub value: Option<String>,
    pub origin: Origin,
}

/// Returns all settings in order, rules on headers last.
#[must_use]
pub fn report(app: &RoutingSettings, server: &RoutingSettings) -> Vec<Reported> {
    let rules = |prefix: &'static str, of: fn(&RoutingSettings) -> &super::HeaderRules| {
        let names: BTreeSet<String> = [app, server]
            .into_iter()
            .flat_map(|s| of(s).iter())
            .map(|(n, _)| n.to_owned())
            .collect();
        names.into_iter().map(move |name| format!("{prefix}{name}"))
    };
    let names = NAMES.into_iter().map(str::to_owned);
    let names = names
        .chain(rules(REQUEST_HEADER, |settings| &settings.request_headers))
        .chain(rules(RESPONSE_HEADER, |settings| &settings.response_headers));
    let found = |name: String| {
        let (value, origin) = match (app.get(&name), server.get(&name)) {
            (Some(value), _) => (Some(value), Origin::App),
            (None, Some(value)) => (Some(value), Origin::Server),
            (None, None) => (built_in(&name, &app.over(server)), Origin::BuiltIn),
        };
        Reported { name, value, origin }
    };
    names.map(found).collect()
}

fn built_in(name: &str, in_force: &RoutingSettings) -> Option<String> {
    let text = match name {
        "https" => "allow".to_owned(),
        "first-byte-timeout" => value::show_seconds(FIRST_BYTE_SECONDS),
        "idle-timeout" => value::show_seconds(IDLE_SECONDS),
        "queue" => QUEUE.to_string(),
        "access-log" => "on".to_owned(),
        "app-protocol" => "h1".to_owned(),
        "rate-burst" => in_force.rate_limit?.default_burst().to_string(),
        "hsts" | "hsts-subdomains" | "hsts-preload" | "strip-path" | "compression" | "sticky" => {
            "off".to_owned()
        }
        _ => return None,
    };
    Some(text)
}
