//! Passive health: what requests have shown of a target. One that fails again and again is avoided
//! for a while, as long as there are others, and then comes back slowly.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a request has shown of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered with a status below 500, or switched protocols.
    Answered,
    /// It answered with a status from 500 on.
    ServerError,
    /// It could not be reached, or closed a new connection without a word.
    Unreachable,
    /// It was reached, and gave no answer or a poor one.
    NoAnswer,
}

/// When a target is avoided, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row that make one; 0 switches ejection off. A target that cannot be reached
    /// is avoided at once.
    pub failures: u32,
    /// Whether answers with a status from 500 on are failures.
    pub server_errors: bool,
    /// How long it is avoided the first time; each further time in a row twice as long.
    pub shortest: Duration,
    /// The longest that it is avoided.
    pub longest: Duration,
    /// In which the share of a target that is new or comes back grows to that of the others.
    pub slow_start: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            server_errors: false,
            shortest: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            slow_start: Duration::from_secs(5),
        }
    }
}

/// The failures of a target so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// In a row.
    failures: u32,
    /// In a row: without a good answer after the return.
    ejections: u32,
}

impl Record {
    /// Returns the record after one more request, and for how long the target is avoided now.
    pub(super) fn after(self, outcome: Outcome, policy: &Ejection) -> (Self, Option<Duration>) {
        let fails = match outcome {
            Outcome::Answered => false,
            Outcome::ServerError => policy.server_errors,
            Outcome::Unreachable | Outcome::NoAnswer => true,
        };
        if !fails {
            return (Self::default(), None);
        }
        let failures = self.failures + 1;
        let is_ejected =
            policy.failures > 0 && (outcome == Outcome::Unreachable || failures >= policy.failures);
        if !is_ejected {
            return (Self { failures, ..self }, None);
        }
        let time = policy.shortest.saturating_mul(1 << self.ejections.min(16));
        (Self { failures: 0, ejections: self.ejections + 1 }, Some(time.min(policy.longest)))
    }
}

/// Whether a target should get requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fitness {
    Full,
    /// New or back: it gets this share of what the others get, above 0 and below 1.
    Warming(f32),
    /// Only when there is no other.
    Ejected,
}

/// The health of one target. Looking at one that never failed costs two loads and no clock.
pub(crate) struct Health {
    epoch: Instant,
    policy: Ejection,
    /// Microseconds after `epoch` until which it is avoided; 0: it is not.
    ejected_until: AtomicU64,
    /// Microseconds after `epoch` at which it has its full share; 0: it has.
    warm_at: AtomicU64,
    /// Failures since the last good answer, to spare good answers the lock.
    has_failed: AtomicU64,
    record: Mutex<Record>,
}

impl Health {
    /// `is_fresh`: it comes beside others that are warm already.
    pub fn new(policy: Ejection, is_fresh: bool) -> Self {
        let warm_at = if is_fresh { micros(policy.slow_start) } else { 0 };
        Self {
            epoch: Instant::now(),
            policy,
            ejected_until: AtomicU64::new(0),
            warm_at: AtomicU64::new(warm_at),
            has_failed: AtomicU64::new(0),
            record: Mutex::default(),
        }
    }

    /// Notes the outcome of a request.
    pub fn report(&self, outcome: Outcome) {
        self.report_at(outcome, || self.epoch.elapsed());
    }

    fn report_at(&self, outcome: Outcome, now: impl FnOnce() -> Duration) {
        if outcome == Outcome::Answered && self.has_failed.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        // Of many requests that fail at the same time only one counts for the ejection.
        if outcome != Outcome::Answered && micros(now) < self.ejected_until.load(Ordering::Relaxed)
        {
            return;
        }
        let (after, ejected) = record.after(outcome, &self.policy);
        *record = after;
        self.has_failed.store(u64::from(after != Record::default()), Ordering::Relaxed);
        if let Some(time) = ejected {
            let until = now + time;
            self.warm_at.store(micros(until + self.policy.slow_start), Ordering::Relaxed);
            self.ejected_until.store(micros(until), Ordering::Relaxed);
        }
    }

