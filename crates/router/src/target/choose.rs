//! Which target is next: of two random ones the one with less in flight.

use super::Target;
use super::health::Fitness;
use std::sync::Arc;

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
struct View {
    in_flight: u64,
    fitness: Fitness,
    /// It has as much in flight as it may.
    is_full: bool,
}

impl View {
    fn is_fit(&self) -> bool {
        self.fitness != Fitness::Ejected && !self.is_full
    }
}

/// Returns the target for the next request. Those in `excluded` are never taken; those that are
/// ejected, or have `most` in flight, only when there is no other.
pub(crate) fn choose<'a>(
    targets: &'a [Arc<Target>],
    excluded: &[Arc<Target>],
    most: Option<u64>,
) -> Option<&'a Arc<Target>> {
    let view = |at: usize| {
        let target = &targets[at];
        let is_excluded =
            !excluded.is_empty() && excluded.iter().any(|other| Arc::ptr_eq(other, target));
        if is_excluded {
            return None;
        }
        let in_flight = target.in_flight.count();
        let is_full = most.is_some_and(|most| in_flight >= most);
        Some(View { in_flight, fitness: target.health.fitness(), is_full })
    };
    pick(targets.len(), view, |below| fastrand::usize(..below)).map(|at| &targets[at])
}

/// Whether a target would be taken without looking at others.
pub(crate) fn is_fit(target: &Target, most: Option<u64>) -> bool {
    let is_full = most.is_some_and(|most| target.in_flight.count() >= most);
    !is_full && target.health.fitness() != Fitness::Ejected
}

/// Returns which of `count` targets is next; `view` has none for those that are excluded, `random`
/// a number from 0 to below its argument.
fn pick(
    count: usize,
    view: impl Fn(usize) -> Option<View>,
    mut random: impl FnMut(usize) -> usize,
) -> Option<usize> {
    if count < 2 {
        return (0..count).find(|at| view(*at).is_some());
    }
    let first = random(count);
    let second = (first + 1 + random(count - 1)) % count;
    let fit = |at| view(at).filter(View::is_fit).map(|view| (at, view));
    match (fit(first), fit(second)) {
        (Some(first), Some(second)) => {
            // One that is warming up takes part in its share of the choices.
            let mut takes_part = |view: &View| match view.fitness {
                Fitness::Warming(share) => (random(1_000) as f32) < share * 1_000.0,
                _ => true,
            };
            let second_is_better = match (takes_part(&first.1), takes_part(&second.1)) {
                (true, false) => false,
                (false, true) => true,
                _ => second.1.in_flight < first.1.in_flight,
            };
            Some(if second_is_better { second.0 } else { first.0 })
        }
        (Some((at, _)), None) | (None, Some((at, _))) => Some(at),
        (None, None) => best(count, view, random(count)),
    }
}

/// Looks at all, from a random one on, so that of equal ones not always the same is taken.
fn best(count: usize, view: impl Fn(usize) -> Option<View>, from: usize) -> Option<usize> {
    (0..count)
        .map(|at| (from + at) % count)
        .filter_map(|at| view(at).map(|view| (at, view)))
        .min_by_key(|(_, view)| (view.fitness == Fitness::Ejected, view.is_full, view.in_flight))
        .map(|(at, _)| at)
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
