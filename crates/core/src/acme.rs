//! Automatic certificates: which are wanted, and what to do next for each, decided from what is
//! known of it and the time.
//!
//! [`next`] says what to do; the edge does it and tells what came of it with
//! [`CertificateState::checked`], [`CertificateState::issued`], [`CertificateState::suggested`] or
//! [`CertificateState::failed`].
//! Times are milliseconds since the Unix epoch.

mod pace;
mod renewal;
mod subjects;

pub use pace::Pace;
pub use renewal::{RenewalWindow, ask_again};
pub use subjects::{AppNames, Names, Subject, Way, subjects};

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a name that was found to point here counts as such.
const CHECK_HOLDS_MS: u64 = 5 * 60 * 1_000;
/// Refusals after which a person can no longer bring the next attempt forward: authorities take
/// five an hour (Let's Encrypt).
const REFUSALS_TO_HURRY: u32 = 4;
/// The longest wait that a certificate authority is granted, so that a mistake of its is no end.
const LONGEST_RETRY_AFTER_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// How a certificate authority is shown whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file at port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate at port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record.
    #[serde(rename = "dns-01")]
    Dns01,
}

impl ChallengeKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
        }
    }
}

/// Why there is no certificate yet, or no new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The name does not lead here; the authority was not asked.
    NotHere,
    /// The authority did not answer, or had an error of its own.
    Unavailable,
    /// The authority refused the name, or did not find the challenge answered.
    Refused,
    /// The authority wants us to ask later.
    RateLimited,
}

impl FailureKind {
    /// Returns the wait after the first failure and the longest one, in milliseconds. What costs the
    /// authority nothing is tried often; what it counts is tried seldom.
    fn waits(self) -> (u64, u64) {
        let (first, longest) = match self {
            Self::NotHere => (Duration::from_secs(15), Duration::from_secs(60 * 60)),
            Self::Unavailable => (Duration::from_secs(10), Duration::from_secs(60 * 60)),
            Self::Refused => (Duration::from_secs(15 * 60), Duration::from_secs(24 * 60 * 60)),
            Self::RateLimited => (Duration::from_secs(60 * 60), Duration::from_secs(24 * 60 * 60)),
        };
        let milliseconds = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        (milliseconds(first), milliseconds(longest))
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotHere => "not_here",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// A failure is stored under its name.
impl std::str::FromStr for FailureKind {
    type Err = UnknownFailure;
    fn from_str(text: &str) -> Result<Self, UnknownFailure> {
        let all = [Self::NotHere, Self::Unavailable, Self::Refused, Self::RateLimited];
        all.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownFailure(text.to_owned()))
    }
}

/// There is no such failure.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is no way for a certificate to fail")]
pub struct UnknownFailure(String);

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// For people: what is wrong, where, and what to do.
    pub message: String,
    pub at: u64,
}

/// The certificate in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    pub not_before: u64,
    pub not_after: u64,
    /// When to ask for the next one.
    pub renew_at: u64,
}

/// What is known of one automatic certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateState {
    pub issued: Option<Issued>,
    /// Failures of the last one's kind in a row.
    pub failures: u32,
    pub failure: Option<Failure>,
    /// Nothing is tried before this.
    pub next_at: u64,
    /// When its names were last found to point here.
    pub checked_at: Option<u64>,
}

/// What to do next for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this time.
    Wait { until: u64 },
    /// Find out whether its names point here.
    Check,
    /// Ask the authority for it.
    Order,
}

/// Decides what to do next.
#[must_use]
pub fn next(state: &CertificateState, now: u64) -> Step {
    let renewal = state.issued.map_or(0, |issued| issued.renew_at);
    let until = renewal.max(state.next_at);
    if now < until {
        return Step::Wait { until };
    }
    match state.checked_at {
        // A clock that was set back makes the check worth nothing.
        Some(at) if at <= now && now - at < CHECK_HOLDS_MS => Step::Order,
        _ => Step::Check,
    }
}

