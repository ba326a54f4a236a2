//! When the authority wants a certificate to be renewed (ARI, RFC 9773): before others, if it has to
//! revoke many; later than we would, if it knows that there is time.

use super::{CertificateState, Share, share_of};

const HOUR_MS: u64 = 60 * 60 * 1_000;
/// When an authority that does not say when is asked again.
const USUALLY_MS: u64 = 6 * HOUR_MS;
/// The bounds of what it says (RFC 9773, 4.3.2).
const SOONEST_MS: u64 = 60 * 1_000;
const LATEST_MS: u64 = 24 * HOUR_MS;

/// The time in which an authority wants a certificate to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalWindow {
    pub start: u64,
    pub end: u64,
}

/// Returns when to ask the authority next, which may have said when.
#[must_use]
pub fn ask_again(retry_after: Option<u64>, now: u64) -> u64 {
    retry_after.unwrap_or(now + USUALLY_MS).clamp(now + SOONEST_MS, now + LATEST_MS)
}

impl CertificateState {
    /// The authority wants the certificate to be renewed within a window. A time in it that was
    /// decided on before stays; else `share` says which one it is. The last tenth of its life is
    /// kept for attempts that fail. Returns whether this changes anything.
    pub fn suggested(&mut self, window: RenewalWindow, share: Share) -> bool {
        let Some(issued) = &mut self.issued else { return false };
        // So it is to be taken for no answer.
        if window.end <= window.start {
            return false;
        }
        let life = issued.not_after.saturating_sub(issued.not_before);
        let latest = issued.not_after.saturating_sub(life / 10);
        let within = window.start.min(latest)..=window.end.min(latest);
        if within.contains(&issued.renew_at) {
            return false;
        }
        let chosen = window.start + share_of(window.end - window.start, share);
        issued.renew_at = chosen.min(latest);
        if self.failure.is_none() {
            self.next_at = issued.renew_at;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::{FailureKind, Step, next};

    const DAY: u64 = 24 * HOUR_MS;
    const BEGIN: u64 = 1_800_000_000_000;

    fn state() -> CertificateState {
        let mut state = CertificateState::default();
        state.issued(BEGIN, BEGIN + 90 * DAY, 0);
        state
    }

    fn window(start: u64, end: u64) -> RenewalWindow {
        RenewalWindow { start: BEGIN + start * DAY, end: BEGIN + end * DAY }
    }

    #[test]
    fn a_time_in_the_window_is_chosen_once() {
        for (window, share, renewed_after) in [
            (window(70, 72), 0, 70),
            (window(70, 72), Share::MAX, 72),
            // Many are revoked: at once.
            (window(0, 1), 0, 0),
            // What is left must do for failures.
            (window(88, 95), Share::MAX, 81),
            (window(100, 200), 0, 81),
        ] {
            let mut state = state();
            assert!(state.suggested(window, share));
            let until = BEGIN + renewed_after * DAY;
            assert_eq!(state.issued.unwrap().renew_at, until);
            assert_eq!(next(&state, until - 1), Step::Wait { until });
            assert_eq!(next(&state, until), Step::Check);
            let before = state.clone();
            assert!(!state.suggested(window, Share::MAX / 2), "{window:?}");
            assert_eq!(state, before);
        }
        // Two thirds are in it already.
        assert!(!state().suggested(window(59, 61), Share::MAX));
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let mut none = CertificateState::default();
        assert!(!none.suggested(window(1, 2), 0));
        for nonsense in [window(70, 70), window(72, 70)] {
            let mut state = state();
            assert!(!state.suggested(nonsense, 0));
            assert_eq!(state, self::state());
        }
    }

    #[test]
    fn a_wait_after_a_failure_is_kept() {
        let mut state = state();
        let due = BEGIN + 60 * DAY;
        state.failed(FailureKind::RateLimited, String::new(), None, due, 0);
        let wait = state.next_at;
        assert!(state.suggested(window(0, 1), 0));
        assert_eq!(next(&state, due), Step::Wait { until: wait });
    }

    #[test]
    fn the_authority_is_asked_again_within_a_day() {
        let now = BEGIN;
        assert_eq!(ask_again(None, now), now + 6 * HOUR_MS);
        assert_eq!(ask_again(Some(now + 5 * HOUR_MS), now), now + 5 * HOUR_MS);
        assert_eq!(ask_again(Some(0), now), now + 60 * 1_000);
        assert_eq!(ask_again(Some(u64::MAX), now), now + DAY);
    }
}
