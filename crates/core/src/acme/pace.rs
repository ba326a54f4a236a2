//! How many certificates are asked for, all names together.

use std::collections::VecDeque;

/// Orders in [`WINDOW_MS`]; Let's Encrypt takes 300 of an account.
const ORDERS: usize = 250;
const WINDOW_MS: u64 = 3 * 60 * 60 * 1_000;
/// The longest pause of all orders because one was refused for its rate: the limit may be one of
/// that name alone.
const LONGEST_PAUSE_MS: u64 = 10 * 60 * 1_000;

/// The orders of the last hours.
#[derive(Debug, Default)]
pub struct Pace {
    begun: VecDeque<u64>,
    paused_until: u64,
}

impl Pace {
    /// Returns whether another order may begin now, and counts it if so.
    pub fn begin(&mut self, now: u64) -> bool {
        while self.begun.front().is_some_and(|at| at.saturating_add(WINDOW_MS) <= now) {
            self.begun.pop_front();
        }
        let may = now >= self.paused_until && self.begun.len() < ORDERS;
        if may {
            self.begun.push_back(now);
        }
        may
    }

    /// The authority said that there were too many, and when to ask again, if it did.
    pub fn refused(&mut self, retry_after: Option<u64>, now: u64) {
        let longest = now + LONGEST_PAUSE_MS;
        self.paused_until = retry_after.unwrap_or(longest).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_limit_of_orders_in_a_time() {
        let mut pace = Pace::default();
        assert_eq!((0..1_000).filter(|n| pace.begin(*n)).count(), ORDERS);
        assert!(!pace.begin(WINDOW_MS - 1));
        assert!(pace.begin(WINDOW_MS));
        assert!(!pace.begin(WINDOW_MS), "one has left the window");
        assert_eq!((0..1_000).filter(|n| pace.begin(3 * WINDOW_MS + n)).count(), ORDERS);
    }

    #[test]
    fn all_pause_when_one_was_too_many_but_not_for_long() {
        let mut pace = Pace::default();
        pace.refused(Some(5_000), 1_000);
        assert!(!pace.begin(4_999) && pace.begin(5_000));
        pace.refused(Some(u64::MAX), 10_000);
        assert!(!pace.begin(10_000 + LONGEST_PAUSE_MS - 1));
        assert!(pace.begin(10_000 + LONGEST_PAUSE_MS));
        pace.refused(None, 0);
        assert!(!pace.begin(LONGEST_PAUSE_MS - 1) && pace.begin(LONGEST_PAUSE_MS));
    }
}
