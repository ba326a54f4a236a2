//! Log drains: the frames in which lines of an app's log are sent elsewhere.
//!
//! Both forms are octet-counted syslog messages. That of https drains has, as Heroku's, `host` for
//! the host and one dash after the process; parsers of Heroku's logs rely on it. That of syslog
//! drains is RFC 5424, with the drain's token as the host.

use crate::log_line::{self, LogLine};
use crate::outgoing::Scheme;
use std::time::Duration;

/// Drains of one app (Heroku's limit).
pub const DRAINS_PER_APP: usize = 5;
/// What a drain's target may be.
pub const SCHEMES: [Scheme; 4] = [Scheme::Https, Scheme::SyslogTls, Scheme::Syslog, Scheme::Http];
/// A batch holds at least one line, and no more once it has so many bytes.
pub const BATCH_BYTES: usize = 100 * 1024;
/// Lines that wait for a target that does not take them; the oldest beyond it are dropped.
pub const BACKLOG_BYTES: u64 = 1 << 20;

/// Lines of a log as a target takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub messages: u32,
    /// Bytes of the log that it was made of, without what it says itself.
    pub log_bytes: u64,
}

impl Batch {
    /// Frames the first of these whole lines, as many as fit.
    #[must_use]
    pub fn of(text: &str, scheme: Scheme, token: &str) -> Self {
        let mut batch = Self::default();
        for line in text.split_inclusive('\n') {
            if batch.bytes.len() >= BATCH_BYTES {
                break;
            }
            batch.log_bytes += line.len() as u64;
            if let Some(line) = log_line::parse(line.trim_end_matches('\n')) {
                batch.push(&line, scheme, token);
            }
        }
        batch
    }

    /// Puts a line of the platform's own in front.
    pub fn begin_with(&mut self, line: &LogLine<'_>, scheme: Scheme, token: &str) {
        let rest = std::mem::take(&mut self.bytes);
        self.push(line, scheme, token);
        self.bytes.extend(rest);
    }

    fn push(&mut self, line: &LogLine<'_>, scheme: Scheme, token: &str) {
        let LogLine { timestamp, source, process, message } = *line;
        let priority = priority(source, process);
        let frame = if scheme.is_http() {
            format!("<{priority}>1 {timestamp} host {source} {process} - {message}\n")
        } else {
            format!("<{priority}>1 {timestamp} {token} {source} {process} - - {message}\n")
        };
        self.bytes.extend(format!("{} ", frame.len()).bytes());
        self.bytes.extend(frame.bytes());
        self.messages += 1;
    }
}

/// Facility and severity as Heroku's logs have them.
fn priority(source: &str, process: &str) -> u8 {
    match (source, process) {
        ("heroku", "router") => 158,
        ("heroku", "logplex") => 172,
        ("heroku", _) => 134,
        ("app", "api") => 133,
        _ => 190,
    }
}

/// What tells that lines were dropped since a time of the log.
#[must_use]
pub fn overflow(lines: u64, since: &str) -> String {
    format!("Error L10 (output buffer overflow): {lines} messages dropped since {since}.")
}

/// What an https target's answer means for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// It will never be taken: it is dropped.
    Refused,
    /// It may be taken later.
    Later,
}

/// Decides by the status of an answer; `None`: there was none.
#[must_use]
pub fn verdict(status: Option<u16>) -> Verdict {
    match status {
        Some(200..=299) => Verdict::Taken,
        Some(429) => Verdict::Later,
        Some(400..=499) => Verdict::Refused,
        _ => Verdict::Later,
    }
}

/// Returns how long to wait after the `failures`th failure in a row: 1 s doubling to five minutes.
#[must_use]
pub fn retry_delay(failures: u32) -> Duration {
    Duration::from_secs((1u64 << failures.saturating_sub(1).min(10)).min(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-02T03:04:05.678901+00:00 app[web.1]: hé llo\n\
                       not a line of ours\n\
                       2026-01-02T03:04:06.000000+00:00 heroku[router]: at=info\n";

    #[test]
    fn https_frames_have_one_dash_and_count_their_bytes() {
        let batch = Batch::of(LOG, Scheme::Https, "d.1");
        let text = String::from_utf8(batch.bytes).unwrap();
        assert_eq!(
            text,
            "65 <190>1 2026-01-02T03:04:05.678901+00:00 host app web.1 - hé llo\n\
             69 <158>1 2026-01-02T03:04:06.000000+00:00 host heroku router - at=info\n"
        );
        assert_eq!((batch.messages, batch.log_bytes), (2, LOG.len() as u64));
    }

    #[test]
    fn syslog_frames_are_rfc_5424_with_the_token_as_host() {
        let batch = Batch::of(LOG, Scheme::SyslogTls, "d.1");
        let text = String::from_utf8(batch.bytes).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(first, "66 <190>1 2026-01-02T03:04:05.678901+00:00 d.1 app web.1 - - hé llo");
        assert_eq!(first.len() + 1 - "66 ".len(), 66);
    }

    #[test]
    fn batches_end_between_lines() {
        let line = format!("2026-01-02T03:04:05.678901+00:00 app[web.1]: {}\n", "x".repeat(9_000));
        let log = line.repeat(50);
        let (mut sent, mut messages, mut batches) = (0, 0, 0);
        while sent < log.len() {
            let batch = Batch::of(&log[sent..], Scheme::Https, "d.1");
            assert!(batch.bytes.len() < BATCH_BYTES + 11_000 && batch.messages > 0);
            sent += usize::try_from(batch.log_bytes).unwrap();
            messages += batch.messages;
            batches += 1;
        }
        assert_eq!((messages, batches), (50, 5));
    }

    #[test]
    fn what_was_dropped_is_told_in_front() {
        let mut batch = Batch::of(LOG, Scheme::Https, "d.1");
        let message = overflow(7, "2026-01-02T03:04:05.678901+00:00");
        let line =
            LogLine { timestamp: "T", source: "heroku", process: "logplex", message: &message };
        batch.begin_with(&line, Scheme::Https, "d.1");
        let text = String::from_utf8(batch.bytes).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.contains("<172>1 T host heroku logplex - Error L10 (output buffer overflow): 7 messages dropped since 2026-01-02"), "{first}");
        assert_eq!((batch.messages, text.lines().count()), (3, 3));
        assert_eq!(batch.log_bytes, LOG.len() as u64);
    }

    #[test]
    fn answers_decide_about_a_batch() {
        let table = [
            (Some(200), Verdict::Taken),
            (Some(204), Verdict::Taken),
            (Some(302), Verdict::Later),
            (Some(400), Verdict::Refused),
            (Some(404), Verdict::Refused),
            (Some(429), Verdict::Later),
            (Some(500), Verdict::Later),
            (None, Verdict::Later),
        ];
        for (status, expected) in table {
            assert_eq!(verdict(status), expected, "{status:?}");
        }
        let seconds: Vec<u64> = (1..=10).map(|n| retry_delay(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(retry_delay(u32::MAX).as_secs(), 300);
    }
}
