//! The reconciler's decision: what is wanted and what is there go in, what to do comes out.
//!
//! A deploy makes its release the *candidate*: it is wanted beside the current one until
//! [`verdict`] says that it is ready (the caller then makes it current) or has failed (the caller
//! drops it). Everything else (crash, scale, restart, server restart) is the same call.

use crate::ids::InstanceId;
use crate::instance::ExitStatus;
use crate::names::ProcessType;
use std::collections::{BTreeMap, BTreeSet};

/// A place in the formation: `web.1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub process: ProcessType,
    /// From 1.
    pub index: u32,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.process, self.index)
    }
}

/// One release and how many instances of each process type it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub release: u32,
    /// Raised by a restart.
    pub generation: u64,
    pub quantities: BTreeMap<ProcessType, u32>,
}

impl Wanted {
    fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.quantities.iter().flat_map(|(process, quantity)| {
            (1..=*quantity).map(|index| Slot { process: process.clone(), index })
        })
    }

    fn has(&self, slot: &Slot) -> bool {
        self.quantities.get(&slot.process).is_some_and(|quantity| slot.index <= *quantity)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub current: Option<Wanted>,
    pub candidate: Option<Wanted>,
}

/// A live instance, as the control plane sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub id: InstanceId,
    pub slot: Slot,
    pub release: u32,
    pub generation: u64,
    pub phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet known to be healthy.
    Starting,
    Up,
    /// Out of the route table; draining or stopping.
    Retiring,
}

/// The crashes in a row of one slot under one release and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    pub release: u32,
    pub generation: u64,
    pub count: u32,
    /// When the next attempt may start, in milliseconds since the Unix epoch.
    pub next_attempt_ms: u64,
    pub status: ExitStatus,
}

pub type Crashes = BTreeMap<Slot, Crash>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Start {
        slot: Slot,
        release: u32,
        generation: u64,
    },
    /// Take it out of the routes, drain it, stop it.
    Retire(InstanceId),
    /// Plan again at this time (milliseconds since the Unix epoch): a crashed slot may start then.
    WakeAt(u64),
}

/// Returns what to do to bring the instances nearer to what is desired.
///
/// - A wanted slot without a starting or running instance gets one, unless it crashed and its
///   back-off has not passed. A crashed slot of a candidate is not started again.
/// - An instance of a release that is neither current nor candidate, or of a slot that is not
///   wanted any more, is retired at once.
/// - An instance of an older generation is retired once its replacement is up, so that a restart
///   loses nothing.
/// - Of two instances in one slot the one that is up, then the earlier in `live`, is kept.
#[must_use]
pub fn plan(desired: &Desired, live: &[Live], crashes: &Crashes, now_ms: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(current) = &desired.current {
        plan_starts(current, false, live, crashes, now_ms, &mut actions);
    }
    if let Some(candidate) = &desired.candidate {
        plan_starts(candidate, true, live, crashes, now_ms, &mut actions);
    }
    for (position, instance) in live.iter().enumerate() {
        if instance.phase != Phase::Retiring && !is_kept(desired, live, position, instance) {
            actions.push(Action::Retire(instance.id.clone()));
        }
    }
    actions
}

fn plan_starts(
    wanted: &Wanted,
    is_candidate: bool,
    live: &[Live],
    crashes: &Crashes,
    now_ms: u64,
    actions: &mut Vec<Action>,
) {
    let occupied: BTreeSet<&Slot> = live
        .iter()
        .filter(|instance| serves(wanted, instance))
        .map(|instance| &instance.slot)
        .collect();
    for slot in wanted.slots().filter(|slot| !occupied.contains(slot)) {
        let crash = crashes.get(&slot).filter(|crash| {
            (crash.release, crash.generation) == (wanted.release, wanted.generation)
        });
        match crash {
            Some(_) if is_candidate => {}
            Some(crash) if crash.next_attempt_ms > now_ms => {
                actions.push(Action::WakeAt(crash.next_attempt_ms))
            }
            _ => actions.push(Action::Start {
                slot,
                release: wanted.release,
                generation: wanted.generation,
            }),
        }
    }
}

/// Whether the instance is one of those that `wanted` asks for.
fn serves(wanted: &Wanted, instance: &Live) -> bool {
    instance.phase != Phase::Retiring
        && instance.release == wanted.release
        && instance.generation == wanted.generation
        && wanted.has(&instance.slot)
}

fn is_kept(desired: &Desired, live: &[Live], position: usize, instance: &Live) -> bool {
    let mut wanted = [&desired.current, &desired.candidate].into_iter().flatten();
    if let Some(wanted) = wanted.find(|wanted| serves(wanted, instance)) {
        return !live.iter().enumerate().any(|(other_position, other)| {
            let better = (other.phase != Phase::Up, other_position)
                < (instance.phase != Phase::Up, position);
            other.slot == instance.slot && serves(wanted, other) && better
        });
    }
    let Some(current) = &desired.current else { return false };
    let awaits_replacement = instance.release == current.release
        && instance.phase == Phase::Up
        && current.has(&instance.slot);
    let replaced = live.iter().any(|other| {
        other.slot == instance.slot && other.phase == Phase::Up && serves(current, other)
    });
    awaits_replacement && !replaced
}

/// What became of the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some of its instances are still starting.
    Pending,
    /// All of them are up.
    Ready,
    /// This one crashed.
    Failed(Slot, ExitStatus),
}

/// Returns whether the candidate can become the current release.
#[must_use]
pub fn verdict(candidate: &Wanted, live: &[Live], crashes: &Crashes) -> Verdict {
    let of_candidate = |crash: &Crash| {
        (crash.release, crash.generation) == (candidate.release, candidate.generation)
    };
    if let Some((slot, crash)) =
        crashes.iter().find(|(slot, crash)| of_candidate(crash) && candidate.has(slot))
    {
        return Verdict::Failed(slot.clone(), crash.status.clone());
    }
    let all_up = candidate.slots().all(|slot| {
        live.iter().any(|i| i.slot == slot && i.phase == Phase::Up && serves(candidate, i))
    });
    if all_up { Verdict::Ready } else { Verdict::Pending }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
