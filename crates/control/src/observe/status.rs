//! Whether the platform as a whole does what it should, for anybody who asks.

use crate::Platform;
use crate::platform::now_ms;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What was found out holds for so many milliseconds: anybody may ask.
const HOLDS_MS: u64 = 5_000;
/// How long the router and the driver may take to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// What is wrong; nothing: all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The router does not answer: apps are not reached.
    pub router_is_away: bool,
    /// It cannot be seen what runs: deploys, restarts and scaling do not work.
    pub driver_is_away: bool,
    /// Below what is kept free: pushes are refused.
    pub disk_is_full: bool,
}

/// What was found out last, and when.
#[derive(Default)]
pub(crate) struct LastHealth(Mutex<Option<(u64, Health)>>);

impl Platform {
    /// Returns how the platform is now, or was a few seconds ago.
    pub async fn health(&self) -> Health {
        let now = now_ms();
        let last = || self.last_health().0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, health)) = *last()
            && at + HOLDS_MS > now
        {
            return health;
        }
        let router = tokio::time::timeout(LIMIT, self.router_answers());
        let driver = tokio::time::timeout(LIMIT, self.driver().observe());
        let (router, driver) = tokio::join!(router, driver);
        let health = Health {
            router_is_away: !router.unwrap_or(false),
            driver_is_away: !matches!(driver, Ok(Ok(_))),
            disk_is_full: self.refuse_if_disk_is_full().is_err(),
        };
        *last() = Some((now, health));
        health
    }
}
