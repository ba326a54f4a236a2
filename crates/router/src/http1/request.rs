//! The head of a request: read strictly, and written again for the target.

use super::body::Framing;
use super::head::{self, BadHead, Line, MOST_LINES, Name, Span};
use super::response::Asked;
use crate::table::normalise_host;
use http::{Method, StatusCode};
use std::borrow::Cow;

/// A request is not served as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Head(BadHead),
    HeadTooLong,
    /// The head did not come to its end in time.
    TooSlow,
    /// CONNECT
    Method,
    Target,
    /// Not exactly one valid host.
    Host,
    /// The length of the body can be read in two ways, or in none.
    Length,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::Head(BadHead::UnknownVersion) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Head(BadHead::TooManyLines) | Self::HeadTooLong => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Head(_) | Self::Target | Self::Host | Self::Length => StatusCode::BAD_REQUEST,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Head(BadHead::UnknownVersion) => "Only HTTP/1.1 and HTTP/1.0 are served here.",
            Self::Head(BadHead::BareLineFeed) => "Lines of a request end with CR LF.",
            Self::Head(BadHead::TooManyLines) | Self::HeadTooLong => {
                "The head of the request is too long."
            }
            Self::Head(BadHead::Malformed) => "The head of the request cannot be understood.",
            Self::TooSlow => "The head of the request did not come in time.",
            Self::Method => "CONNECT is not served here.",
            Self::Target => "The target of the request is neither a path nor a URL.",
            Self::Host => "The request needs exactly one valid Host header.",
            Self::Length => "The length of the request's body is not clear.",
        }
    }
}

/// The head of a request that can be read in one way only.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub method: Method,
    /// HTTP/1.1, not 1.0.
    pub modern: bool,
    /// The path with its query, without the host of an absolute form.
    path: Span,
    /// The path begins with a slash that the request does not have.
    slash: bool,
    /// The host and port that count.
    authority: Span,
    /// They stand in the target, and not in `Host`.
    absolute: bool,
    pub lines: Vec<Line>,
    pub framing: Framing,
    /// The client keeps the connection for its next request.
    pub keep_alive: bool,
    /// The protocol that is asked for.
    pub upgrade: Option<Span>,
    length: usize,
}

/// Reads a head, of which `bytes` has exactly all.
pub(super) fn read(bytes: &[u8]) -> Result<RequestHead, Refusal> {
    let parts = head::with_room(|room| {
        let mut request = httparse::Request::new(room);
        match request.parse(bytes)? {
            httparse::Status::Complete(length) if length == bytes.len() => {}
            _ => return Err(httparse::Error::Token),
        }
        let method = request.method.unwrap_or_default();
        let target = request.path.unwrap_or_default();
        let lines = head::lines(bytes, request.headers);
        Ok((method, target, request.version == Some(1), lines))
    });
    let (method, target, modern, mut lines) = parts.map_err(|bad| refusal(bytes, bad))?;
    if lines.len() > MOST_LINES {
        return Err(Refusal::Head(BadHead::TooManyLines));
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Method)?;
    if method == Method::CONNECT {
        return Err(Refusal::Method);
    }
    let mut hosts = lines.iter().filter(|line| line.known == Name::Host);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::Host) };
    let host = host.value;
    let target = read_target(bytes, target, &method)?;
    let framing = framing(bytes, &lines, modern)?;
    let upgrade = upgrade(bytes, &lines);
    let options = head::drop_hop_by_hop(bytes, &mut lines).map_err(Refusal::Head)?;
    let upgrade = upgrade.filter(|_| options.upgrade && modern && framing == Framing::Length(0));
    for line in &mut lines {
        line.dropped |= match line.known {
            Name::ContentLength
            | Name::ForwardedFor
            | Name::ForwardedPort
            | Name::ForwardedProto
            | Name::Http2Settings
            | Name::ProxyAuthorization
            | Name::RequestId
            | Name::RequestStart
            | Name::Via => true,
            Name::Trailer => framing != Framing::Chunked,
            // Its answer would mean nothing to such a client.
            Name::Expect => !modern || framing == Framing::Length(0),
            Name::Host => target.authority.is_some(),
            Name::Other => head::is_alias(line.name.get(bytes)),
            _ => false,
        };
    }
    Ok(RequestHead {
        method,
        modern,
        path: target.path,
        slash: target.slash,
        authority: target.authority.unwrap_or(host),
        absolute: target.authority.is_some(),
        lines,
        framing,
        keep_alive: !options.close && (modern || options.keep_alive),
        upgrade,
        length: bytes.len(),
    })
}

