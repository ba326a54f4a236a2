//! The line format of an app's log, on disk and on screen: Heroku's
//! `2026-01-02T03:04:05.678901+00:00 app[web.1]: message`.
//!
//! Every writer (shims, router, server) appends whole lines with one `write` to a file opened
//! for appending, which the kernel keeps apart; so lines of several writers never mix and no
//! process needs another one to be alive.

/// A longer message is split into several lines (Heroku's limit), in bytes.
pub const MAXIMUM_MESSAGE: usize = 10_000;

/// Returns `microseconds` since the Unix epoch as `2026-01-02T03:04:05.678901+00:00`.
#[must_use]
pub fn timestamp(microseconds: u64) -> String {
    let time = jiff::Timestamp::from_microsecond(i64::try_from(microseconds).unwrap_or(i64::MAX))
        .unwrap_or(jiff::Timestamp::MAX);
    let civil = time.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    format!("{}.{:06}+00:00", civil.strftime("%Y-%m-%dT%H:%M:%S"), microseconds % 1_000_000)
}

/// Appends `message` from `source` (`app[web.1]`) to `out` as one or more lines. The message is
/// one line without its end; control characters other than tab and escape (colours) are dropped.
pub fn format_into(out: &mut Vec<u8>, microseconds: u64, source: &str, message: &[u8]) {
    let time = timestamp(microseconds);
    let mut rest = message;
    loop {
        let (piece, next) = split_message(rest);
        out.extend_from_slice(time.as_bytes());
        out.push(b' ');
        out.extend_from_slice(source.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(piece.iter().copied().filter(|b| *b >= 0x20 || *b == b'\t' || *b == 0x1b));
        out.push(b'\n');
        rest = next;
        if rest.is_empty() {
            return;
        }
    }
}

fn split_message(message: &[u8]) -> (&[u8], &[u8]) {
    if message.len() <= MAXIMUM_MESSAGE {
        return (message, &[]);
    }
    let mut at = MAXIMUM_MESSAGE;
    // Not inside a UTF-8 character: continuation bytes are 10xxxxxx.
    while at > MAXIMUM_MESSAGE - 4 && message[at] & 0xc0 == 0x80 {
        at -= 1;
    }
    message.split_at(at)
}

/// A line taken apart.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct LogLine<'a> {
    pub timestamp: &'a str,
    /// `app` or `heroku`
    pub source: &'a str,
    /// `web.1`, `router`, `api` …
    pub process: &'a str,
    pub message: &'a str,
}

/// Takes a line (without its end) apart; `None` when it is not one of ours.
#[must_use]
pub fn parse(line: &str) -> Option<LogLine<'_>> {
    let (timestamp, rest) = line.split_once(' ')?;
    let (origin, message) =
        rest.split_once("]: ").or_else(|| rest.strip_suffix("]:").map(|o| (o, "")))?;
    let (source, process) = origin.split_once('[')?;
    Some(LogLine { timestamp, source, process, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_parses() {
        let mut out = Vec::new();
        format_into(&mut out, 1_767_323_045_678_901, "app[web.1]", b"hello\x07 \xc3\xa9");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "2026-01-02T03:04:05.678901+00:00 app[web.1]: hello é\n");
        let line = parse(text.trim_end()).unwrap();
        assert_eq!((line.source, line.process, line.message), ("app", "web.1", "hello é"));
    }

    #[test]
    fn splits_long_messages_between_characters() {
        let mut out = Vec::new();
        format_into(&mut out, 0, "app[web.1]", "é".repeat(7_501).as_bytes());
        let text = String::from_utf8(out).expect("still UTF-8");
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.matches('é').count(), 7_501);
    }
}
