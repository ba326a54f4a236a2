//! What a browser is asked to sign: good once, and for a short time.

use super::{Refused, to_base64url};
use std::time::{Duration, Instant};

/// How long a challenge is good for: browsers give up after that, too.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A question to a browser. Checking an answer takes it, so that none is answered twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    bytes: [u8; 32],
    until: Instant,
}

impl Challenge {
    /// Returns one of these random bytes.
    #[must_use]
    pub fn new(random: [u8; 32], now: Instant) -> Self {
        Self { bytes: random, until: now + CHALLENGE_LIFETIME }
    }

    /// Returns it as browsers are told it, in base64url.
    #[must_use]
    pub fn text(&self) -> String {
        to_base64url(&self.bytes)
    }

    /// Uses it up.
    pub(super) fn take(self, now: Instant) -> Result<[u8; 32], Refused> {
        if now < self.until { Ok(self.bytes) } else { Err(Refused::Expired) }
    }
}
