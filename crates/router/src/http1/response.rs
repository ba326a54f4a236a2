//! The head of a target's response: read strictly, and written again for the client.

use super::body::Framing;
use super::head::{self, BadHead, Line, Name, Span};
use super::relay::with_date;
use super::settings::Edits;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest head of a response, in bytes.
pub(super) const LONGEST_HEAD: usize = 512 * 1024;
/// Interim responses (1xx) to one request.
pub(super) const MOST_INTERIM: u32 = 16;

/// The head of a response.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub status: u16,
    reason: Span,
    lines: Vec<Line>,
    /// How the body ends.
    pub framing: Framing,
    /// A length is said, though no body may come with it (HEAD, 304).
    length: Option<u64>,
    /// The target takes another request on the connection.
    pub keep_alive: bool,
    upgrade: Option<Span>,
    size: usize,
}

/// What decides how a response is read and written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// HEAD: no body comes, whatever the head says.
    pub head: bool,
    /// The client speaks HTTP/1.1, not 1.0.
    pub modern: bool,
}

/// Reads a head, of which `bytes` has exactly all.
pub(super) fn read(bytes: &[u8], asked: Asked) -> Result<ResponseHead, BadHead> {
    let parts = head::with_room(|room| {
        let mut response = httparse::Response::new(room);
        match response.parse(bytes)? {
            httparse::Status::Complete(length) if length == bytes.len() => {}
            _ => return Err(httparse::Error::Token),
        }
        let reason = Span::of(
            bytes,
            response.reason.filter(|r| !r.is_empty()).map_or(&bytes[..0], str::as_bytes),
        );
        let lines = head::lines(bytes, response.headers);
        Ok((response.code.unwrap_or_default(), response.version == Some(1), reason, lines))
    });
    let (status, modern, reason, mut lines) = parts?;
    if !(100..1000).contains(&status) {
        return Err(BadHead::Malformed);
    }
    let (framing, length) = framing(bytes, &lines, status, modern, asked)?;
    let upgrade = lines.iter().find(|line| line.known == Name::Upgrade).map(|line| line.value);
    let options = head::drop_hop_by_hop(bytes, &mut lines)?;
    let chunked = framing == Framing::Chunked && asked.modern;
    for line in &mut lines {
        line.dropped |= match line.known {
            Name::ContentLength | Name::Via => true,
            Name::Trailer => !chunked,
            _ => false,
        };
    }
    Ok(ResponseHead {
        status,
        reason,
        lines,
        framing,
        length,
        keep_alive: !options.close
            && (modern || options.keep_alive)
            && framing != Framing::UntilClose,
        upgrade,
        size: bytes.len(),
    })
}

/// Returns how the body ends, and the length that is said.
fn framing(
    bytes: &[u8],
    lines: &[Line],
    status: u16,
    modern: bool,
    asked: Asked,
) -> Result<(Framing, Option<u64>), BadHead> {
    let mut lengths = head::values(bytes, lines, Name::ContentLength);
    let mut codings = head::values(bytes, lines, Name::TransferEncoding);
    let length = match lengths.next() {
        None => None,
        Some(first) if lengths.all(|other| other == first) => {
            Some(head::length(first).ok_or(BadHead::Malformed)?)
        }
        Some(_) => return Err(BadHead::Malformed),
    };
    let coding = match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if modern && coding.eq_ignore_ascii_case(b"chunked") => Some(()),
        _ => return Err(BadHead::Malformed),
    };
    if coding.is_some() && length.is_some() {
        return Err(BadHead::Malformed);
    }
    let empty = status < 200 || status == 204 || status == 304 || asked.head;
    Ok(match (empty, coding, length) {
        (true, _, length) => {
            (Framing::Length(0), length.filter(|_| status >= 200 && status != 204))
        }
        (false, Some(()), _) => (Framing::Chunked, None),
        (false, None, Some(length)) => (Framing::Length(length), Some(length)),
        (false, None, None) => (Framing::UntilClose, None),
    })
}

/// What becomes of the client's connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Close,
}

impl ResponseHead {
    pub fn has_upgrade(&self) -> bool {
        self.upgrade.is_some()
    }

