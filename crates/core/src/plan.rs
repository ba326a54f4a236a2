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
    /// Returns the slots in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
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
    pub rollout: Rollout,
}

/// How instances of one release or generation give way to those of another. The default starts
/// all of the new beside all of the old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// At most this many instances of a type beyond those wanted, at least 1: the new take the
    /// place of the old one after the other. `None`: as many as it takes.
    pub surge: Option<u32>,
    /// Process types of which two releases or generations must never run at the same time: the
    /// old ones end before the new ones start.
    pub exclusive: BTreeSet<ProcessType>,
    /// The candidate runs beside the current release and takes nothing of its place.
    pub canary: bool,
}

impl Desired {
    /// Whether the slot's current instance is not needed any more because the candidate's is up
    /// and takes requests in its place.
    fn is_handed_over(&self, slot: &Slot, live: &[Live]) -> bool {
        let is_gradual = self.rollout.surge.is_some() && !self.rollout.canary;
        // One that was restarted meanwhile still takes them until its own replacement is up.
        self.candidate.as_ref().filter(|_| is_gradual).is_some_and(|candidate| {
            candidate.has(slot)
                && live.iter().any(|i| {
                    i.slot == *slot && i.phase == Phase::Up && i.release == candidate.release
                })
        })
    }

    /// Whether the current release's instances of the type must be gone for the candidate's.
    fn is_displaced(&self, process: &ProcessType) -> bool {
        self.candidate.is_some() && !self.rollout.canary && self.rollout.exclusive.contains(process)
    }

    /// How many instances of the type there may be, those that are retiring left out.
    fn most(&self, process: &ProcessType) -> usize {
        let Some(surge) = self.rollout.surge else { return usize::MAX };
        let quantity = |wanted: &Option<Wanted>| {
            wanted.as_ref().and_then(|w| w.quantities.get(process).copied()).unwrap_or(0)
        };
        let (current, candidate) = (quantity(&self.current), quantity(&self.candidate));
        let wanted = if self.rollout.canary { current + candidate } else { current.max(candidate) };
        wanted.saturating_add(surge.max(1)) as usize
    }
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
///   back-off has not passed, or the [`Rollout`] does not let it yet. A crashed slot of a
///   candidate is not started again.
/// - An instance of a release that is neither current nor candidate, or of a slot that is not
///   wanted any more, is retired at once.
/// - An instance of an older generation is retired once its replacement is up, so that a restart
///   loses nothing; one of an exclusive type at once, since its replacement waits for its end.
/// - With a surge limit the current release's instance of a slot is retired once the candidate's
///   is up.
/// - Of two instances in one slot the one that is up, then the earlier in `live`, is kept.
#[must_use]
pub fn plan(desired: &Desired, live: &[Live], crashes: &Crashes, now_ms: u64) -> Vec<Action> {
    let (mut staying, mut retired) = (BTreeMap::new(), Vec::new());
    for (position, instance) in live.iter().enumerate() {
        if instance.phase == Phase::Retiring {
            continue;
        }
        if is_kept(desired, live, position, instance) {
            *staying.entry(&instance.slot.process).or_insert(0) += 1;
        } else {
            retired.push(Action::Retire(instance.id.clone()));
        }
    }
    let mut starts = Starts { desired, live, crashes, now_ms, staying, actions: Vec::new() };
    if let Some(current) = &desired.current {
        starts.plan(current, false);
    }
    if let Some(candidate) = &desired.candidate {
        starts.plan(candidate, true);
    }
    starts.actions.into_iter().chain(retired).collect()
}

/// What is to be started, gathered slot by slot.
struct Starts<'a> {
    desired: &'a Desired,
    live: &'a [Live],
    crashes: &'a Crashes,
    now_ms: u64,
    /// Instances of each type that are neither retiring nor about to, with those to be started.
    staying: BTreeMap<&'a ProcessType, usize>,
    actions: Vec<Action>,
}

impl<'a> Starts<'a> {
    fn plan(&mut self, wanted: &'a Wanted, is_candidate: bool) {
        let occupied: BTreeSet<&Slot> = self
            .live
            .iter()
            .filter(|instance| serves(wanted, instance))
            .map(|instance| &instance.slot)
            .collect();
        for (process, quantity) in &wanted.quantities {
            if !self.may_start(wanted, process, is_candidate) {
                continue;
            }
            for index in 1..=*quantity {
                let slot = Slot { process: process.clone(), index };
                let is_given_away = !is_candidate && self.desired.is_handed_over(&slot, self.live);
                if !occupied.contains(&slot) && !is_given_away {
                    self.start(wanted, process, slot, is_candidate);
                }
            }
        }
    }

    /// Whether instances of the type may be started at all now.
    fn may_start(&self, wanted: &Wanted, process: &ProcessType, is_candidate: bool) -> bool {
        let is_of_another = |i: &Live| {
            i.slot.process == *process
                && (i.release, i.generation) != (wanted.release, wanted.generation)
        };
        let is_exclusive = self.desired.rollout.exclusive.contains(process);
        let must_wait = is_exclusive && self.live.iter().any(is_of_another);
        !must_wait && (is_candidate || !self.desired.is_displaced(process))
    }

    fn start(&mut self, wanted: &Wanted, process: &'a ProcessType, slot: Slot, is_candidate: bool) {
        let crash = self.crashes.get(&slot).filter(|crash| {
            (crash.release, crash.generation) == (wanted.release, wanted.generation)
        });
        match crash {
            Some(_) if is_candidate => return,
            Some(crash) if crash.next_attempt_ms > self.now_ms => {
                self.actions.push(Action::WakeAt(crash.next_attempt_ms));
                return;
            }
            _ => {}
        }
        let staying = self.staying.entry(process).or_insert(0);
        if *staying < self.desired.most(process) {
            *staying += 1;
            let (release, generation) = (wanted.release, wanted.generation);
            self.actions.push(Action::Start { slot, release, generation });
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
    let is_best_in_slot = |wanted: &Wanted| {
        !live.iter().enumerate().any(|(other_position, other)| {
            let better = (other.phase != Phase::Up, other_position)
                < (instance.phase != Phase::Up, position);
            other.slot == instance.slot && serves(wanted, other) && better
        })
    };
    let process = &instance.slot.process;
    // A restart: the older one stays until the first of its replacements is up.
    let awaits_replacement = |wanted: &Wanted| {
        let may_wait = |other: &Live| {
            other.release == wanted.release
                && other.phase == Phase::Up
                && wanted.has(&other.slot)
                && !desired.rollout.exclusive.contains(process)
                && !serves(wanted, other)
        };
        let same_slot = |other: &&Live| other.slot == instance.slot;
        let is_first = !live[..position].iter().filter(same_slot).any(may_wait);
        let is_replaced = live
            .iter()
            .filter(same_slot)
            .any(|other| other.phase == Phase::Up && serves(wanted, other));
        may_wait(instance) && is_first && !is_replaced
    };
    if let Some(candidate) = &desired.candidate {
        if serves(candidate, instance) {
            return is_best_in_slot(candidate);
        }
        if awaits_replacement(candidate) {
            return true;
        }
    }
    let Some(current) = &desired.current else { return false };
    if desired.is_displaced(process) || desired.is_handed_over(&instance.slot, live) {
        return false;
    }
    if serves(current, instance) {
        return is_best_in_slot(current);
    }
    awaits_replacement(current)
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