    pub fn fitness(&self) -> Fitness {
        let until = self.ejected_until.load(Ordering::Relaxed);
        let warm_at = self.warm_at.load(Ordering::Relaxed);
        if until == 0 && warm_at == 0 {
            return Fitness::Full;
        }
        let now = micros(self.epoch.elapsed());
        let fitness = fitness(until, warm_at, micros(self.policy.slow_start), now);
        if fitness == Fitness::Full {
            // Nobody needs the clock any more, unless it was ejected just now.
            let relaxed = Ordering::Relaxed;
            let _ = self.ejected_until.compare_exchange(until, 0, relaxed, relaxed);
            let _ = self.warm_at.compare_exchange(warm_at, 0, relaxed, relaxed);
        }
        fitness
    }
}

pub(super) fn fitness(until: u64, warm_at: u64, slow_start: u64, now: u64) -> Fitness {
    /// With less it would wait long for its first request.
    const LEAST: f32 = 0.1;
    if now < until {
        return Fitness::Ejected;
    }
    match warm_at.checked_sub(now) {
        None | Some(0) => Fitness::Full,
        Some(left) => {
            let share = 1.0 - left as f32 / slow_start.max(left) as f32;
            Fitness::Warming(share.clamp(LEAST, 0.99))
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Ejection = Ejection {
        failures: 3,
        server_errors: true,
        shortest: Duration::from_secs(1),
        longest: Duration::from_secs(4),
        slow_start: Duration::from_secs(10),
    };

    /// After each outcome: for how many seconds the target is avoided from then on, 0 if not.
    fn ejections(policy: &Ejection, outcomes: &[Outcome]) -> Vec<u64> {
        let mut record = Record::default();
        let step = |outcome: &Outcome| {
            let (after, ejected) = record.after(*outcome, policy);
            record = after;
            ejected.map_or(0, |time| time.as_secs())
        };
        outcomes.iter().map(step).collect()
    }

    #[test]
    fn failures_in_a_row_eject_and_a_good_answer_forgives() {
        use Outcome::{
            Answered as Ok, NoAnswer as Late, ServerError as Error, Unreachable as Gone,
        };
        let lenient = Ejection { server_errors: false, ..POLICY };
        let off = Ejection { failures: 0, ..POLICY };
        let table: &[(&Ejection, &[Outcome], &[u64])] = &[
            (&POLICY, &[Late, Late, Late], &[0, 0, 1]),
            (&POLICY, &[Late, Error, Ok, Late, Error, Late], &[0, 0, 0, 0, 0, 1]),
            // One that is not there needs no second try.
            (&POLICY, &[Gone, Gone, Gone, Gone], &[1, 2, 4, 4]),
            (&POLICY, &[Gone, Ok, Gone], &[1, 0, 1]),
            (&POLICY, &[Gone, Late, Late, Late], &[1, 0, 0, 2]),
            // What an app answers is its own business unless it is said to be a failure.
            (&lenient, &[Error, Error, Error, Error], &[0, 0, 0, 0]),
            (&lenient, &[Late, Late, Error, Late], &[0, 0, 0, 0]),
            (&off, &[Gone, Late, Late, Late, Late], &[0, 0, 0, 0, 0]),
        ];
        for (policy, outcomes, wanted) in table {
            assert_eq!(ejections(policy, outcomes), *wanted, "{outcomes:?}");
        }
    }

    #[test]
    fn an_ejected_target_comes_back_slowly() {
        let second = 1_000_000;
        let at = |now| fitness(4 * second, 14 * second, 10 * second, now * second);
        assert_eq!(at(3), Fitness::Ejected);
        assert_eq!(at(4), Fitness::Warming(0.1), "at least something");
        let Fitness::Warming(share) = at(9) else { panic!("{:?}", at(9)) };
        assert!((share - 0.5).abs() < 0.001, "{share}");
        assert_eq!(at(14), Fitness::Full);
        assert_eq!(fitness(0, 0, 0, 0), Fitness::Full);
    }

    #[test]
    fn reports_lead_to_fitness() {
        let health = Health::new(POLICY, false);
        assert_eq!(health.fitness(), Fitness::Full);
        health.report(Outcome::Answered);
        health.report(Outcome::Unreachable);
        assert_eq!(health.fitness(), Fitness::Ejected);
        for _ in 0..100 {
            health.report(Outcome::Unreachable);
        }
        assert_eq!(health.record.lock().unwrap().ejections, 1, "they were one failure");
        health.ejected_until.store(1, Ordering::Relaxed);
        health.warm_at.store(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(health.fitness(), Fitness::Full);
        assert_eq!(health.warm_at.load(Ordering::Relaxed), 0, "the clock is not asked again");
        assert!(matches!(Health::new(POLICY, true).fitness(), Fitness::Warming(_)));
    }
}
