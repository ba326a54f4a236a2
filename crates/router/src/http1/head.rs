//! The head of a message: where it ends, and its lines.

use crate::proxy::VIA;
use memchr::memchr;
use std::ops::RangeInclusive;

/// Header lines that a head may have (Heroku's limit).
pub(super) const MOST_LINES: usize = 1_000;
/// Of these the parser takes the room from the stack.
const USUAL_LINES: usize = 64;

/// A part of the bytes of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Returns where `part`, which lies within `whole`, is. Heads are far shorter than 4 GB.
    pub fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        let end = start + part.len();
        debug_assert!(end <= whole.len(), "not a part of it");
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }

    pub fn start(self) -> usize {
        self.start as usize
    }

    pub fn end(self) -> usize {
        self.end as usize
    }

    pub fn get(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start()..self.end()).unwrap_or_default()
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub name: Span,
    pub value: Span,
    pub known: Name,
    /// It is not passed on as it is.
    pub dropped: bool,
}

impl Line {
    pub fn len(&self) -> usize {
        self.name.end() - self.name.start() + self.value.end() - self.value.start()
    }
}

/// The headers that the router looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Connection,
    ContentLength,
    Date,
    Expect,
    ForwardedFor,
    ForwardedPort,
    ForwardedProto,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyAuthorization,
    ProxyConnection,
    RequestId,
    RequestStart,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    Other,
}

impl Name {
    pub fn of(name: &[u8]) -> Self {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        match name.len() {
            2 if is("te") => Self::Te,
            3 if is("via") => Self::Via,
            4 if is("host") => Self::Host,
            4 if is("date") => Self::Date,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("trailer") => Self::Trailer,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::KeepAlive,
            12 if is("x-request-id") => Self::RequestId,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::Http2Settings,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            15 if is("x-request-start") => Self::RequestStart,
            16 if is("x-forwarded-port") => Self::ForwardedPort,
            16 if is("proxy-connection") => Self::ProxyConnection,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::ForwardedProto,
            19 if is("proxy-authorization") => Self::ProxyAuthorization,
            _ => Self::Other,
        }
    }
}

/// Returns whether programs that know headers as variables (CGI, WSGI, Rack, PHP) take a name for
/// one of [`Name`]: to them `_` is `-`. They would believe the client what only the router says.
pub(crate) fn is_alias(name: &[u8]) -> bool {
    /// The lengths of the names with a `-`.
    const LENGTHS: RangeInclusive<usize> = 10..=19;
    if !LENGTHS.contains(&name.len()) || memchr(b'_', name).is_none() {
        return false;
    }
    let mut plain = [0; *LENGTHS.end()];
    for (to, from) in plain.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    Name::of(&plain[..name.len()]) != Name::Other
}

/// A head is not written as HTTP wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// It can be read in two ways, or in none.
    Malformed,
    /// The line feed at the end of a line has no carriage return before it.
    BareLineFeed,
    UnknownVersion,
    TooManyLines,
}

/// Finds the empty line at the end of a head that may come in pieces. Looks at each byte once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// Up to here there is nothing new.
    looked: usize,
    line: usize,
}

impl Ending {
    /// Returns the length of the head once `bytes`, which only grow from call to call, hold it.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadHead> {
        while let Some(at) = bytes.get(self.looked..).and_then(|new| memchr(b'\n', new)) {
            let at = self.looked + at;
            if at == self.line || bytes[at - 1] != b'\r' {
                return Err(BadHead::BareLineFeed);
            }
            let empty = at == self.line + 1;
            self.line = at + 1;
            self.looked = at + 1;
            if empty {
                return Ok(Some(at + 1));
            }
        }
        self.looked = bytes.len();
        Ok(None)
    }
}

/// Calls `parse` with room for the lines: with little first, and with the most if that is not
/// enough.
pub(super) fn with_room<'b, R>(
    mut parse: impl FnMut(&mut [httparse::Header<'b>]) -> Result<R, httparse::Error>,
) -> Result<R, BadHead> {
    let mut room = [httparse::EMPTY_HEADER; USUAL_LINES];
    let parsed = match parse(&mut room) {
        Err(httparse::Error::TooManyHeaders) => {
            parse(&mut vec![httparse::EMPTY_HEADER; MOST_LINES])
        }
        parsed => parsed,
    };
    parsed.map_err(|error| match error {
        httparse::Error::TooManyHeaders => BadHead::TooManyLines,
        httparse::Error::Version => BadHead::UnknownVersion,
        _ => BadHead::Malformed,
    })
}

/// Returns the lines as parts of `whole`.
pub(super) fn lines(whole: &[u8], headers: &[httparse::Header<'_>]) -> Vec<Line> {
    let line = |header: &httparse::Header<'_>| Line {
        name: Span::of(whole, header.name.as_bytes()),
        value: Span::of(whole, header.value),
        known: Name::of(header.name.as_bytes()),
        dropped: false,
    };
    headers.iter().map(line).collect()
}

/// Appends the lines that are not dropped, as they are. `end` is where the last one ends.
pub(super) fn copy_lines(out: &mut Vec<u8>, whole: &[u8], lines: &[Line], end: usize) {
    let mut at = 0;
    while at < lines.len() {
        if lines[at].dropped {
            at += 1;
            continue;
        }
        let from = lines[at].name.start();
        while at < lines.len() && !lines[at].dropped {
            at += 1;
        }
        let to = lines.get(at).map_or(end, |line| line.name.start());
        out.extend_from_slice(whole.get(from..to).unwrap_or_default());
    }
}

/// Returns the values of a header, in order.
pub(super) fn values<'a>(
    whole: &'a [u8],
    lines: &'a [Line],
    wanted: Name,
) -> impl Iterator<Item = &'a [u8]> + Clone {
    lines.iter().filter(move |line| line.known == wanted).map(move |line| line.value.get(whole))
}

