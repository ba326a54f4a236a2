//! Targets: the instances that take requests, what each has in flight, and which one is next.

pub(crate) mod in_flight;
pub(crate) mod pool;

pub(crate) use in_flight::InFlight;

use pool::Pool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a target that could not be reached is avoided while there are others.
const QUARANTINE: Duration = Duration::from_secs(1);

/// One instance at one address.
pub(crate) struct Target {
    /// `web.1`
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub in_flight: Arc<InFlight>,
    pub pool: Pool,
    /// Milliseconds after `epoch`; 0 when there was no failure.
    avoid_until: AtomicU64,
    epoch: Instant,
}

impl Target {
    pub fn new(name: &str, address: SocketAddr, in_flight: Arc<InFlight>) -> Self {
        Self {
            name: name.into(),
            address,
            in_flight,
            pool: Pool::default(),
            avoid_until: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    /// Notes that the target could not be reached: others are preferred for a while.
    pub fn quarantine(&self) {
        let until = self.epoch.elapsed() + QUARANTINE;
        self.avoid_until.store(millis(until), Ordering::Relaxed);
    }

    fn quarantined(&self) -> bool {
        let until = self.avoid_until.load(Ordering::Relaxed);
        until != 0 && until > millis(self.epoch.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts one request, stream or tunnel at its target until it is dropped.
pub(crate) struct Guard {
    target: Arc<Target>,
}

impl Guard {
    /// Counts a request at `target`, unless the target has left the table.
    pub fn enter(target: &Arc<Target>) -> Option<Self> {
        target.in_flight.enter().then(|| Self { target: Arc::clone(target) })
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.target.in_flight.leave();
    }
}

/// Returns the target for the next request: of two random ones the one with less in flight.
/// Those in `excluded` are never taken, those in quarantine only when there is no other.
pub(crate) fn choose<'a>(
    targets: &'a [Arc<Target>],
    excluded: &[Arc<Target>],
) -> Option<&'a Arc<Target>> {
    if targets.len() > 1 && excluded.is_empty() {
        let first = fastrand::usize(..targets.len());
        let second = (first + fastrand::usize(1..targets.len())) % targets.len();
        let (first, second) = (&targets[first], &targets[second]);
        let best = if second.in_flight.count() < first.in_flight.count() { second } else { first };
        if !best.quarantined() {
            return Some(best);
        }
    }
    targets
        .iter()
        .filter(|target| !excluded.iter().any(|other| Arc::ptr_eq(other, target)))
        .min_by_key(|target| (target.quarantined(), target.in_flight.count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::ids::InstanceId;

    fn target(name: &str) -> Arc<Target> {
        let in_flight = Arc::new(InFlight::new(InstanceId(name.to_owned())));
        Arc::new(Target::new(name, "127.0.0.1:1".parse().unwrap(), in_flight))
    }

    #[test]
    fn of_two_targets_the_idle_one_is_chosen() {
        let targets = [target("web.1"), target("web.2")];
        let _busy = Guard::enter(&targets[0]).unwrap();
        for _ in 0..50 {
            assert!(Arc::ptr_eq(choose(&targets, &[]).unwrap(), &targets[1]));
        }
    }

    #[test]
    fn load_spreads_over_many_targets() {
        let targets: Vec<_> = (0..8).map(|i| target(&i.to_string())).collect();
        let guards: Vec<_> =
            (0..800).map(|_| Guard::enter(choose(&targets, &[]).unwrap()).unwrap()).collect();
        for target in &targets {
            assert!((80..=120).contains(&target.in_flight.count()), "{}", target.in_flight.count());
        }
        drop(guards);
        assert!(targets.iter().all(|t| t.in_flight.count() == 0));
    }

    #[test]
    fn excluded_targets_are_never_chosen_and_quarantined_ones_last() {
        let targets = [target("web.1"), target("web.2")];
        targets[1].quarantine();
        for _ in 0..50 {
            assert!(Arc::ptr_eq(choose(&targets, &[]).unwrap(), &targets[0]));
        }
        let excluded = [Arc::clone(&targets[0])];
        assert!(Arc::ptr_eq(choose(&targets, &excluded).unwrap(), &targets[1]));
        assert!(choose(&targets[..1], &excluded).is_none());
        assert!(choose(&[], &[]).is_none());
    }
}
