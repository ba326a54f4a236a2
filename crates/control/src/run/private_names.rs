//! Which instances have a name on the private network.

use super::app_task::AppTask;
use std::collections::HashSet;
use std::net::IpAddr;
use windlass_core::ids::InstanceId;
use windlass_core::plan::{Live, Phase, Wanted};
use windlass_core::route::{AppRoute, NamedInstance, PrivateNames};

impl AppTask {
    /// Returns what the app's names answer beside `route`: a web instance has a name exactly when
    /// it takes requests, any other when it is up and of the release that is served.
    pub(super) fn private_names(&self, route: &AppRoute, current: Option<&Wanted>) -> PrivateNames {
        let beside = self.candidate.as_ref().filter(|candidate| candidate.canary.is_none());
        let beside = beside.filter(|_| self.app.deploys.settings.surge.is_some());
        let served: Vec<&Wanted> =
            current.into_iter().chain(beside.map(|candidate| &candidate.wanted)).collect();
        let instances = self.instances.values().map(|t| (&t.live, t.private_address));
        PrivateNames { instances: named(route, &served, instances), linked: self.linked.clone() }
    }
}

/// Returns the instances with names in a fixed order, so that equal states give equal routes.
fn named<'a>(
    route: &AppRoute,
    served: &[&Wanted],
    instances: impl Iterator<Item = (&'a Live, Option<IpAddr>)>,
) -> Vec<NamedInstance> {
    let targets: HashSet<&InstanceId> =
        route.targets.iter().map(|target| &target.instance).collect();
    let has_name = |live: &Live| match live.slot.process.is_web() {
        true => targets.contains(&live.id),
        false => live.phase == Phase::Up && served.iter().any(|wanted| is_wanted(wanted, live)),
    };
    let mut named: Vec<NamedInstance> = instances
        .filter(|(live, _)| has_name(live))
        .filter_map(|(live, address)| {
            let (process, index) = (live.slot.process.clone(), live.slot.index);
            Some(NamedInstance { process, index, address: address? })
        })
        .collect();
    named.sort_by(|a, b| (&a.process, a.index, a.address).cmp(&(&b.process, b.index, b.address)));
    named
}

fn is_wanted(wanted: &Wanted, live: &Live) -> bool {
    let quantity = wanted.quantities.get(&live.slot.process).copied().unwrap_or(0);
    live.release == wanted.release && live.slot.index <= quantity
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use windlass_core::ids::AppId;
    use windlass_core::plan::Slot;
    use windlass_core::route::{Availability, Target};

    fn live(id: &str, process: &str, release: u32, phase: Phase) -> Live {
        let slot = Slot { process: process.parse().unwrap(), index: 1 };
        Live { id: InstanceId(id.into()), slot, release, generation: 0, phase }
    }

    fn route(targets: &[&str]) -> AppRoute {
        let target = |id: &&str| Target {
            instance: InstanceId((*id).into()),
            name: "web.1".into(),
            address: "10.0.0.9:5000".parse().unwrap(),
        };
        AppRoute {
            app: AppId::random(),
            app_name: "shop".parse().unwrap(),
            hosts: vec![],
            availability: Availability::Serving,
            targets: targets.iter().map(target).collect(),
            canary: None,
            log_file: None,
            private: PrivateNames::default(),
            settings: None,
        }
    }

    #[test]
    fn only_what_is_in_service_has_a_name() {
        let quantities =
            BTreeMap::from([("web".parse().unwrap(), 1), ("worker".parse().unwrap(), 1)]);
        let wanted = Wanted { release: 3, generation: 0, quantities };
        let address = Some("10.0.0.9".parse().unwrap());
        for (what, live, count) in [
            ("a target", live("a", "web", 3, Phase::Up), 1),
            ("up, but not in the route", live("b", "web", 3, Phase::Up), 0),
            ("another type that is up", live("c", "worker", 3, Phase::Up), 1),
            ("one that starts", live("c", "worker", 3, Phase::Starting), 0),
            ("one that retires", live("c", "worker", 3, Phase::Retiring), 0),
            ("one of another release", live("c", "worker", 2, Phase::Up), 0),
            ("one of a type that is not wanted", live("c", "clock", 3, Phase::Up), 0),
        ] {
            let found = named(&route(&["a"]), &[&wanted], [(&live, address)].into_iter());
            assert_eq!(found.len(), count, "{what}");
        }
    }
}
