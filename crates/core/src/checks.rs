//! Checks: how one tells that an instance has started, can take requests, and still works. The
//! format is that of Dokku's `healthchecks` in app.json.

use crate::names::ProcessType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The checks of an app by process type.
pub type Checks = BTreeMap<ProcessType, Vec<Check>>;

/// Attempts of a check that does not say how many (Dokku: 3).
pub const DEFAULT_ATTEMPTS: u32 = 3;
/// Seconds between attempts, and for one (Dokku: 5).
pub const DEFAULT_SECONDS: u32 = 5;
/// The most attempts, and the most seconds of any time.
pub const MOST: u32 = 3_600;
/// Checks of one process type.
pub const MOST_CHECKS: usize = 20;

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Check {
    /// What people call it; made of the probe when they gave no name.
    pub name: String,
    pub kind: CheckKind,
    pub probe: Probe,
    /// Failures in a row that count. A startup check has `attempts` times `wait_seconds` and one
    /// `timeout_seconds` in all, and is tried as often as the app answers.
    pub attempts: u32,
    /// From one attempt to the next.
    pub wait_seconds: u32,
    /// For one attempt.
    pub timeout_seconds: u32,
    /// Before the first attempt.
    pub initial_delay_seconds: u32,
    /// Whether a failure is only written into the log.
    pub only_warns: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Before the instance counts as up.
    Startup,
    /// An instance that fails it gets no requests until it passes again.
    Readiness,
    /// An instance that fails it is replaced.
    Liveness,
}

impl CheckKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

impl std::str::FromStr for CheckKind {
    type Err = InvalidCheck;

    fn from_str(text: &str) -> Result<Self, InvalidCheck> {
        [Self::Startup, Self::Readiness, Self::Liveness]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidCheck("type", "is startup, readiness or liveness".to_owned()))
    }
}

/// What an attempt does.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// `GET path` is answered with a status from 200 to 399 and a body that holds `content`.
    Http {
        path: String,
        content: Option<String>,
        headers: Vec<(String, String)>,
        port: Option<u16>,
    },
    /// The port takes connections; `None` is the one in `PORT`.
    Listening { port: Option<u16> },
    /// The command ends with status 0 inside the instance.
    Command(Vec<String>),
    /// The instance has lived so many seconds.
    Uptime(u32),
}

impl Probe {
    /// Returns what it does in a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Http { path, content: None, .. } => format!("GET {path}"),
            Self::Http { path, content: Some(content), .. } => format!("GET {path} says {content}"),
            Self::Listening { port: None } => "the port takes connections".to_owned(),
            Self::Listening { port: Some(port) } => format!("port {port} takes connections"),
            Self::Command(words) => words.join(" "),
            Self::Uptime(seconds) => format!("lives {seconds} s"),
        }
    }
}

/// A check as people write it; what is left out has its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct CheckSettings {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub path: Option<String>,
    pub content: Option<String>,
    pub headers: Vec<(String, String)>,
    pub port: Option<u64>,
    pub listening: bool,
    pub command: Vec<String>,
    pub uptime: Option<u64>,
    pub attempts: Option<u64>,
    pub wait: Option<u64>,
    pub timeout: Option<u64>,
    pub initial_delay: Option<u64>,
    pub only_warns: bool,
}

