//! What happened when during a push, from the app's own log.

use super::load::Tally;
use jiff::Timestamp;
use std::time::SystemTime;

/// One moment: milliseconds since `git push` was started, and what it was.
#[derive(Debug, PartialEq)]
pub struct Moment {
    pub ms: f64,
    pub what: String,
}

/// The log lines that mark a moment: source, what the message begins with, what it means.
const MARKS: &[(&str, &str, &str)] = &[
    ("app[api]", "Build started", "received; the build starts"),
    ("app[api]", "Build succeeded", "built; the image is in place"),
    ("app[api]", "Release v", "release made"),
    ("heroku[web.1]", "Starting process", "new instance starts, beside the old one"),
    ("heroku[web.1]", "State changed from starting to up", "new instance is up: it answers"),
    ("heroku[web.1]", "Stopping all processes", "traffic moved to it; the old one drains"),
    ("heroku[web.1]", "Process exited", "old instance has drained and is gone"),
];

/// Whether the old instance has ended since `begun`.
pub fn old_one_is_gone(log: &str, begun: SystemTime) -> bool {
    since(log, begun)
        .any(|(_, source, message)| source == MARKS[6].0 && message.starts_with(MARKS[6].1))
}

/// Puts the moments of a push in order. `ended` is when `git push` came back.
pub fn of_push(
    log: &str,
    begun: SystemTime,
    ended: SystemTime,
    tally: &Tally,
    version: &str,
) -> Vec<Moment> {
    let mut moments = vec![moment(begun, begun, "git push")];
    for (source, beginning, what) in MARKS {
        let mut lines = since(log, begun);
        let found =
            lines.find(|(_, from, message)| from == source && message.starts_with(beginning));
        if let Some((at, ..)) = found {
            moments.push(moment(begun, at, what));
        }
    }
    if let Some(first) = tally.first_seen.get(version) {
        moments.push(moment(
            begun,
            *first,
            &format!("first answer from {version} seen by the load"),
        ));
    }
    moments.push(moment(begun, ended, "git push is done"));
    moments.sort_by(|a, b| a.ms.total_cmp(&b.ms));
    moments
}

fn moment(begun: SystemTime, at: SystemTime, what: &str) -> Moment {
    let ms = at.duration_since(begun).unwrap_or_default().as_secs_f64() * 1e3;
    Moment { ms, what: what.to_owned() }
}

/// Lines of a log as time, source, message.
fn since(log: &str, begun: SystemTime) -> impl Iterator<Item = (SystemTime, &str, &str)> {
    log.lines().filter_map(move |line| {
        let (time, rest) = line.split_once(' ')?;
        let (source, message) = rest.split_once(": ")?;
        let at = SystemTime::from(time.parse::<Timestamp>().ok()?);
        (at >= begun).then_some((at, source, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LOG: &str = "\
2026-01-02T03:04:04.000000+00:00 app[api]: Build started by user a
2026-01-02T03:04:05.100000+00:00 app[api]: Build started by user a
2026-01-02T03:04:06.000000+00:00 app[web.1]: Build succeeded, says the app
2026-01-02T03:04:07.500000+00:00 heroku[web.1]: State changed from starting to up
2026-01-02T03:04:07.600000+00:00 heroku[web.1]: Process exited with status 0
";

    #[test]
    fn moments_are_those_of_the_push_and_in_order() {
        let begun: SystemTime = "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap().into();
        let mut tally = Tally::default();
        tally.first_seen.insert("v2".to_owned(), begun + Duration::from_millis(2550));
        let ended = begun + Duration::from_secs(4);
        let moments = of_push(LOG, begun, ended, &tally, "v2");
        let times: Vec<u64> = moments.iter().map(|moment| moment.ms.round() as u64).collect();
        assert_eq!(times, [0, 100, 2500, 2550, 2600, 4000], "{moments:#?}");
        assert!(old_one_is_gone(LOG, begun));
        assert!(!old_one_is_gone(LOG, ended));
    }
}
