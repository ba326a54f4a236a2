//! Cron: commands that run at times. Schedules, when they come round next, and what to do about a
//! job that is due; the present is always handed in.

mod due;
mod next;
#[cfg(test)]
mod next_tests;
mod schedule;

pub use due::{Act, AppState, Decision, JobState, MOST_AT_ONCE, decide, may_start};
pub use schedule::{InvalidSchedule, Schedule};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A job may run for a day unless it says otherwise, in seconds.
pub const DEFAULT_TIMEOUT: u64 = 24 * 60 * 60;
/// No job may run for longer than a week, in seconds.
pub const LONGEST_TIMEOUT: u64 = 7 * DEFAULT_TIMEOUT;
/// The longest command, in bytes.
const COMMAND_BYTES: usize = 4_096;

/// Enums that are words in the database, the API and app.json.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownWord {
                        what: $what,
                        text: text.chars().take(40).collect(),
                        known: [$($text),+].join(", "),
                    }),
                }
            }
        }
    };
}

/// A word that is none of those which are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {known}")]
pub struct UnknownWord {
    what: &'static str,
    text: String,
    known: String,
}

words!(
    /// What happens when a job is due while an earlier run of it goes on. The words are those of
    /// Dokku and Kubernetes.
    Overlap, "overlap policy",
    /// They run side by side.
    Allow = "allow",
    /// The new run is left out.
    Forbid = "forbid",
    /// The earlier run is stopped first.
    Replace = "replace",
);

words!(
    /// Why a run was begun.
    Cause, "cause of a run",
    Schedule = "schedule",
    /// The server was away when it was due.
    CatchUp = "catch_up",
    Manual = "manual",
);

words!(
    /// How a run went.
    RunStatus, "status of a run",
    Running = "running",
    Succeeded = "succeeded",
    /// It ended with another exit code than 0, or could not be started.
    Failed = "failed",
    /// It was stopped at its time limit.
    TimedOut = "timed_out",
    /// It was stopped for the run after it.
    Replaced = "replaced",
    /// What became of it is not known.
    Lost = "lost",
    /// It was left out, since an earlier one went on.
    Skipped = "skipped",
    /// The server was away, and it was not made up for.
    Missed = "missed",
);

/// What a job is, beside its name.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CronSettings {
    pub command: String,
    /// As it is written: five fields, or `@daily` and the like.
    pub schedule: String,
    /// An IANA name; `None` for UTC.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Whether it runs in maintenance mode too.
    #[serde(default)]
    pub maintenance: bool,
    #[serde(default = "allow")]
    pub overlap: Overlap,
    /// Whether it is made up for when the server was away.
    #[serde(default = "yes")]
    pub catch_up: bool,
    /// Seconds.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
}

fn allow() -> Overlap {
    Overlap::Allow
}

fn yes() -> bool {
    true
}

fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT
}

/// What is wrong with a job: the setting and the problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidCron {
    /// Its name in app.json.
    pub field: &'static str,
    pub problem: String,
}

impl CronSettings {
    /// Returns a job with everything at its default.
    #[must_use]
    pub fn new(command: impl Into<String>, schedule: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            schedule: schedule.into(),
            timezone: None,
            maintenance: false,
            overlap: allow(),
            catch_up: yes(),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Returns when it runs.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self) -> Result<(Schedule, TimeZone), InvalidCron> {
        let wrong = |field, problem: String| Err(InvalidCron { field, problem });
        if self.command.trim().is_empty() {
            return wrong("command", "must not be empty".to_owned());
        }
        if self.command.len() > COMMAND_BYTES || self.command.contains('\0') {
            return wrong(
                "command",
                format!("is one of at most {COMMAND_BYTES} bytes, without NUL"),
            );
        }
        if !(1..=LONGEST_TIMEOUT).contains(&self.timeout) {
            return wrong("timeout", format!("is between 1 and {LONGEST_TIMEOUT} seconds"));
        }
        let schedule: Schedule = match self.schedule.parse() {
            Ok(schedule) => schedule,
            Err(error) => return wrong("schedule", error.to_string()),
        };
        match zone(self.timezone.as_deref()) {
            Ok(zone) => Ok((schedule, zone)),
            Err(problem) => wrong("timezone", problem),
        }
    }
}

/// Returns the zone of an IANA name (`Europe/Berlin`); UTC for none.
fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(40).collect();
        format!("{shown:?} is no time zone: name one as Europe/Berlin or America/New_York")
    })
}

/// Returns a name for a job that has none: the first words of its command, `rake-db-clean`, with
/// a number behind it if that is taken.
#[must_use]
pub fn name_for(command: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = String::new();
    for character in command.chars() {
        if name.len() >= 30 {
            break;
        }
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "job" } else { name };
    let numbered = (2u32..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates.find(|candidate| !is_taken(candidate)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_commands() {
        let free = |_: &str| false;
        let table = [
            ("bundle exec rake db:clean", "bundle-exec-rake-db-clean"),
            ("./bin/report --daily", "bin-report-daily"),
            ("\u{fc}", "job"),
            ("a-very-long-command-that-goes-on and on", "a-very-long-command-that-goes"),
        ];
        for (command, name) in table {
            assert_eq!(name_for(command, free), name);
        }
        assert_eq!(name_for("clean", |name| name == "clean" || name == "clean-2"), "clean-3");
    }

    #[test]
    fn a_job_is_checked_setting_by_setting() {
        let job = CronSettings::new("clean", "@daily");
        assert!(job.check().is_ok());
        let field = |job: CronSettings| job.check().unwrap_err().field;
        assert_eq!(field(CronSettings { command: " ".into(), ..job.clone() }), "command");
        assert_eq!(field(CronSettings { timeout: 0, ..job.clone() }), "timeout");
        assert_eq!(field(CronSettings { schedule: "daily".into(), ..job.clone() }), "schedule");
        let zone = |name: &str| CronSettings { timezone: Some(name.into()), ..job.clone() };
        assert_eq!(field(zone("Mars/Olympus")), "timezone");
        assert!(zone("europe/berlin").check().is_ok());
    }

    #[test]
    fn words_are_read_back() {
        for word in [Overlap::Allow, Overlap::Forbid, Overlap::Replace] {
            assert_eq!(word.as_str().parse(), Ok(word));
        }
        let wrong = "never".parse::<Overlap>().unwrap_err().to_string();
        assert_eq!(wrong, "\"never\" is no overlap policy: allow, forbid, replace");
    }

    #[test]
    fn what_an_older_version_stored_is_read() {
        let old = r#"{"command": "clean", "schedule": "@daily"}"#;
        let job: CronSettings = serde_json::from_str(old).unwrap();
        assert_eq!(job, CronSettings::new("clean", "@daily"));
    }
}