/// A version that is not known is one only where a version should be.
fn refusal(bytes: &[u8], bad: BadHead) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let is_version = match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    };
    let unclear = bad == BadHead::UnknownVersion && !is_version;
    Refusal::Head(if unclear { BadHead::Malformed } else { bad })
}

struct Target {
    path: Span,
    slash: bool,
    authority: Option<Span>,
}

/// Reads a target in origin form, absolute form (whose host is the one that counts), or the `*` of
/// OPTIONS.
fn read_target(bytes: &[u8], target: &str, method: &Method) -> Result<Target, Refusal> {
    // Programs that come later would cut a fragment off, or not.
    if target.contains('#') {
        return Err(Refusal::Target);
    }
    let whole = Span::of(bytes, target.as_bytes());
    if target.starts_with('/') || (target == "*" && *method == Method::OPTIONS) {
        return Ok(Target { path: whole, slash: false, authority: None });
    }
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let rest = &target[scheme.ok_or(Refusal::Target)?.len()..];
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    Ok(Target {
        path: Span::of(bytes, path.as_bytes()),
        slash: !path.starts_with('/'),
        authority: Some(Span::of(bytes, host.as_bytes())),
    })
}

/// Returns how long the body is. Whatever could be read in two ways is refused.
fn framing(bytes: &[u8], lines: &[Line], modern: bool) -> Result<Framing, Refusal> {
    let mut lengths = head::values(bytes, lines, Name::ContentLength);
    let mut codings = head::values(bytes, lines, Name::TransferEncoding);
    match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
        (None, _, None, _) => Ok(Framing::Length(0)),
        (Some(length), None, None, _) => {
            head::length(length).map(Framing::Length).ok_or(Refusal::Length)
        }
        (None, _, Some(coding), None) if modern && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        _ => Err(Refusal::Length),
    }
}

/// Returns the protocol to upgrade to. HTTP/2 is none: requests that go through a tunnel are those
/// of nobody.
fn upgrade(bytes: &[u8], lines: &[Line]) -> Option<Span> {
    let mut asked = lines.iter().filter(|line| line.known == Name::Upgrade);
    let (line, None) = (asked.next()?, asked.next()) else { return None };
    let value = line.value.get(bytes);
    (!value.is_empty() && !is_of_http(value)).then_some(line.value)
}

/// Returns whether an `Upgrade` names a version of HTTP.
pub(crate) fn is_of_http(upgrade: &[u8]) -> bool {
    head::list(upgrade).any(|protocol| {
        protocol.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"h2"))
            || protocol.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"http"))
    })
}

impl RequestHead {
    /// Returns what decides how the answer is read and written.
    pub fn asked(&self) -> Asked {
        Asked { head: self.method == Method::HEAD, modern: self.modern }
    }

    pub fn has_body(&self) -> bool {
        self.framing != Framing::Length(0)
    }

    /// Returns the host that the request is for, in lower case and without port.
    pub fn host(&self, bytes: &[u8]) -> Result<String, Refusal> {
        normalise_host(self.authority.get(bytes)).ok_or(Refusal::Host)
    }

