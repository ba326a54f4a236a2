//! Requests that a client takes back before their answer: they cost it nothing, but the router and
//! the app a lot (the "rapid reset" flood).

use std::time::Duration;

/// How many a client may take back at once: twice the streams it may have open, so that leaving a
/// page is never a flood.
const ALLOWANCE: f64 = 256.0;
/// How many it may take back in a second for ever, beside one for each request that it lets end.
const FORGIVEN_IN_A_SECOND: f64 = 20.0;

/// What one connection has taken back, less what is forgiven since.
#[derive(Default)]
pub(crate) struct TakenBack {
    level: f64,
    /// Time on the connection's clock.
    last: Duration,
}

impl TakenBack {
    /// Counts one; returns whether it was one too many. `now` is a clock that only grows.
    pub fn count(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.last).as_secs_f64();
        self.last = now;
        self.level = (self.level - passed * FORGIVEN_IN_A_SECOND).max(0.0) + 1.0;
        self.level > ALLOWANCE
    }

    /// Notes a request that came to its end.
    pub fn forgive(&mut self) {
        self.level = (self.level - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_a_page_is_no_flood() {
        let mut taken_back = TakenBack::default();
        for page in 0..100 {
            for _ in 0..128 {
                assert!(!taken_back.count(Duration::from_secs(page * 7)));
            }
        }
    }

    #[test]
    fn a_client_that_lets_half_of_them_end_is_no_flood() {
        let mut taken_back = TakenBack::default();
        for _ in 0..10_000 {
            assert!(!taken_back.count(Duration::ZERO));
            taken_back.forgive();
        }
    }

    #[test]
    fn taking_back_everything_is_one() {
        let mut taken_back = TakenBack::default();
        let until = (1..).find(|n| taken_back.count(Duration::from_millis(*n))).unwrap();
        assert!((256..280).contains(&until), "{until}");
    }
}
