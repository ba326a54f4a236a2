//! The route table: an immutable snapshot of all apps, found by host name.

mod file;
mod store;

pub(crate) use store::{Change, TableStore};

use crate::target::{Target, choose};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use windlass_core::ids::AppId;
use windlass_core::route::{AppRoute, Availability};

/// One app as the request path needs it.
pub(crate) struct App {
    pub route: Arc<AppRoute>,
    pub targets: Vec<Arc<Target>>,
    pub canary: Option<CanaryTargets>,
    pub log_file: Option<Arc<Path>>,
    /// Requests waiting for an instance; lives on when the route is replaced.
    pub held: Arc<AtomicUsize>,
}

/// Targets that take a share of the requests.
pub(crate) struct CanaryTargets {
    pub percent: u32,
    pub targets: Vec<Arc<Target>>,
    /// Requests so far.
    pub turns: AtomicU32,
}

impl CanaryTargets {
    /// Whether this request is one of the share: of a hundred in a row exactly `percent` are,
    /// spread evenly.
    fn takes_next(&self) -> bool {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % 100;
        turn * self.percent % 100 < self.percent
    }
}

impl App {
    pub fn availability(&self) -> Availability {
        self.route.availability
    }

    /// Returns the target for the next request, if there is one that is not in `excluded`.
    pub fn choose(&self, excluded: &[Arc<Target>]) -> Option<&Arc<Target>> {
        let Some(canary) = &self.canary else { return choose(&self.targets, excluded) };
        let (first, second) = if canary.takes_next() {
            (&canary.targets, &self.targets)
        } else {
            (&self.targets, &canary.targets)
        };
        choose(first, excluded).or_else(|| choose(second, excluded))
    }

    pub fn has_targets(&self) -> bool {
        self.all_targets().next().is_some()
    }

    pub fn all_targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.iter().chain(self.canary.iter().flat_map(|canary| &canary.targets))
    }
}

/// All apps at one moment.
#[derive(Default)]
pub(crate) struct Table {
    /// In a fixed order: of two apps that claim the same host always the same one has it.
    apps: BTreeMap<AppId, Arc<App>>,
    exact: HashMap<Box<str>, Arc<App>>,
    /// `*.example.com` without its star and dot.
    wildcards: HashMap<Box<str>, Arc<App>>,
}

impl Table {
    fn new(apps: BTreeMap<AppId, Arc<App>>) -> Self {
        let mut table = Self { exact: HashMap::with_capacity(apps.len()), ..Self::default() };
        for app in apps.values() {
            for host in &app.route.hosts {
                let host = host.to_ascii_lowercase();
                match host.strip_prefix("*.") {
                    Some(suffix) => table.wildcards.insert(suffix.into(), Arc::clone(app)),
                    None => table.exact.insert(host.into(), Arc::clone(app)),
                };
            }
        }
        table.apps = apps;
        table
    }

    /// Returns the app for a host in lower case and without port: by its exact name, else by
    /// the longest wildcard that covers it with one label or more.
    pub fn find(&self, host: &str) -> Option<&Arc<App>> {
        if let Some(app) = self.exact.get(host) {
            return Some(app);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((label, suffix)) = rest.split_once('.') {
            if let Some(app) = self.wildcards.get(suffix).filter(|_| !label.is_empty()) {
                return Some(app);
            }
            rest = suffix;
        }
        None
    }

    pub fn apps(&self) -> impl Iterator<Item = &Arc<App>> {
        self.apps.values()
    }

    pub fn len(&self) -> usize {
        self.apps.len()
    }
}

/// Returns the host of a `Host` header in lower case without port and final dot, or `None`
/// when it is not a host name or address.
pub(crate) fn normalise_host(header: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(header).ok()?;
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let port = &text[end..];
        (&text[..end], if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port_is_number =
        port.is_none_or(|port| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()));
    let host = host.strip_suffix('.').unwrap_or(host);
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let address = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'[' | b']');
    let bracketed = host.starts_with('[');
    let host_is_valid = host.bytes().all(|b| if bracketed { address(b) } else { valid(b) });
    (port_is_number && host_is_valid && !host.is_empty() && host.len() <= 255)
        .then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