/// Chooses how to prove a name: the first way at first, the next one after each refusal in a row.
/// `None` when there is none.
#[must_use]
pub fn choose(ways: &[ChallengeKind], state: &CertificateState) -> Option<ChallengeKind> {
    let refused = |failure: &Failure| failure.kind == FailureKind::Refused;
    let refusals = if state.failure.as_ref().is_some_and(refused) { state.failures } else { 0 };
    let turn = usize::try_from(refusals).unwrap_or(0);
    ways.get(turn.checked_rem(ways.len())?).copied()
}

/// A share of a whole, from nothing (0) to all of it (65,535): how much of a jitter to take.
pub type Share = u16;

fn share_of(whole: u64, share: Share) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(share) / u128::from(Share::MAX)).unwrap_or(whole)
}

impl CertificateState {
    /// The names point here.
    pub fn checked(&mut self, now: u64) {
        self.checked_at = Some(now);
    }

    /// The authority has issued a certificate. It is renewed when two thirds of its life are over,
    /// and up to a thirtieth later, so that those of one day are not all asked for at once.
    pub fn issued(&mut self, not_before: u64, not_after: u64, jitter: Share) {
        let life = not_after.saturating_sub(not_before);
        let renew_at = not_before + life / 3 * 2 + share_of(life / 30, jitter);
        *self = Self {
            issued: Some(Issued { not_before, not_after, renew_at }),
            next_at: renew_at,
            ..Self::default()
        };
    }

    /// It failed. The wait until the next attempt doubles with each failure of the same kind, is up
    /// to a tenth longer, and is never shorter than what the authority asks for.
    pub fn failed(
        &mut self,
        kind: FailureKind,
        message: String,
        retry_after: Option<u64>,
        now: u64,
        jitter: Share,
    ) {
        let same = self.failure.as_ref().is_some_and(|last| last.kind == kind);
        self.failures = if same { self.failures.saturating_add(1) } else { 1 };
        let (first, longest) = kind.waits();
        let doubled = first.saturating_mul(1 << (self.failures - 1).min(30)).min(longest);
        let asked = retry_after.unwrap_or(0).min(now + LONGEST_RETRY_AFTER_MS);
        self.next_at = (now + doubled + share_of(doubled / 10, jitter)).max(asked);
        self.checked_at = None;
        self.failure = Some(Failure { kind, message, at: now });
    }

    /// A person says that it may work now. The authority's own wait is kept all the same, and so is
    /// ours after several refusals, which it counts.
    pub fn hurry(&mut self, now: u64) {
        let must_wait = self.failure.as_ref().is_some_and(|failure| match failure.kind {
            FailureKind::RateLimited => true,
            FailureKind::Refused => self.failures >= REFUSALS_TO_HURRY,
            FailureKind::NotHere | FailureKind::Unavailable => false,
        });
        if !must_wait {
            let renewal = self.issued.map_or(0, |issued| issued.renew_at);
            self.next_at = renewal.max(now.min(self.next_at));
        }
    }

    /// Returns what to tell people.
    #[must_use]
    pub fn status(&self, now: u64) -> Status {
        match (self.issued, &self.failure) {
            (Some(issued), _) if now >= issued.not_after => Status::Failed,
            (Some(_), Some(_)) => Status::Failing,
            (Some(_), None) => Status::Issued,
            (None, Some(failure)) => match failure.kind {
                FailureKind::Refused if self.failures >= REFUSALS_TO_HURRY => Status::Failed,
                _ => Status::Failing,
            },
            (None, None) if self.checked_at.is_some() => Status::Verified,
            (None, None) => Status::Waiting,
        }
    }
}

/// How a certificate is doing, in the words of Heroku's `acm_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing has been tried yet.
    Waiting,
    /// The name points here; the authority is being asked.
    Verified,
    Issued,
    /// It did not work and is tried again. A certificate that is there goes on to be used.
    Failing,
    /// It has failed often, or the certificate has expired.
    Failed,
}

impl Status {
    /// Returns Heroku's word; `None` where it has none.
    #[must_use]
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Waiting => None,
            Self::Verified => Some("verified"),
            Self::Issued => Some("cert issued"),
            Self::Failing => Some("failing"),
            Self::Failed => Some("failed"),
        }
    }
}

#[cfg(test)]
mod tests;
