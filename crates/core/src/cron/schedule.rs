//! Schedules: the five fields of crontab(5), with names, ranges, steps and lists.

use jiff::civil::Date;
use std::fmt;
use std::str::FromStr;

/// Minute, hour, day of the month, month and day of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    // One bit a value.
    pub(super) minutes: u64,
    pub(super) hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Whether the field begins with `*`: then both fields of days count, else either.
    any_day: bool,
    any_weekday: bool,
}

/// Why a schedule makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchedule(String);

struct Field {
    name: &'static str,
    lowest: u32,
    highest: u32,
    /// The first stands for `lowest`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", lowest: 0, highest: 59, names: &[] };
const HOUR: Field = Field { name: "hour", lowest: 0, highest: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", lowest: 1, highest: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    lowest: 1,
    highest: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// 7 is Sunday as well.
const WEEKDAY: Field = Field {
    name: "day of the week",
    lowest: 0,
    highest: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

const SHORT: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Days of each month, leap years counted.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let text = text.trim();
        let shown: String = text.chars().take(60).collect();
        if text.starts_with('@') {
            let known = SHORT.iter().find(|(short, _)| short.eq_ignore_ascii_case(text));
            let (_, long) = known.ok_or_else(|| {
                let all: Vec<&str> = SHORT.iter().map(|(short, _)| *short).collect();
                InvalidSchedule(format!("{shown:?} is not known: {}", all.join(", ")))
            })?;
            return Ok(Self { text: text.to_ascii_lowercase(), ..long.parse::<Self>()? });
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(InvalidSchedule(format!(
                "{shown:?} has {} fields instead of five: minute, hour, day of the month, month, day of the week, as in `30 4 * * mon-fri`",
                fields.len()
            )));
        };
        let mut schedule = Self {
            text: fields.join(" "),
            minutes: MINUTE.read(minutes)?,
            hours: HOUR.read(hours)?,
            days: DAY.read(days)?,
            months: MONTH.read(months)?,
            weekdays: WEEKDAY.read(weekdays)?,
            any_day: days.starts_with('*'),
            any_weekday: weekdays.starts_with('*'),
        };
        schedule.weekdays = (schedule.weekdays | schedule.weekdays >> 7) & 0x7f;
        if !schedule.ever_comes() {
            return Err(InvalidSchedule(format!(
                "{shown:?} never comes: no such month has that day"
            )));
        }
        Ok(schedule)
    }
}

impl Field {
    fn read(&self, text: &str) -> Result<u64, InvalidSchedule> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.read_part(part)?))
    }

    /// `*`, `5`, `mon-fri`, `*/10`, `8-18/2`, `5/15`.
    fn read_part(&self, part: &str) -> Result<u64, InvalidSchedule> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.lowest, if self.highest == 7 { 6 } else { self.highest }),
            Some((first, last)) => (self.value(first, part)?, self.value(last, part)?),
            None => {
                let first = self.value(range, part)?;
                (first, if step.is_some() { self.highest } else { first })
            }
        };
        // `fri-sun` is a range of days of the week, though Sunday is 0.
        let last = if last == 0 && first > 0 && self.highest == 7 { 7 } else { last };
        if first > last {
            return Err(self.wrong(part, "a range goes from a lower to a higher value"));
        }
        let step = match step.map(str::parse::<u32>) {
            None => 1,
            Some(Ok(step)) if step > 0 => step.min(64),
            Some(_) => return Err(self.wrong(part, "a step is a number above 0")),
        };
        let values = (first..=last).step_by(step as usize);
        Ok(values.fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str, part: &str) -> Result<u32, InvalidSchedule> {
        if let Some(at) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(self.lowest + at as u32);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(value) if digits && (self.lowest..=self.highest).contains(&value) => Ok(value),
            _ => {
                let mut expected = format!("it goes from {} to {}", self.lowest, self.highest);
                if let (Some(first), Some(last)) = (self.names.first(), self.names.last()) {
                    expected.push_str(&format!(", or from {first} to {last}"));
                }
                Err(self.wrong(part, &expected))
            }
        }
    }

    fn wrong(&self, part: &str, problem: &str) -> InvalidSchedule {
        let part: String = part.chars().take(40).collect();
        InvalidSchedule(format!("{part:?} is no {}: {problem}", self.name))
    }
}

