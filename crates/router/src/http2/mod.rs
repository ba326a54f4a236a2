//! HTTP/2: with clients, after ALPN or by prior knowledge, and to apps that speak it without TLS
//! (h2c).
//!
//! A client's connection is one task: its streams are futures inside it, so that what they send
//! in one turn leaves in one write. Each stream becomes a request as HTTP/1 would have brought it
//! and goes the same way as that through `proxy`.

mod answer;
mod connection;
mod request_body;
mod stream;
pub(crate) mod target;
mod tunnel;
pub(crate) mod websocket;

pub(crate) use connection::serve;
pub(crate) use request_body::RequestStream;
pub(crate) use tunnel::StreamUpgrade;

/// What every client of HTTP/2 sends first (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Returns whether a connection that begins with these bytes is one of HTTP/2 by prior knowledge;
/// `None` when there are too few to say.
pub(crate) fn is_preface(start: &[u8]) -> Option<bool> {
    let common = start.len().min(PREFACE.len());
    if start[..common] != PREFACE[..common] {
        return Some(false);
    }
    (common == PREFACE.len()).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_told_from_http_1() {
        assert_eq!(is_preface(b""), None);
        assert_eq!(is_preface(b"P"), None, "could be POST");
        assert_eq!(is_preface(b"PO"), Some(false));
        assert_eq!(is_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"), None);
        assert_eq!(is_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"), Some(true));
        assert_eq!(is_preface(b"PRI * HTTP/1.1\r\n"), Some(false));
    }
}
