//! How an app's deploys go: the settings that its people choose.

use crate::limits;
use crate::names::ProcessType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// What somebody chose for an app; `None` is the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct DeploySettings {
    pub strategy: Strategy,
    /// At most this many instances of a process type beyond its quantity during a deploy or a
    /// restart, at least 1. `None`: the whole new formation starts beside the old one.
    pub surge: Option<u32>,
    /// The share of requests that a canary gets, from 1 to 99 of a hundred.
    pub canary_percent: Option<u8>,
    /// Seconds that requests in flight get on an instance that is out of the routes.
    pub drain_seconds: Option<u32>,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_seconds: Option<u32>,
    /// When many apps are to start, as after a reboot: a higher number first, up to 100.
    pub priority: Option<u8>,
}

/// In which order the old and the new run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The new is up before the old is stopped.
    #[default]
    Rolling,
    /// The old is stopped before the new starts; requests wait meanwhile. Heroku without `preboot`.
    Recreate,
    /// The new gets a share of the requests until somebody promotes or aborts it.
    Canary,
}

impl Strategy {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Recreate => "recreate",
            Self::Canary => "canary",
        }
    }
}

impl std::str::FromStr for Strategy {
    type Err = DeploySettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Rolling, Self::Recreate, Self::Canary]
            .into_iter()
            .find(|strategy| strategy.as_str() == text)
            .ok_or_else(|| DeploySettingsError::Strategy(text.to_owned()))
    }
}

/// The share of a canary for which nobody chose one, of a hundred.
pub const DEFAULT_CANARY_PERCENT: u8 = 10;
/// The priority of an app for which nobody chose one.
pub const DEFAULT_PRIORITY: u8 = 50;
pub const HIGHEST_PRIORITY: u8 = 100;
/// The longest drain limit and grace period: one hour.
pub const LONGEST_WAIT_SECONDS: u32 = 3_600;

impl DeploySettings {
    /// Says what is wrong with numbers that are out of range.
    pub fn check(&self) -> Result<(), DeploySettingsError> {
        if self.surge.is_some_and(|n| n == 0 || n > limits::INSTANCES_PER_PROCESS) {
            return Err(DeploySettingsError::Surge);
        }
        if self.canary_percent.is_some_and(|percent| !(1..=99).contains(&percent)) {
            return Err(DeploySettingsError::CanaryPercent);
        }
        if self.priority.is_some_and(|priority| priority > HIGHEST_PRIORITY) {
            return Err(DeploySettingsError::Priority);
        }
        for (name, seconds) in [("drain", self.drain_seconds), ("grace", self.grace_seconds)] {
            if seconds.is_some_and(|seconds| seconds > LONGEST_WAIT_SECONDS) {
                return Err(DeploySettingsError::Wait(name));
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn canary_percent(&self) -> u8 {
        self.canary_percent.unwrap_or(DEFAULT_CANARY_PERCENT)
    }

    #[must_use]
    pub fn priority(&self) -> u8 {
        self.priority.unwrap_or(DEFAULT_PRIORITY)
    }

    #[must_use]
    pub fn drain(&self, default: Duration) -> Duration {
        self.drain_seconds.map_or(default, |seconds| Duration::from_secs(u64::from(seconds)))
    }

    #[must_use]
    pub fn grace(&self, default: Duration) -> Duration {
        self.grace_seconds.map_or(default, |seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// Returns the process types of which two releases must not run at the same time: all with
    /// [`Strategy::Recreate`], else those that only one may write for.
    #[must_use]
    pub fn exclusive<'a>(
        &self,
        processes: impl Iterator<Item = &'a ProcessType>,
        single_writers: &BTreeSet<ProcessType>,
    ) -> BTreeSet<ProcessType> {
        let is_exclusive = |process: &&ProcessType| {
            self.strategy == Strategy::Recreate || single_writers.contains(*process)
        };
        processes.filter(is_exclusive).cloned().collect()
    }
}

/// A release that gets a share of the requests beside the current one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CanaryState {
    pub release: u32,
    /// Of a hundred requests.
    pub percent: u8,
}

impl CanaryState {
    /// Returns how many instances of a process type serve the share: those of it, rounded up.
    #[must_use]
    pub fn quantity(&self, full: u32) -> u32 {
        full.saturating_mul(u32::from(self.percent)).div_ceil(100).min(full)
    }
}

/// Who keeps an app from being deployed, and why.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeployLock {
    /// The e-mail address of whoever locked it.
    pub by: String,
    pub reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeploySettingsError {
    #[error("The strategy is rolling, recreate or canary, not {0}.")]
    Strategy(String),
    #[error("surge is a number of instances from 1 to {}.", limits::INSTANCES_PER_PROCESS)]
    Surge,
    #[error("priority is a number from 0 to {HIGHEST_PRIORITY}; a higher one starts first.")]
    Priority,
    #[error("The canary's share is a percentage from 1 to 99.")]
    CanaryPercent,
    #[error("{0} is a number of seconds up to {LONGEST_WAIT_SECONDS}.")]
    Wait(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_more_than_all() {
        let quantity = |percent, full| CanaryState { release: 2, percent }.quantity(full);
        assert_eq!([quantity(10, 1), quantity(10, 20), quantity(34, 3)], [1, 2, 2]);
        assert_eq!([quantity(99, 2), quantity(50, 0)], [2, 0]);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let default = DeploySettings::default();
        assert_eq!(default.check(), Ok(()));
        let wrong = [
            DeploySettings { surge: Some(0), ..default.clone() },
            DeploySettings { canary_percent: Some(100), ..default.clone() },
            DeploySettings { drain_seconds: Some(3_601), ..default.clone() },
            DeploySettings { priority: Some(101), ..default.clone() },
        ];
        for settings in wrong {
            assert!(settings.check().is_err(), "{settings:?}");
        }
        assert!("blue-green".parse::<Strategy>().is_err());
    }

    #[test]
    fn recreate_makes_every_type_exclusive_and_volumes_their_own() {
        let web: ProcessType = "web".parse().unwrap();
        let worker: ProcessType = "worker".parse().unwrap();
        let all = [web.clone(), worker.clone()];
        let writers = BTreeSet::from([worker.clone()]);
        let mut settings = DeploySettings::default();
        assert_eq!(settings.exclusive(all.iter(), &writers), writers);
        settings.strategy = Strategy::Recreate;
        assert_eq!(settings.exclusive(all.iter(), &writers), BTreeSet::from([web, worker]));
    }
}
