//! From an app's state to its route: a pure function.

use crate::records::App;
use std::net::SocketAddr;
use std::path::PathBuf;
use windlass_core::plan::{Crashes, Live, Phase, Wanted};
use windlass_core::route::{AppRoute, Availability, Canary, PrivateNames, Target};

/// What the route of an app is made of.
pub(crate) struct RouteInput<'a> {
    pub app: &'a App,
    pub hosts: Vec<String>,
    /// `None` while nothing has been deployed.
    pub current: Option<&'a Wanted>,
    pub newer: Option<Newer<'a>>,
    pub live: &'a [(Live, Option<SocketAddr>)],
    pub crashes: &'a Crashes,
    pub log_file: PathBuf,
}

/// A release that is not current yet and takes requests already.
pub(crate) struct Newer<'a> {
    pub wanted: &'a Wanted,
    /// The share of a canary; without it the instances stand beside those of the current release.
    pub canary_percent: Option<u8>,
}

/// Returns the route: every wanted web instance of the current release that is up takes requests.
/// After a crash of the server instances may run that are not wanted any more.
pub(crate) fn route(input: &RouteInput<'_>) -> AppRoute {
    let mut targets = input.current.map(|current| targets_of(input, current)).unwrap_or_default();
    let mut canary = None;
    if let Some(newer) = &input.newer {
        let more = targets_of(input, newer.wanted);
        match newer.canary_percent {
            Some(percent) => canary = Some(Canary { percent, targets: more }),
            None => targets.extend(more),
        }
    }
    canary = canary.filter(|canary| !canary.targets.is_empty());
    targets.sort_by(|a, b| a.instance.cmp(&b.instance));
    AppRoute {
        app: input.app.id,
        app_name: input.app.name.clone(),
        hosts: input.hosts.clone(),
        availability: availability(input, !targets.is_empty() || canary.is_some()),
        targets,
        canary,
        log_file: Some(input.log_file.clone()),
        private: PrivateNames::default(),
        settings: None,
    }
}

/// Returns the web instances of a release that are wanted and up, in order of their ids.
fn targets_of(input: &RouteInput<'_>, wanted: &Wanted) -> Vec<Target> {
    let takes_requests = |live: &Live| {
        let slot = &live.slot;
        slot.process.is_web()
            && live.phase == Phase::Up
            && live.release == wanted.release
            && wanted.quantities.get(&slot.process).is_some_and(|n| slot.index <= *n)
    };
    let mut targets: Vec<Target> = input
        .live
        .iter()
        .filter(|(live, _)| takes_requests(live))
        .filter_map(|(live, address)| {
            Some(Target {
                instance: live.id.clone(),
                name: live.slot.to_string(),
                address: (*address)?,
            })
        })
        .collect();
    targets.sort_by(|a, b| a.instance.cmp(&b.instance));
    targets
}

