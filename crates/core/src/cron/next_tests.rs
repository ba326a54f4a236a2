use super::Schedule;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn milliseconds(text: &str) -> u64 {
    u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
}

fn shown(zone: &TimeZone, milliseconds: u64) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(milliseconds).unwrap()).unwrap();
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string()
}

/// The times that follow, in the zone.
fn following(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let (schedule, zone) = (schedule.parse::<Schedule>().unwrap(), TimeZone::get(zone).unwrap());
    let times = std::iter::successors(Some(milliseconds(after)), |after| {
        schedule.next_after(&zone, *after)
    });
    times.skip(1).take(count).map(|time| shown(&zone, time)).collect()
}

#[test]
fn times_follow_the_calendar() {
    let next = |schedule: &str, after: &str| following(schedule, "UTC", after, 1).remove(0);
    let table = [
        ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01 00:05 +00:00"),
        ("*/5 * * * *", "2026-01-01T00:04:59.999Z", "2026-01-01 00:05 +00:00"),
        ("0 12 * * *", "2026-01-01T12:00:00Z", "2026-01-02 12:00 +00:00"),
        ("0 12 * * *", "2026-01-01T11:59:30Z", "2026-01-01 12:00 +00:00"),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31 00:00 +00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29 00:00 +00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29 00:00 +00:00"),
        ("30 4 * * mon-fri", "2026-01-02T05:00:00Z", "2026-01-05 04:30 +00:00"),
        // Either field of days, since both are restricted: Friday comes before the 13th.
        ("0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02 00:00 +00:00"),
        // Both, since one begins with a star: an odd day that is a Friday.
        ("0 0 */2 * fri", "2026-01-01T00:00:00Z", "2026-01-09 00:00 +00:00"),
        ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01 00:00 +00:00"),
        ("* * 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29 00:00 +00:00"),
    ];
    for (schedule, after, expected) in table {
        assert_eq!(next(schedule, after), expected, "{schedule} after {after}");
    }
}

#[test]
fn a_skipped_hour_is_made_up_for_once_when_it_ends() {
    // On 29 March 2026 two o'clock is three o'clock in Berlin.
    let after = "2026-03-28T12:00:00Z";
    assert_eq!(
        following("30 2 * * *", "Europe/Berlin", after, 3),
        ["2026-03-29 03:00 +02:00", "2026-03-30 02:30 +02:00", "2026-03-31 02:30 +02:00"]
    );
    assert_eq!(
        following("0,30 2-3 * * *", "Europe/Berlin", after, 3),
        ["2026-03-29 03:00 +02:00", "2026-03-29 03:30 +02:00", "2026-03-30 02:00 +02:00"]
    );
    // In Havana the clocks jump from midnight to one.
    assert_eq!(
        following("15 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", 2),
        ["2026-03-08 01:00 -04:00", "2026-03-09 00:15 -04:00"]
    );
}

#[test]
fn an_hour_that_comes_twice_counts_once() {
    // On 25 October 2026 three o'clock is two o'clock again in Berlin.
    assert_eq!(
        following("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30 +02:00", "2026-10-26 02:30 +01:00"]
    );
    assert_eq!(
        following("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 3),
        ["2026-10-25 02:00 +02:00", "2026-10-25 02:30 +02:00", "2026-10-26 02:00 +01:00"]
    );
    // Asked within the second time, it is over.
    assert_eq!(
        following("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
        ["2026-10-26 02:30 +01:00"]
    );
}

#[test]
fn every_hour_is_every_hour_of_elapsed_time() {
    assert_eq!(
        following("30 * * * *", "Europe/Berlin", "2026-10-24T23:40:00Z", 4),
        [
            "2026-10-25 02:30 +02:00",
            "2026-10-25 02:30 +01:00",
            "2026-10-25 03:30 +01:00",
            "2026-10-25 04:30 +01:00"
        ]
    );
    assert_eq!(
        following("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
        ["2026-03-29 01:30 +01:00", "2026-03-29 03:30 +02:00"]
    );
}

/// The same, minute by minute, straight from the rules.
struct SlowReader<'a> {
    fields: [&'a [i8]; 5],
    starred: [bool; 5],
}

impl SlowReader<'_> {
    fn shows(&self, wall: DateTime) -> bool {
        let weekday = wall.date().weekday().to_sunday_zero_offset();
        let values = [wall.minute(), wall.hour(), wall.day(), wall.month(), weekday];
        let fits: Vec<bool> =
            (0..5).map(|at| self.starred[at] || self.fields[at].contains(&values[at])).collect();
        let days = if self.starred[2] || self.starred[4] {
            fits[2] && fits[4]
        } else {
            fits[2] || fits[4]
        };
        fits[0] && fits[1] && fits[3] && days
    }

    fn runs_at(&self, zone: &TimeZone, at: i64) -> bool {
        let wall = |second: i64| zone.to_datetime(Timestamp::from_second(second).unwrap());
        let (now, before) = (wall(at), wall(at - 60));
        if self.starred[1] {
            return self.shows(now);
        }
        // Whether the wall clock has shown it in the last hours.
        let again = || (1..=180).any(|minutes| wall(at - 60 * minutes) == now);
        if self.shows(now) && !again() {
            return true;
        }
        // What it has skipped to get here.
        let mut skipped = before;
        loop {
            skipped = skipped.checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
            if skipped >= now {
                return false;
            }
            if self.shows(skipped) {
                return true;
            }
        }
    }

    fn next_after(&self, zone: &TimeZone, after: i64, until: i64) -> Option<i64> {
        let first = (after.div_euclid(60) + 1) * 60;
        (first..=until).step_by(60).find(|at| self.runs_at(zone, *at))
    }
}

fn text_of(values: &[i8]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn some_of(from: i8, to: i8) -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::vec(from..=to, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Around the changes of the clocks, four days each.
    #[test]
    fn agrees_with_a_slow_reader(
        minutes in some_of(0, 59), hours in some_of(0, 4), days in some_of(1, 31),
        weekdays in some_of(0, 6), starred: [bool; 4], offset in 0i64..4 * 86_400,
        place in 0usize..6,
    ) {
        let (zone, around) = [
            ("Europe/Berlin", "2026-03-27T12:00:00Z"),
            ("Europe/Berlin", "2026-10-23T12:00:00Z"),
            ("America/Havana", "2026-03-06T12:00:00Z"),
            ("America/Havana", "2026-10-30T12:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-02T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
        ][place];
        let zone = TimeZone::get(zone).unwrap();
        let starred = [starred[0], starred[1], starred[2], true, starred[3]];
        let fields: [&[i8]; 5] = [&minutes, &hours, &days, &[], &weekdays];
        let written = (0..5).map(|at| if starred[at] { "*".into() } else { text_of(fields[at]) });
        let written: Vec<String> = written.collect();
        let schedule: Schedule = written.join(" ").parse().unwrap();

        let after = around.parse::<Timestamp>().unwrap().as_second() + offset;
        let until = after + 4 * 86_400;
        let slow = SlowReader { fields, starred }.next_after(&zone, after, until);
        let fast = schedule.next_after(&zone, u64::try_from(after).unwrap() * 1_000);
        let fast = fast.map(|at| i64::try_from(at / 1_000).unwrap()).filter(|at| *at <= until);
        prop_assert_eq!(fast, slow, "{} after {}", schedule, after);
    }
}
