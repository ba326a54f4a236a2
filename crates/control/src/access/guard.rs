//! How often somebody may ask, and how often they may be wrong. In memory: a restart forgives.

use crate::records::User;
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use windlass_core::attempts::Attempts;
use windlass_core::ids::UserId;
use windlass_core::rate_limit::Budget;

/// So many who failed are remembered, of each kind.
const REMEMBERED: usize = 10_000;

/// Who failed to prove themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// An IPv4 address or a network of 64 bits, which is what one customer gets.
    Address([u8; 8]),
    /// The name that came with a secret, shortened.
    Name(String),
    SecondFactor(UserId),
}

/// Budgets of accounts and failures of whoever.
pub(crate) struct Guard {
    started: Instant,
    budgets: Mutex<HashMap<UserId, Budget>>,
    attempts: Mutex<Attempts<Who>>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            budgets: Mutex::default(),
            attempts: Mutex::new(Attempts::new(REMEMBERED)),
        }
    }
}

fn network(address: IpAddr) -> [u8; 8] {
    let mut network = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(address) => network[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => network.copy_from_slice(&address.octets()[..8]),
    }
    network
}

impl Guard {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts<Who>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn second_factor_may_be_tried(&self, user: UserId) -> Result<()> {
        match self.attempts().locked_for(&Who::SecondFactor(user), self.now()) {
            Some(wait) => Err(too_many_failures(wait)),
            None => Ok(()),
        }
    }

    pub(super) fn second_factor_was_tried(&self, user: UserId, right: bool) {
        let (who, now) = (Who::SecondFactor(user), self.now());
        if right { self.attempts().succeeded(&who) } else { self.attempts().failed(who, now) }
    }
}

fn too_many_failures(wait: Duration) -> PlatformError {
    PlatformError::TooMany {
        message: format!(
            "Too many wrong credentials. Try again in {} seconds.",
            wait.as_secs() + 1
        ),
        after: wait,
    }
}

impl Platform {
    /// Counts credentials that were wrong, of an address and of the name that came with them, and
    /// returns the error to answer with: unauthorized at first, then too many.
    ///
    /// Right credentials are never refused for it: a token cannot be guessed, and others behind
    /// the same address must not be shut out by one who fails.
    pub fn wrong_credentials(&self, from: Option<IpAddr>, name: Option<&str>) -> PlatformError {
        let guard = self.guard();
        let now = guard.now();
        let mut attempts = guard.attempts();
        let address = from.map(|address| Who::Address(network(address)));
        let name = name.filter(|name| !name.is_empty() && *name != "heroku");
        let name = name.map(|name| Who::Name(name.chars().take(64).collect()));
        let mut wait = Duration::ZERO;
        for who in [address, name].into_iter().flatten() {
            match attempts.locked_for(&who, now) {
                Some(left) => wait = wait.max(left),
                None => attempts.failed(who, now),
            }
        }
        if wait.is_zero() { PlatformError::Unauthorized } else { too_many_failures(wait) }
    }

    /// Takes one of the requests that an account may send in an hour. Returns how many are left.
    ///
    /// # Errors
    /// [`PlatformError::TooMany`] if there is none.
    pub fn spend_request(&self, user: &User) -> Result<u32> {
        let an_hour = self.settings().requests_per_hour;
        if an_hour == 0 {
            return Ok(UNLIMITED);
        }
        let now = self.guard().now();
        let mut budgets = self.guard().budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.entry(user.id).or_insert_with(|| Budget::full(an_hour, now));
        budget.take(an_hour, now).map_err(|after| PlatformError::TooMany {
            message: format!(
                "Your account reached the API rate limit of {an_hour} requests an hour. Please wait {} seconds before making new requests.",
                after.as_secs() + 1
            ),
            after,
        })
    }

    /// Returns how many requests an account has left.
    pub fn requests_left(&self, user: &User) -> u32 {
        let an_hour = self.settings().requests_per_hour;
        if an_hour == 0 {
            return UNLIMITED;
        }
        let budgets = self.guard().budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.get(&user.id).map_or(an_hour, Budget::whole)
    }
}

/// What is told to clients that pace themselves by what is left, where nothing is limited.
pub const UNLIMITED: u32 = 4_500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_network_are_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