fn availability(input: &RouteInput<'_>, has_targets: bool) -> Availability {
    let Some(current) = input.current else { return Availability::Blank };
    let web = current
        .quantities
        .iter()
        .find(|(process, _)| process.is_web())
        .map_or(0, |(_, quantity)| *quantity);
    let is_starting = input.live.iter().any(|(live, _)| {
        live.slot.process.is_web()
            && live.release == current.release
            && live.phase == Phase::Starting
    });
    let has_crashed = input
        .crashes
        .iter()
        .any(|(slot, crash)| slot.process.is_web() && crash.release == current.release);
    if input.app.maintenance {
        Availability::Maintenance
    } else if web == 0 {
        Availability::NoWebProcesses
    } else if has_targets {
        Availability::Serving
    } else if has_crashed && !is_starting {
        Availability::Crashed
    } else {
        Availability::Starting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use windlass_core::ids::{AppId, InstanceId, UserId};
    use windlass_core::instance::ExitStatus;
    use windlass_core::plan::{Crash, Slot};

    fn app(maintenance: bool) -> App {
        App {
            id: AppId::random(),
            name: "bibly".parse().unwrap(),
            owner: UserId::random(),
            team: None,
            locked: false,
            maintenance,
            restart_generation: 0,
            current_release: 3,
            deploys: crate::records::Deploys::default(),
            created_at: 0,
            updated_at: 0,
            released_at: None,
        }
    }

    fn web(n: u32) -> Wanted {
        Wanted {
            release: 3,
            generation: 0,
            quantities: BTreeMap::from([("web".parse().unwrap(), n)]),
        }
    }

    fn live(release: u32, phase: Phase) -> (Live, Option<SocketAddr>) {
        let slot = Slot { process: "web".parse().unwrap(), index: 1 };
        let live = Live { id: InstanceId("web-1-x".into()), slot, release, generation: 0, phase };
        (live, Some("10.0.0.2:5000".parse().unwrap()))
    }

    fn crashed(release: u32) -> Crashes {
        let status = ExitStatus {
            code: 1,
            out_of_memory: false,
            out_of_processes: false,
            reason: None,
            at_ms: 0,
        };
        let slot = Slot { process: "web".parse().unwrap(), index: 1 };
        Crashes::from([(
            slot,
            Crash { release, generation: 0, count: 1, next_attempt_ms: 0, status },
        )])
    }

    #[test]
    fn says_what_is_there_to_answer() {
        let table = [
            ("nothing deployed", None, vec![], Crashes::new(), Availability::Blank, 0),
            (
                "no web wanted",
                Some(web(0)),
                vec![],
                Crashes::new(),
                Availability::NoWebProcesses,
                0,
            ),
            (
                "up but not wanted",
                Some(web(0)),
                vec![live(3, Phase::Up)],
                Crashes::new(),
                Availability::NoWebProcesses,
                0,
            ),
            (
                "up",
                Some(web(1)),
                vec![live(3, Phase::Up)],
                Crashes::new(),
                Availability::Serving,
                1,
            ),
            (
                "starting",
                Some(web(1)),
                vec![live(3, Phase::Starting)],
                Crashes::new(),
                Availability::Starting,
                0,
            ),
            (
                "candidate up",
                Some(web(1)),
                vec![live(4, Phase::Up)],
                Crashes::new(),
                Availability::Starting,
                0,
            ),
            (
                "retiring",
                Some(web(1)),
                vec![live(3, Phase::Retiring)],
                Crashes::new(),
                Availability::Starting,
                0,
            ),
            ("crashed", Some(web(1)), vec![], crashed(3), Availability::Crashed, 0),
            (
                "crashed, next attempt",
                Some(web(1)),
                vec![live(3, Phase::Starting)],
                crashed(3),
                Availability::Starting,
                0,
            ),
            (
                "crash of the candidate",
                Some(web(1)),
                vec![live(3, Phase::Up)],
                crashed(4),
                Availability::Serving,
                1,
            ),
        ];
        for (name, current, live, crashes, availability, targets) in table {
            let app = app(false);
            let input = RouteInput {
                app: &app,
                hosts: vec![],
                current: current.as_ref(),
                newer: None,
                live: &live,
                crashes: &crashes,
                log_file: PathBuf::new(),
            };
            let route = route(&input);
            assert_eq!(
                (route.availability, route.targets.len()),
                (availability, targets),
                "{name}"
            );
        }
    }

    #[test]
    fn a_newer_release_takes_its_share_or_stands_beside_the_current_one() {
        let (app, current) = (app(false), web(1));
        let newer = Wanted { release: 4, ..web(1) };
        let mut live = [live(3, Phase::Up), live(4, Phase::Up)];
        live[1].0.id = InstanceId("web-1-y".into());
        let route = |canary_percent| {
            route(&RouteInput {
                app: &app,
                hosts: vec![],
                current: Some(&current),
                newer: Some(Newer { wanted: &newer, canary_percent }),
                live: &live,
                crashes: &Crashes::new(),
                log_file: PathBuf::new(),
            })
        };
        let canary = route(Some(10));
        assert_eq!(canary.targets.len(), 1);
        let share = canary.canary.unwrap();
        assert_eq!((share.percent, share.targets.len()), (10, 1));
        assert_eq!(share.targets[0].instance, InstanceId("web-1-y".into()));
        let gradual = route(None);
        assert_eq!((gradual.targets.len(), gradual.canary), (2, None));
    }

    #[test]
    fn maintenance_wins_over_targets() {
        let (app, web, live) = (app(true), web(1), [live(3, Phase::Up)]);
        let input = RouteInput {
            app: &app,
            hosts: vec![],
            current: Some(&web),
            newer: None,
            live: &live,
            crashes: &Crashes::new(),
            log_file: PathBuf::new(),
        };
        assert_eq!(route(&input).availability, Availability::Maintenance);
    }
}
