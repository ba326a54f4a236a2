//! Paths of hosts that apps other than the host's own answer.

use super::App;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use windlass_core::routing_settings::PathMount;

/// By host, the longest prefix first.
#[derive(Default)]
pub(super) struct Mounts {
    by_host: HashMap<Box<str>, Vec<(PathMount, Arc<App>)>>,
}

impl Mounts {
    pub fn new<'a>(apps: impl Iterator<Item = &'a Arc<App>>) -> Self {
        let mut mounts = Self::default();
        for app in apps {
            for mount in &app.route.settings().paths {
                let of_host = mounts.by_host.entry(mount.host.as_str().into()).or_default();
                of_host.push((mount.clone(), Arc::clone(app)));
            }
        }
        for of_host in mounts.by_host.values_mut() {
            // Of two apps that claim the same path always the same one has it.
            of_host.sort_by_key(|(mount, app)| (Reverse(mount.prefix.len()), app.route.app));
        }
        mounts
    }

    /// Returns the app with the longest prefix that covers the path.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<App>> {
        if self.by_host.is_empty() {
            return None;
        }
        let mut of_host = self.by_host.get(host)?.iter();
        of_host.find(|(mount, _)| mount.covers(path)).map(|(_, app)| app)
    }
}
