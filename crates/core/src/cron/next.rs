//! When a schedule comes round next, across changes of the clocks.
//!
//! Times at certain hours follow the wall clock: one in an hour that is skipped comes when the
//! skipped time ends, and one in an hour that comes twice comes the first time only. A schedule of
//! every hour follows elapsed time, so it neither pauses nor bunches.

use super::schedule::Schedule;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

const MINUTE_MS: i64 = 60_000;
/// 29 February on one day of the week comes within 40 years.
const MOST_DAYS: usize = 41 * 366;

impl Schedule {
    /// Returns the first time after `after_ms`, both in milliseconds since the Unix epoch; `None`
    /// if there is none as far as time is counted.
    #[must_use]
    pub fn next_after(&self, zone: &TimeZone, after_ms: u64) -> Option<u64> {
        let after = Timestamp::from_millisecond(i64::try_from(after_ms).ok()?).ok()?;
        let next = if self.is_every_hour() {
            self.next_by_elapsed_time(zone, after)
        } else {
            self.next_by_wall_clock(zone, after)
        };
        u64::try_from(next?.as_millisecond()).ok()
    }

    fn next_by_wall_clock(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let now = zone.to_datetime(after);
        let mut date = now.date();
        for _ in 0..MOST_DAYS {
            if self.is_on(date) {
                let earliest = (date == now.date()).then_some(now);
                if let Some(found) = self.first_of_day(zone, date, earliest, after) {
                    return Some(found);
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn first_of_day(
        &self,
        zone: &TimeZone,
        date: Date,
        earliest: Option<DateTime>,
        after: Timestamp,
    ) -> Option<Timestamp> {
        for hour in values(self.hours) {
            for minute in values(self.minutes) {
                let at = date.at(hour, minute, 0, 0);
                // What the wall clock has shown is over, whichever way it was moved since.
                if earliest.is_some_and(|earliest| at < earliest) {
                    continue;
                }
                let instant = instant(zone, at)?;
                if instant > after {
                    return Some(instant);
                }
            }
        }
        None
    }

    fn next_by_elapsed_time(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let minute = after.as_millisecond().div_euclid(MINUTE_MS) + 1;
        let mut at = Timestamp::from_millisecond(minute * MINUTE_MS).ok()?;
        for _ in 0..MOST_DAYS {
            let wall = zone.to_datetime(at);
            if !self.is_on(wall.date()) {
                let midnight = wall.date().tomorrow().ok()?.at(0, 0, 0, 0);
                at = instant(zone, midnight)?.max(later(at)?);
            } else if self.minutes >> wall.minute() & 1 == 1 {
                return Some(at);
            } else {
                at = later(at)?;
            }
        }
        None
    }
}

fn later(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.as_millisecond() + MINUTE_MS).ok()
}

fn values(bits: u64) -> impl Iterator<Item = i8> {
    (0..60i8).filter(move |value| bits >> value & 1 == 1)
}

/// Returns when the wall clock shows a time first; for one that it skips, the end of the gap.
fn instant(zone: &TimeZone, at: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(at).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(at).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            let before_the_gap = after.to_timestamp(at).ok()?;
            zone.following(before_the_gap).next().map(|transition| transition.timestamp())
        }
    }
}
