//! The route table: an immutable snapshot of all apps, found by host name.

mod file;
mod mounts;
mod shards;
mod store;

pub(crate) use store::{Change, TableStore};

use crate::metrics::AppMetrics;
use crate::policy::Policy;
use crate::target::{Queue, Target, choose, is_fit};
use mounts::Mounts;
use shards::Shards;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use windlass_core::ids::AppId;
use windlass_core::route::{AppRoute, Availability};
use windlass_core::routing_settings::AppProtocol;

/// One app as the request path needs it.
pub(crate) struct App {
    pub route: Arc<AppRoute>,
    pub targets: Vec<Arc<Target>>,
    pub canary: Option<CanaryTargets>,
    pub log_file: Option<Arc<Path>>,
    /// Requests waiting for an instance; lives on when the route is replaced, as do the metrics.
    pub queue: Arc<Queue>,
    pub metrics: Arc<AppMetrics>,
    /// What its settings say about requests; `None`: nothing. Lives on with the settings.
    pub policy: Option<Arc<Policy>>,
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
        let most = self.most_in_flight();
        let Some(canary) = &self.canary else { return choose(&self.targets, excluded, most) };
        let (first, second) = if canary.takes_next() {
            (&canary.targets, &self.targets)
        } else {
            (&self.targets, &canary.targets)
        };
        choose(first, excluded, most).or_else(|| choose(second, excluded, most))
    }

    /// Returns the target that is wanted if it is fit to take requests.
    pub fn prefer(
        &self,
        excluded: &[Arc<Target>],
        is_wanted: impl Fn(&Target) -> bool,
    ) -> Option<&Arc<Target>> {
        let wanted = self.all_targets().find(|target| is_wanted(target))?;
        let is_excluded = excluded.iter().any(|other| Arc::ptr_eq(other, wanted));
        (!is_excluded && is_fit(wanted, self.most_in_flight())).then_some(wanted)
    }

    /// Requests that may be in flight at each target, if there is a limit.
    pub fn most_in_flight(&self) -> Option<u64> {
        self.route.settings.as_ref()?.concurrency.map(u64::from)
    }

    /// Requests that may wait; `default` unless somebody chose.
    pub fn most_waiting(&self, default: usize) -> usize {
        let chosen = self.route.settings.as_ref().and_then(|settings| settings.queue);
        chosen.map_or(default, |most| most as usize)
    }

    /// Whether a new request comes after others that wait for room.
    pub fn must_queue(&self) -> bool {
        self.most_in_flight().is_some() && !self.queue.is_empty()
    }

    /// Whether its instances speak HTTP/2 without TLS. Only the general path knows how.
    pub fn speaks_h2c(&self) -> bool {
        self.route.settings().app_protocol() == AppProtocol::H2c
    }

    pub fn has_targets(&self) -> bool {
        self.all_targets().next().is_some()
    }

    pub fn all_targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.iter().chain(self.canary.iter().flat_map(|canary| &canary.targets))
    }
}

/// All apps at one moment. A copy with a few changes shares the rest.
#[derive(Clone, Default)]
pub(crate) struct Table {
    apps: Shards<AppId>,
    /// Of two apps that claim the same host always the same one has it.
    exact: Shards<Arc<str>>,
    /// `*.example.com` without its star and dot.
    wildcards: Shards<Arc<str>>,
    /// Apps that answer paths of others' hosts, by host.
    mounts: Arc<Mounts>,
}

impl Table {
    /// Returns the table with other apps in the place of those with these ids, or with none.
    fn with(&self, changes: impl IntoIterator<Item = (AppId, Option<Arc<App>>)>) -> Self {
        let mut table = self.clone();
        let mut changes_mounts = false;
        for (id, after) in changes {
            let before = table.apps.get(&id).cloned();
            let both = before.iter().chain(&after);
            changes_mounts |= both.clone().any(|app| !app.route.settings().paths.is_empty());
            if let Some(before) = &before {
                table.forget(before);
            }
            if let Some(after) = after {
                table.put(after);
            }
        }
        if changes_mounts {
            table.mounts = Arc::new(Mounts::new(table.apps.values()));
        }
        table
    }

    fn put(&mut self, app: Arc<App>) {
        for host in &app.route.hosts {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix("*.") {
                Some(suffix) => self.wildcards.insert(suffix.into(), Arc::clone(&app)),
                None => self.exact.insert(host.into(), Arc::clone(&app)),
            }
        }
        self.apps.insert(app.route.app, app);
    }

    fn forget(&mut self, app: &App) {
        let id = app.route.app;
        for host in &app.route.hosts {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix("*.") {
                Some(suffix) => self.wildcards.remove(suffix, id),
                None => self.exact.remove(host.as_str(), id),
            }
        }
        self.apps.remove(&id, id);
    }

    /// Returns an app by its id.
    pub fn app(&self, id: &AppId) -> Option<&Arc<App>> {
        self.apps.get(id)
    }

    /// Returns the app for a path of a host: the one whose path it is, else that of the host.
    pub fn find_at(&self, host: &str, path: &str) -> Option<&Arc<App>> {
        self.mounts.find(host, path).or_else(|| self.find(host))
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
mod change_tests;
#[cfg(test)]
mod tests;