    /// Returns the path with its query.
    pub fn path<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        // The parser has seen that it is UTF-8.
        let path = std::str::from_utf8(self.path.get(bytes)).unwrap_or_default();
        if self.slash { Cow::Owned(format!("/{path}")) } else { Cow::Borrowed(path) }
    }

    /// Returns the first value of a header.
    pub fn header<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let same = |line: &&Line| line.name.get(bytes).eq_ignore_ascii_case(name.as_bytes());
        self.lines.iter().find(same).map(|line| line.value.get(bytes))
    }

    /// Returns whether a header line is longer than `limit`, its name and value together.
    pub fn has_line_over(&self, limit: usize) -> bool {
        self.lines.iter().any(|line| line.len() > limit)
    }

    /// Returns whether nothing is expected but `100-continue`. HTTP/1.0 does not have that.
    pub fn expects_only_continue(&self, bytes: &[u8]) -> bool {
        let mut expected = head::values(bytes, &self.lines, Name::Expect);
        !self.modern || expected.all(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Appends the head for the target, all but what the router says itself and the empty line.
    pub fn write(&self, out: &mut Vec<u8>, bytes: &[u8], path: &str) {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if self.absolute {
            head::put(out, "host", self.authority.get(bytes));
        }
        head::copy_lines(out, bytes, &self.lines, self.length - 2);
        if let Some(protocol) = self.upgrade {
            out.extend_from_slice(b"connection: upgrade\r\n");
            head::put(out, "upgrade", protocol.get(bytes));
        }
        match self.framing {
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Length(length) if length > 0 || self.says_length() => {
                out.extend_from_slice(b"content-length: ");
                head::put_number(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Framing::Length(_) | Framing::UntilClose => {}
        }
    }

    fn says_length(&self) -> bool {
        self.lines.iter().any(|line| line.known == Name::ContentLength)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, Refusal> {
        let head = read(text.as_bytes())?;
        head.host(text.as_bytes())?;
        Ok(head)
    }

    fn written(text: &str) -> String {
        let head = parse(text).unwrap();
        let mut out = Vec::new();
        head.write(&mut out, text.as_bytes(), &head.path(text.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_are_written_again_without_what_is_not_for_the_target() {
        assert_eq!(
            written(
                "GET /a?b HTTP/1.1\r\nHost: A.b:80\r\nConnection: keep-alive, x-private\r\nX-Private: 1\r\n\
                 accept:  */* \r\nTE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nVia: x\r\n\r\n"
            ),
            "GET /a?b HTTP/1.1\r\nHost: A.b:80\r\naccept:  */* \r\nCookie: a=b\r\n"
        );
        assert_eq!(
            written(
                "POST http://u@Real:81?q HTTP/1.0\r\nhost: other\r\ncontent-length: 007\r\nexpect: 100-continue\r\n\r\n"
            ),
            "POST /?q HTTP/1.1\r\nhost: Real:81\r\ncontent-length: 7\r\n"
        );
        assert_eq!(
            written(
                "GET / HTTP/1.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\nhost: a\r\n\r\n"
            ),
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        );
        assert_eq!(
            written(
                "GET / HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: x\r\n\r\n"
            ),
            "GET / HTTP/1.1\r\nhost: a\r\n"
        );
        assert_eq!(
            written(
                "POST / HTTP/1.1\r\nhost: a\r\ntrailer: x\r\nTransfer-Encoding: Chunked\r\nconnection: host, transfer-encoding\r\n\r\n"
            ),
            "POST / HTTP/1.1\r\nhost: a\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n"
        );
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        for (request, kept) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nhost: a\r\nconnection: Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nhost: a\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", true),
            ("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive, close\r\n\r\n", false),
        ] {
            assert_eq!(parse(request).unwrap().keep_alive, kept, "{request:?}");
        }
    }

    #[test]
    fn many_lines_are_read_and_too_many_refused() {
        let with = |count: usize| {
            format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count - 1))
        };
        assert_eq!(parse(&with(1_000)).unwrap().lines.len(), 1_000);
        let refusal = parse(&with(1_001)).unwrap_err();
        assert_eq!(refusal, Refusal::Head(BadHead::TooManyLines));
    }
}