    /// Appends the head as the client gets it. A body without known end is chunked for a client of
    /// HTTP/1.1, and ends with the connection for one of HTTP/1.0.
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        asked: Asked,
        after: After,
        edits: &Edits,
    ) {
        edits.drop_replaced(bytes, &mut self.lines);
        self.write_status(out, bytes, asked);
        head::copy_lines(out, bytes, &self.lines, self.size - 2);
        if let Some(length) = self.length {
            out.extend_from_slice(b"content-length: ");
            head::put_number(out, length);
            out.extend_from_slice(b"\r\n");
        } else if matches!(self.framing, Framing::Chunked | Framing::UntilClose) && asked.modern {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        if !edits.replace(b"via") {
            head::put_via(out, bytes, &self.lines);
        }
        if !self.lines.iter().any(|line| line.known == Name::Date) && !edits.replace(b"date") {
            with_date(|date| head::put(out, "date", date));
        }
        edits.write(out);
        match (after, asked.modern) {
            (After::Close, true) => out.extend_from_slice(b"connection: close\r\n"),
            (After::Keep, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Returns the head, without what speaks of this connection only, for other protocols.
    pub fn to_http(&self, bytes: &[u8]) -> Result<http::Response<()>, BadHead> {
        let shared = Bytes::copy_from_slice(bytes);
        let mut headers = HeaderMap::with_capacity(self.lines.len() + 2);
        for line in self.lines.iter().filter(|line| !line.dropped || line.known == Name::Via) {
            let name = HeaderName::from_bytes(line.name.get(bytes));
            let value = shared.slice(line.value.start()..line.value.end());
            let value = HeaderValue::from_maybe_shared(value);
            let (Ok(name), Ok(value)) = (name, value) else { return Err(BadHead::Malformed) };
            headers.append(name, value);
        }
        if let Some(length) = self.length {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut response = http::Response::new(());
        *response.status_mut() =
            http::StatusCode::from_u16(self.status).map_err(|_| BadHead::Malformed)?;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Appends an interim response (1xx), or the switch to another protocol.
    pub fn write_interim(&self, out: &mut Vec<u8>, bytes: &[u8], asked: Asked) {
        self.write_status(out, bytes, asked);
        head::copy_lines(out, bytes, &self.lines, self.size - 2);
        if let (101, Some(protocol)) = (self.status, self.upgrade) {
            out.extend_from_slice(b"connection: upgrade\r\n");
            head::put(out, "upgrade", protocol.get(bytes));
            head::put_via(out, bytes, &self.lines);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_status(&self, out: &mut Vec<u8>, bytes: &[u8], asked: Asked) {
        out.extend_from_slice(if asked.modern { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
        head::put_number(out, u64::from(self.status));
        out.push(b' ');
        out.extend_from_slice(self.reason.get(bytes));
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asked = Asked { head: false, modern: true };
    const OLD: Asked = Asked { head: false, modern: false };
    const HEAD: Asked = Asked { head: true, modern: true };

    fn written(text: &str, asked: Asked, after: After) -> String {
        let mut head = read(text.as_bytes(), asked).unwrap();
        let mut out = Vec::new();
        if head.status < 200 {
            head.write_interim(&mut out, text.as_bytes(), asked);
        } else {
            head.write(&mut out, text.as_bytes(), asked, after, &Edits::default());
        }
        let text = String::from_utf8(out).unwrap();
        with_date(|date| text.replace(std::str::from_utf8(date).unwrap(), "now"))
    }

    #[test]
    fn heads_are_written_again_for_the_client() {
        assert_eq!(
            written(
                "HTTP/1.1 200 Fine\r\nDate: then\r\nConnection: close, x-own\r\nX-Own: 1\r\nContent-Length: 3\r\nVia: 1.0 x\r\nX-Kept: a\r\n\r\n",
                GET,
                After::Keep
            ),
            "HTTP/1.1 200 Fine\r\nDate: then\r\nX-Kept: a\r\ncontent-length: 3\r\nvia: 1.0 x, 1.1 windlass-router\r\n\r\n"
        );
        assert_eq!(
            written("HTTP/1.0 200\r\n\r\n", GET, After::Close),
            "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\nvia: 1.1 windlass-router\r\ndate: now\r\nconnection: close\r\n\r\n"
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\ntrailer: x\r\n\r\n";
        assert_eq!(
            written(chunked, OLD, After::Close),
            "HTTP/1.0 200 OK\r\nvia: 1.1 windlass-router\r\ndate: now\r\n\r\n"
        );
        assert!(
            written(chunked, GET, After::Keep)
                .contains("trailer: x\r\ntransfer-encoding: chunked\r\n")
        );
        let unchanged = "HTTP/1.1 304 Not Modified\r\ncontent-length: 12\r\n\r\n";
        assert!(written(unchanged, GET, After::Keep).contains("content-length: 12\r\n"));
        let nothing = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
        assert!(!written(nothing, GET, After::Keep).contains("content-length"));
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n";
        assert_eq!(read(head.as_bytes(), HEAD).unwrap().framing, Framing::Length(0));
        assert!(written(head, HEAD, After::Keep).contains("content-length: 12\r\n"));
        assert_eq!(
            written("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", GET, After::Keep),
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
        );
        assert_eq!(
            written(
                "HTTP/1.1 101 Switch\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
                GET,
                After::Keep
            ),
            "HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: echo\r\nvia: 1.1 windlass-router\r\n\r\n"
        );
    }

    #[test]
    fn heads_that_are_not_clear_are_refused() {
        for bad in [
            "Hello\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(read(bad.as_bytes(), GET).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn connections_are_kept_when_the_end_is_known() {
        for (text, kept) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 204 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", true),
        ] {
            assert_eq!(read(text.as_bytes(), GET).unwrap().keep_alive, kept, "{text:?}");
        }
    }
}