impl Schedule {
    /// Whether it has something to do on a day; crontab's rule: if both fields of days are
    /// restricted, either is enough.
    pub(super) fn is_on(&self, date: Date) -> bool {
        let has = |bits: u64, value: i8| bits >> value & 1 == 1;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let both = self.any_day || self.any_weekday;
        has(self.months, date.month()) && if both { day && weekday } else { day || weekday }
    }

    /// Whether it runs in each hour of its days.
    pub(super) fn is_every_hour(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    fn ever_comes(&self) -> bool {
        if !self.any_day && !self.any_weekday {
            return true;
        }
        (1u32..).zip(MONTH_DAYS).any(|(month, last)| {
            self.months >> month & 1 == 1 && (1..=last).any(|day| self.days >> day & 1 == 1)
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(values: &[u32]) -> u64 {
        values.iter().fold(0, |bits, value| bits | 1 << value)
    }

    #[test]
    fn fields_are_read() {
        let schedule: Schedule = " 1,5-7  8-18/5 */10 JAN,dec fri-sun".parse().unwrap();
        assert_eq!(schedule.to_string(), "1,5-7 8-18/5 */10 JAN,dec fri-sun");
        assert_eq!(schedule.minutes, bits(&[1, 5, 6, 7]));
        assert_eq!(schedule.hours, bits(&[8, 13, 18]));
        assert_eq!(schedule.days, bits(&[1, 11, 21, 31]));
        assert_eq!(schedule.months, bits(&[1, 12]));
        assert_eq!(schedule.weekdays, bits(&[0, 5, 6]));
        let schedule: Schedule = "5/20 * * * 7".parse().unwrap();
        assert_eq!((schedule.minutes, schedule.weekdays), (bits(&[5, 25, 45]), 1));
        assert!(schedule.is_every_hour());
        let weekdays = "0 0 * * *".parse::<Schedule>().unwrap().weekdays;
        assert_eq!(weekdays, bits(&[0, 1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn short_forms_are_read() {
        for (short, long) in SHORT {
            let (short, long): (Schedule, Schedule) =
                (short.parse().unwrap(), long.parse().unwrap());
            assert_eq!(Schedule { text: long.text.clone(), ..short }, long);
        }
    }

    #[test]
    fn errors_say_what_is_expected() {
        let table = [
            ("* * * *", "has 4 fields instead of five"),
            ("", "has 0 fields"),
            ("*/5 * * * * *", "has 6 fields"),
            ("60 * * * *", "\"60\" is no minute: it goes from 0 to 59"),
            ("* 24 * * *", "\"24\" is no hour"),
            ("* * 0 * *", "\"0\" is no day of the month: it goes from 1 to 31"),
            ("* * * jam *", "\"jam\" is no month: it goes from 1 to 12, or from jan to dec"),
            ("* * * * 8", "is no day of the week"),
            ("*/0 * * * *", "a step is a number above 0"),
            ("9-5 * * * *", "a range goes from a lower to a higher value"),
            ("1,, * * * *", "is no minute"),
            ("+5 * * * *", "is no minute"),
            ("* * L * *", "is no day of the month"),
            ("@reboot", "\"@reboot\" is not known: @yearly"),
            ("0 0 30 2 *", "never comes"),
            ("0 0 31 4,6 */2", "never comes"),
        ];
        for (text, problem) in table {
            let error = text.parse::<Schedule>().expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
        assert!("0 0 30 2 mon".parse::<Schedule>().is_ok(), "on Mondays");
        assert!("0 0 29 2 *".parse::<Schedule>().is_ok());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[-*/,0-9a-z@ ]{0,40}") {
            let _ = text.parse::<Schedule>();
        }
    }
}