/// Appends one header line.
pub(super) fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `Via` with the router at its end.
pub(super) fn put_via(out: &mut Vec<u8>, whole: &[u8], lines: &[Line]) {
    out.extend_from_slice(b"via: ");
    for via in values(whole, lines, Name::Via) {
        out.extend_from_slice(via);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(VIA.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Returns the length that a `Content-Length` says: digits and nothing else.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// What the `Connection` lines of a message ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
}

/// Options that one message may name: each is compared with every line.
const MOST_OPTIONS: usize = 64;

/// Reads the `Connection` lines and marks those that they name, and those that speak of one
/// connection only, as dropped.
pub(super) fn drop_hop_by_hop(whole: &[u8], lines: &mut [Line]) -> Result<Options, BadHead> {
    let mut options = Options::default();
    let mut named = 0;
    for at in 0..lines.len() {
        match lines[at].known {
            Name::Connection => {
                lines[at].dropped = true;
                for option in list(lines[at].value.get(whole)) {
                    if option.eq_ignore_ascii_case(b"close") {
                        options.close = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        options.keep_alive = true;
                    } else if option.eq_ignore_ascii_case(b"upgrade") {
                        options.upgrade = true;
                    } else {
                        named += 1;
                        if named > MOST_OPTIONS {
                            return Err(BadHead::Malformed);
                        }
                        drop_named(whole, lines, option);
                    }
                }
            }
            Name::KeepAlive
            | Name::ProxyConnection
            | Name::Te
            | Name::TransferEncoding
            | Name::Upgrade => lines[at].dropped = true,
            _ => {}
        }
    }
    Ok(options)
}

fn drop_named(whole: &[u8], lines: &mut [Line], name: &[u8]) {
    // These say what the message is; no sender may have them taken out.
    let says_what_it_is = |line: &Line| {
        matches!(line.known, Name::Host | Name::ContentLength | Name::TransferEncoding)
            || line.name.get(whole).eq_ignore_ascii_case(b"content-type")
    };
    for line in lines.iter_mut() {
        if line.name.get(whole).eq_ignore_ascii_case(name) && !says_what_it_is(line) {
            line.dropped = true;
        }
    }
}

/// Returns the members of a list with commas, without the empty ones.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_whatever_the_pieces() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nrest";
        for size in 1..head.len() {
            let mut ending = Ending::default();
            let mut found = None;
            for to in (0..head.len()).step_by(size).chain([head.len()]) {
                found = ending.find(&head[..to]).unwrap();
                if found.is_some() {
                    break;
                }
            }
            assert_eq!(found, Some(head.len() - 4), "pieces of {size}");
        }
    }

    #[test]
    fn bare_line_feeds_are_no_ends() {
        for bad in ["GET / HTTP/1.1\nhost: a\r\n\r\n", "a\r\n\n", "\n", "a: b\r\n\r\r\nc\n"] {
            let mut ending = Ending::default();
            let mut found = Ok(None);
            for to in 0..=bad.len() {
                found = ending.find(&bad.as_bytes()[..to]);
                if !matches!(found, Ok(None)) {
                    break;
                }
            }
            assert_eq!(found, Err(BadHead::BareLineFeed), "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_digits() {
        assert_eq!(length(b"0"), Some(0));
        assert_eq!(length(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        for bad in ["", "+1", "-1", "1 ", " 1", "1,1", "0x1", "99999999999999999999", "1_0"] {
            assert_eq!(length(bad.as_bytes()), None, "{bad:?}");
        }
        let mut out = Vec::new();
        for number in [0, 7, 10, 1_234_567, u64::MAX] {
            put_number(&mut out, number);
            out.push(b' ');
        }
        assert_eq!(out, b"0 7 10 1234567 18446744073709551615 ");
    }

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Name::of(b"Content-Length"), Name::ContentLength);
        assert_eq!(Name::of(b"TE"), Name::Te);
        assert_eq!(Name::of(b"X-Forwarded-For"), Name::ForwardedFor);
        assert_eq!(Name::of(b"X-Forwarded-Fox"), Name::Other);
    }

    #[test]
    fn names_that_some_take_for_others_are_known() {
        for alias in ["Content_Length", "x_forwarded_for", "X_Forwarded-Proto", "keep_alive"] {
            assert!(is_alias(alias.as_bytes()), "{alias}");
        }
        let longest = "x".repeat(60);
        for other in ["content-length", "content_type", "x_api_key", "_", "host_", &longest] {
            assert!(!is_alias(other.as_bytes()), "{other}");
        }
    }
}
