//! Which apps' instances reach each other on the private network.

use crate::ids::AppId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The apps that are on the private network and the links between them. Instances of one app reach
/// each other; those of two apps do if the apps are linked. A link goes both ways. Whoever is not
/// named here reaches nobody.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Links {
    apps: BTreeMap<AppId, BTreeSet<AppId>>,
}

impl Links {
    /// Returns the network of `apps`; links that name any other app are left out.
    #[must_use]
    pub fn new(
        apps: impl IntoIterator<Item = AppId>,
        links: impl IntoIterator<Item = (AppId, AppId)>,
    ) -> Self {
        let mut apps: BTreeMap<AppId, BTreeSet<AppId>> =
            apps.into_iter().map(|app| (app, BTreeSet::new())).collect();
        for (one, other) in links {
            if one == other || !apps.contains_key(&one) || !apps.contains_key(&other) {
                continue;
            }
            apps.entry(one).or_default().insert(other);
            apps.entry(other).or_default().insert(one);
        }
        Self { apps }
    }

    /// Whether instances of `from` reach those of `to`.
    #[must_use]
    pub fn allows(&self, from: AppId, to: AppId) -> bool {
        self.apps.get(&from).is_some_and(|linked| from == to || linked.contains(&to))
    }

    /// Returns the apps that are linked with `app`.
    #[must_use]
    pub fn of(&self, app: AppId) -> BTreeSet<AppId> {
        self.apps.get(&app).cloned().unwrap_or_default()
    }

    /// Returns every pair of which the first reaches the second, each app with itself included.
    pub fn pairs(&self) -> impl Iterator<Item = (AppId, AppId)> + '_ {
        self.apps.iter().flat_map(|(app, linked)| {
            std::iter::once((*app, *app)).chain(linked.iter().map(|other| (*app, *other)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_both_ways_and_no_further() {
        let [a, b, c, gone] = [(); 4].map(|()| AppId::random());
        let links = Links::new([a, b, c], [(a, b), (b, c), (c, gone), (a, a)]);
        for (from, to, allowed) in [
            (a, a, true),
            (a, b, true),
            (b, a, true),
            (c, b, true),
            (a, c, false),
            (c, gone, false),
            (gone, c, false),
            (gone, gone, false),
        ] {
            assert_eq!(links.allows(from, to), allowed, "{from} to {to}");
            assert_eq!(links.pairs().any(|pair| pair == (from, to)), allowed, "{from} to {to}");
        }
        assert_eq!(links.of(b), BTreeSet::from([a, c]));
    }
}