/// What is wrong with a check: the setting, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} {1}")]
pub struct InvalidCheck(pub &'static str, pub String);

impl CheckSettings {
    /// Returns the check with all defaults filled in.
    pub fn check(self) -> Result<Check, InvalidCheck> {
        let kind = self.kind.as_deref().map_or(Ok(CheckKind::Startup), str::parse)?;
        let probe = self.probe()?;
        let name = match self.name.filter(|name| !name.trim().is_empty()) {
            Some(name) if name.len() > 100 || name.chars().any(char::is_control) => {
                return Err(InvalidCheck("name", "is one line of at most 100 bytes".to_owned()));
            }
            Some(name) => name,
            None => probe.describe(),
        };
        let number = |what, given: Option<u64>, default: u32, least: u32| match given {
            None => Ok(default),
            Some(value) => u32::try_from(value)
                .ok()
                .filter(|value| (least..=MOST).contains(value))
                .ok_or_else(|| InvalidCheck(what, format!("is a number from {least} to {MOST}"))),
        };
        Ok(Check {
            name,
            kind,
            probe,
            attempts: number("attempts", self.attempts, DEFAULT_ATTEMPTS, 1)?,
            wait_seconds: number("wait", self.wait, DEFAULT_SECONDS, 1)?,
            timeout_seconds: number("timeout", self.timeout, DEFAULT_SECONDS, 1)?,
            initial_delay_seconds: number("initialDelay", self.initial_delay, 0, 0)?,
            only_warns: self.only_warns,
        })
    }

    fn probe(&self) -> Result<Probe, InvalidCheck> {
        let port = match self.port {
            None => None,
            Some(port) => {
                Some(u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| {
                    InvalidCheck("port", "is a number from 1 to 65535".to_owned())
                })?)
            }
        };
        let wants_http = self.path.is_some() || self.content.is_some();
        let chosen = [wants_http, self.listening, !self.command.is_empty(), self.uptime.is_some()];
        if chosen.iter().filter(|is| **is).count() > 1 {
            return Err(InvalidCheck(
                "path, listening, command and uptime",
                "exclude each other: one check does one thing".to_owned(),
            ));
        }
        if self.listening {
            return Ok(Probe::Listening { port });
        }
        if !self.command.is_empty() {
            return Ok(Probe::Command(self.command.clone()));
        }
        if let Some(uptime) = self.uptime {
            let fits = u32::try_from(uptime).ok().filter(|seconds| (1..=MOST).contains(seconds));
            let wrong = || InvalidCheck("uptime", format!("is a number of seconds up to {MOST}"));
            return fits.map(Probe::Uptime).ok_or_else(wrong);
        }
        let path = self.path.clone().unwrap_or_else(|| "/".to_owned());
        let plain = |c: char| c.is_ascii_graphic();
        if !path.starts_with('/') || !path.chars().all(plain) {
            return Err(InvalidCheck("path", "begins with / and has no spaces".to_owned()));
        }
        if let Some((name, _)) = self.headers.iter().find(|(name, value)| {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
            name.is_empty() || !name.bytes().all(token) || value.chars().any(char::is_control)
        }) {
            return Err(InvalidCheck("httpHeaders", format!("cannot hold {name:?}")));
        }
        let (content, headers) = (self.content.clone(), self.headers.clone());
        Ok(Probe::Http { path, content, headers, port })
    }
}

impl Check {
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_secs(u64::from(self.wait_seconds))
    }

    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }

    #[must_use]
    pub fn initial_delay(&self) -> Duration {
        Duration::from_secs(u64::from(self.initial_delay_seconds))
    }

    /// How long a startup check may take from the instance's start.
    #[must_use]
    pub fn startup_limit(&self) -> Duration {
        match self.probe {
            Probe::Uptime(seconds) => Duration::from_secs(u64::from(seconds)),
            _ => self.initial_delay() + self.wait() * self.attempts + self.timeout(),
        }
    }
}

/// Counts failures in a row of one check of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    failures: u32,
    failed: bool,
}

/// What an attempt changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It failed as often in a row as counts.
    Failed,
    /// It passes again after that.
    Passed,
}

impl Streak {
    /// Notes an attempt; returns what it changes.
    pub fn note(&mut self, passed: bool, attempts: u32) -> Option<Turn> {
        if passed {
            self.failures = 0;
            return std::mem::take(&mut self.failed).then_some(Turn::Passed);
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= attempts && !self.failed {
            self.failed = true;
            return Some(Turn::Failed);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let check = CheckSettings { path: Some("/up".into()), ..CheckSettings::default() };
        let check = check.check().unwrap();
        assert_eq!((check.kind, check.name.as_str()), (CheckKind::Startup, "GET /up"));
        assert_eq!((check.attempts, check.wait_seconds, check.timeout_seconds), (3, 5, 5));
        assert_eq!(check.startup_limit(), Duration::from_secs(20));
        let plain = CheckSettings::default().check().unwrap();
        assert_eq!(plain.probe.describe(), "GET /");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let default = CheckSettings::default;
        let cases = [
            (CheckSettings { path: Some("up".into()), ..default() }, "path"),
            (CheckSettings { path: Some("/a b".into()), ..default() }, "path"),
            (CheckSettings { kind: Some("health".into()), ..default() }, "type"),
            (CheckSettings { attempts: Some(0), ..default() }, "attempts"),
            (CheckSettings { timeout: Some(1 << 40), ..default() }, "timeout"),
            (CheckSettings { port: Some(70_000), listening: true, ..default() }, "port"),
            (CheckSettings { uptime: Some(0), ..default() }, "uptime"),
            (
                CheckSettings { headers: vec![("a b".into(), "c".into())], ..default() },
                "httpHeaders",
            ),
            (
                CheckSettings { listening: true, uptime: Some(5), ..default() },
                "path, listening, command and uptime",
            ),
        ];
        for (settings, what) in cases {
            assert_eq!(settings.clone().check().unwrap_err().0, what, "{settings:?}");
        }
    }

    #[test]
    fn a_streak_of_failures_counts_once_until_it_passes() {
        let mut streak = Streak::default();
        let turns: Vec<_> = [false, false, true, false, false, false, false, true, true]
            .iter()
            .map(|passed| streak.note(*passed, 3))
            .collect();
        let mut expected = vec![None; 9];
        (expected[5], expected[7]) = (Some(Turn::Failed), Some(Turn::Passed));
        assert_eq!(turns, expected);
    }
}
