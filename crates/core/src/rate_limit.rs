//! How many requests an account may send: a budget that refills continuously.

use std::time::Duration;

/// What an account has left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    left: f64,
    /// When `left` was right.
    at: Duration,
}

impl Budget {
    /// Returns a full budget of `an_hour` requests at the time `now`.
    #[must_use]
    pub fn full(an_hour: u32, now: Duration) -> Self {
        Self { left: f64::from(an_hour), at: now }
    }

    /// Takes one request. Returns how many are left, or after how long the next one may come.
    ///
    /// # Errors
    /// The time until there is one again.
    pub fn take(&mut self, an_hour: u32, now: Duration) -> Result<u32, Duration> {
        let per_second = f64::from(an_hour) / 3_600.0;
        let since = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + since * per_second).min(f64::from(an_hour));
        self.at = now.max(self.at);
        if self.left < 1.0 {
            let wait = (1.0 - self.left) / per_second.max(f64::MIN_POSITIVE);
            return Err(Duration::from_secs_f64(wait.clamp(0.001, 3_600.0)));
        }
        self.left -= 1.0;
        Ok(self.whole())
    }

    /// How many were left when it was last used.
    #[must_use]
    pub fn whole(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = self.left as u32;
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_refills() {
        let seconds = Duration::from_secs;
        let mut budget = Budget::full(3_600, seconds(0));
        for left in (0..3_600).rev() {
            assert_eq!(budget.take(3_600, seconds(0)), Ok(left));
        }
        let wait = budget.take(3_600, seconds(0)).unwrap_err();
        assert!(wait <= seconds(1), "{wait:?}");
        assert_eq!(budget.take(3_600, seconds(1)), Ok(0), "one a second");
        assert!(budget.take(3_600, seconds(1)).is_err());
        assert_eq!(budget.take(3_600, seconds(3 * 3_600)), Ok(3_599), "never more than full");
        assert!(budget.take(3_600, seconds(5)).is_ok(), "a clock that goes back takes nothing");
    }
}
