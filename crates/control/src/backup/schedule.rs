//! When a scheduled backup is due, and which ones are not kept.

use std::time::Duration;

const DAY: i64 = 24 * 60 * 60;
const PREFIX: &str = "windlass-";
const SUFFIX: &str = ".backup";

/// When backups are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every day, this long after midnight in UTC.
    Daily(Duration),
    Every(Duration),
}

impl std::str::FromStr for Schedule {
    type Err = String;

    /// `03:30`, `6h`, `90m`, `1d`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected a time of day in UTC (03:30) or an interval (6h, 90m, 1d)".to_owned();
        if let Some((hours, minutes)) = text.split_once(':') {
            let number = |part: &str, limit: u64| {
                part.parse::<u64>().ok().filter(|n| *n < limit && part.len() == 2)
            };
            let (hours, minutes) = number(hours, 24).zip(number(minutes, 60)).ok_or_else(wrong)?;
            return Ok(Self::Daily(Duration::from_secs(hours * 3600 + minutes * 60)));
        }
        let unit = match text.as_bytes().last() {
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let seconds =
            number.checked_mul(unit).filter(|seconds| *seconds >= 60).ok_or_else(wrong)?;
        Ok(Self::Every(Duration::from_secs(seconds)))
    }
}

impl Schedule {
    /// Returns whether a backup is due. `last` is when the newest one was made; without any, one is
    /// due at once. A time that was missed, because no server ran, is made up for. Both in seconds
    /// since the Unix epoch.
    #[must_use]
    pub fn is_due(self, last: Option<i64>, now: i64) -> bool {
        let Some(last) = last else { return true };
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match self {
            Self::Every(interval) => now >= last.saturating_add(seconds(interval)),
            Self::Daily(at) => {
                let today = now.div_euclid(DAY) * DAY + seconds(at);
                let latest = if today <= now { today } else { today - DAY };
                last < latest
            }
        }
    }
}

/// Returns the name of the file of a backup that is made now (seconds since the Unix epoch).
#[must_use]
pub fn file_name(now: i64) -> String {
    let time = jiff::Timestamp::from_second(now).unwrap_or_default();
    format!("{PREFIX}{}{SUFFIX}", time.strftime("%Y%m%dT%H%M%SZ"))
}

/// Returns when the backup with this name was made; `None` for what is no scheduled backup.
#[must_use]
pub fn time_of(name: &str) -> Option<i64> {
    let text = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.strip_suffix('Z')?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Returns the backups among `names` that are not the newest `keep`.
#[must_use]
pub fn surplus(names: &[String], keep: usize) -> Vec<&String> {
    let mut ours: Vec<(i64, &String)> =
        names.iter().filter_map(|name| Some((time_of(name)?, name))).collect();
    ours.sort_unstable();
    let surplus = ours.len().saturating_sub(keep);
    ours.into_iter().take(surplus).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_and_due_when_they_say() {
        let daily: Schedule = "03:30".parse().unwrap();
        let every: Schedule = "6h".parse().unwrap();
        for wrong in ["", "h", "3:30", "24:00", "soon", "10s", "0h", "03:30:00"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
        let at = |days: i64, hours: i64, minutes: i64| days * DAY + hours * 3600 + minutes * 60;
        assert!(daily.is_due(None, at(9, 0, 0)));
        assert!(!daily.is_due(Some(at(9, 3, 30)), at(10, 3, 29)));
        assert!(daily.is_due(Some(at(9, 3, 30)), at(10, 3, 30)));
        assert!(daily.is_due(Some(at(3, 3, 30)), at(10, 1, 0)), "missed ones are made up for");
        assert!(!daily.is_due(Some(at(10, 3, 31)), at(10, 23, 0)));
        assert!(!every.is_due(Some(at(9, 0, 0)), at(9, 5, 59)));
        assert!(every.is_due(Some(at(9, 0, 0)), at(9, 6, 0)));
    }

    #[test]
    fn only_the_newest_backups_are_kept_and_other_files_are_left_alone() {
        let names: Vec<String> =
            [1_700_000_000, 1_700_000_900, 1_699_999_000].map(file_name).to_vec();
        assert_eq!(names[0], "windlass-20231114T221320Z.backup");
        assert_eq!(time_of(&names[0]), Some(1_700_000_000));
        let all = [names.clone(), vec!["windlass-mine.backup".into(), "notes".into()]].concat();
        assert_eq!(surplus(&all, 2), [&names[2]]);
        assert!(surplus(&all, 3).is_empty());
    }
}
