//! Rendezvous: how Heroku's clients attach to one-off processes.
//!
//! The client opens a connection (over TLS, without a server name), writes a secret, and gets a
//! greeting; from then on raw bytes flow both ways. Here such connections come to the port of the
//! API, and are told from HTTP by their first byte: a secret begins with a digit or a small letter,
//! a method with a capital one.

/// A secret is as many digits, hexadecimal and small.
pub const SECRET_DIGITS: usize = 40;
/// What the server says first. Clients throw away the whole first piece that they get, so it must
/// come alone.
pub const GREETING: &[u8] = b"rendezvous\r\n";
/// How long nothing follows the greeting, in milliseconds.
pub const GREETING_PAUSE_MS: u64 = 100;
/// What a client without a terminal sends at the end of its input.
pub const END_OF_INPUT: u8 = 4;
/// The name of the same in an HTTP upgrade, for whoever comes through a proxy:
/// `GET /rendezvous/:secret`.
pub const PROTOCOL: &str = "windlass-rendezvous";

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It cannot be told yet.
    More,
    Http,
    /// A secret. The line that it stands in may go on.
    Rendezvous(String),
}

/// Tells what a connection begins with.
#[must_use]
pub fn opening(first: &[u8]) -> Opening {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = first.iter().take_while(|byte| is_digit(byte)).take(SECRET_DIGITS).count();
    match first.get(..SECRET_DIGITS) {
        Some(secret) if digits == SECRET_DIGITS => {
            Opening::Rendezvous(String::from_utf8_lossy(secret).into_owned())
        }
        None if digits == first.len() => Opening::More,
        _ => Opening::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_requests() {
        let secret = "0123456789abcdef0123456789abcdef01234567";
        let rendezvous = Opening::Rendezvous(secret.to_owned());
        for text in [format!("{secret}\r\n"), secret.to_owned(), format!("{secret}?a=b\r\n")] {
            assert_eq!(opening(text.as_bytes()), rendezvous, "{text}");
        }
        for text in ["", "0", &secret[..39]] {
            assert_eq!(opening(text.as_bytes()), Opening::More, "{text}");
        }
        for text in ["G", "GET / HTTP/1.1\r\n", "DELETE /apps/x", "\x16\x03\x01", "0123 ", "abc/"] {
            assert_eq!(opening(text.as_bytes()), Opening::Http, "{text}");
        }
    }
}
