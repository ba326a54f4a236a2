//! Times as people read them.

use jiff::Timestamp;

/// `2026-01-02T03:04:05Z` as `2026/01/02 03:04:05 +0000 (~ 3m ago)`; other text stays as it is.
pub fn with_age(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(parsed) => {
            format!("{} (~ {} ago)", parsed.strftime("%Y/%m/%d %H:%M:%S +0000"), age(parsed, now))
        }
        Err(_) => time.to_owned(),
    }
}

/// A time to come, `2026-01-02T03:04:00Z`, as `2026/01/02 03:04 +0000 (in 3m)`.
pub fn with_wait(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(parsed) => {
            format!("{} (in {})", parsed.strftime("%Y/%m/%d %H:%M +0000"), age(now, parsed))
        }
        Err(_) => time.to_owned(),
    }
}

/// The time since `then` in its largest unit: `5s`, `3m`, `7h`, `12d`.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - then.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..90_000 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_given_in_the_largest_unit() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let cases = [
            ("2026-01-02T03:04:00Z", "2026/01/02 03:04:00 +0000 (~ 5s ago)"),
            ("2026-01-02T03:01:05Z", "2026/01/02 03:01:05 +0000 (~ 3m ago)"),
            ("2026-01-01T04:04:05Z", "2026/01/01 04:04:05 +0000 (~ 23h ago)"),
            ("2025-12-31T03:04:05Z", "2025/12/31 03:04:05 +0000 (~ 2d ago)"),
            ("2026-01-02T03:04:09Z", "2026/01/02 03:04:09 +0000 (~ 0s ago)"),
            ("soon", "soon"),
        ];
        for (time, expected) in cases {
            assert_eq!(with_age(time, now), expected);
        }
        let soon = with_wait("2026-01-02T03:10:00Z", now);
        assert_eq!(soon, "2026/01/02 03:10 +0000 (in 5m)");
    }
}
