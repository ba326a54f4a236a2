//! Lock-out after wrong credentials: the more failures in a row, the longer the wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// So many failures are free: people mistype, and scripts have an old token.
pub const FREE: u32 = 10;
/// The wait after the first failure that is not free; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten when none has come for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug)]
struct Failures {
    in_a_row: u32,
    last: Duration,
}

impl Failures {
    fn wait(self) -> Duration {
        match self.in_a_row.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            Some(over) => FIRST_WAIT.saturating_mul(1 << (over - 1).min(16)).min(LONGEST_WAIT),
        }
    }

    fn until(self) -> Duration {
        self.last + self.wait()
    }
}

/// Failures by who failed: an address, an account. Bounded; times are of any monotonic clock.
#[derive(Debug)]
pub struct Attempts<K> {
    failures: HashMap<K, Failures>,
    most: usize,
}

impl<K: Hash + Eq + Clone> Attempts<K> {
    /// Remembers at most so many who failed.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { failures: HashMap::new(), most }
    }

    /// Returns how long somebody must wait before they may try again; `None` if they need not.
    #[must_use]
    pub fn locked_for(&self, who: &K, now: Duration) -> Option<Duration> {
        let left = self.failures.get(who)?.until().saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts a failure. One that comes while locked does not make the wait longer, or somebody
    /// who hammers would be shut out for as long as a program that knows no better goes on.
    pub fn failed(&mut self, who: K, now: Duration) {
        if self.locked_for(&who, now).is_some() {
            return;
        }
        if self.failures.len() >= self.most && !self.failures.contains_key(&who) {
            self.make_room(now);
        }
        let entry = self.failures.entry(who).or_insert(Failures { in_a_row: 0, last: now });
        if now.saturating_sub(entry.last) > FORGOTTEN_AFTER {
            entry.in_a_row = 0;
        }
        *entry = Failures { in_a_row: entry.in_a_row.saturating_add(1), last: now };
    }

    /// Forgets the failures of somebody who proved themselves.
    pub fn succeeded(&mut self, who: &K) {
        self.failures.remove(who);
    }

    /// Drops what is over, and if that is nothing the tenth whose failures are the oldest.
    fn make_room(&mut self, now: Duration) {
        let before = self.failures.len();
        self.failures.retain(|_, failures| {
            now.saturating_sub(failures.last) <= FORGOTTEN_AFTER || failures.until() > now
        });
        if self.failures.len() < before {
            return;
        }
        let mut ages: Vec<Duration> = self.failures.values().map(|one| one.last).collect();
        ages.sort_unstable();
        let Some(limit) = ages.get(before / 10).copied() else { return };
        let mut to_drop = before / 10 + 1;
        self.failures.retain(|_, failures| {
            let drop = failures.last <= limit && to_drop > 0;
            to_drop -= usize::from(drop);
            !drop
        });
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_wait_doubles_and_ends() {
        let mut attempts = Attempts::new(10);
        for _ in 0..FREE {
            attempts.failed("a", seconds(0));
            assert_eq!(attempts.locked_for(&"a", seconds(0)), None);
        }
        let mut now = seconds(0);
        for expected in [1, 2, 4, 8, 16] {
            attempts.failed("a", now);
            assert_eq!(attempts.locked_for(&"a", now), Some(seconds(expected)));
            attempts.failed("a", now);
            assert_eq!(attempts.locked_for(&"a", now), Some(seconds(expected)), "no longer");
            now += seconds(expected);
            assert_eq!(attempts.locked_for(&"a", now), None);
        }
        for _ in 0..40 {
            attempts.failed("a", now);
            now += attempts.locked_for(&"a", now).unwrap();
        }
        attempts.failed("a", now);
        assert_eq!(attempts.locked_for(&"a", now), Some(LONGEST_WAIT));
        assert_eq!(attempts.locked_for(&"b", now), None);
        attempts.succeeded(&"a");
        assert_eq!(attempts.locked_for(&"a", now), None);
    }

    #[test]
    fn failures_are_forgotten() {
        let mut attempts = Attempts::new(10);
        (0..FREE).for_each(|_| attempts.failed("a", seconds(0)));
        attempts.failed("a", seconds(901));
        assert_eq!(attempts.locked_for(&"a", seconds(901)), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut attempts = Attempts::new(100);
        for who in 0..10_000u32 {
            attempts.failed(who, Duration::from_millis(who.into()));
            assert!(attempts.len() <= 100);
        }
        assert!(!attempts.is_empty());
        let mut same_time = Attempts::new(100);
        (0..1_000u32).for_each(|who| same_time.failed(who, seconds(1)));
        assert!(same_time.len() <= 100);
    }
}
