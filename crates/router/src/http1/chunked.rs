//! The chunked coding: checked byte by byte, while the bytes pass as they are.

use super::head::{self, Ending};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest line with the size of a chunk, with its extension.
const LONGEST_LINE: usize = 256;
/// All trailers together, in bytes.
const LONGEST_TRAILERS: usize = 16 * 1024;
/// Sixteen hexadecimal digits fill 64 bits; nobody needs more than fifteen.
const MOST_DIGITS: u8 = 15;
/// Lines after the last chunk.
const MOST_TRAILERS: usize = 64;

/// The bytes are not the chunked coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadChunk;

/// Where in a chunked body a connection is.
#[derive(Clone, Debug)]
pub(super) struct Chunked {
    state: State,
    /// What is left of the chunk, or what its line has said so far.
    left: u64,
    digits: u8,
    line: usize,
    /// What follows the last chunk, up to the empty line.
    trailers: Vec<u8>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    Trailers,
    Done,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Sizes and line ends.
    Framing(usize),
    Data(usize),
    /// Part of what follows the last chunk; see [`Chunked::trailers`] when it is over.
    Trailers(usize),
}

impl Piece {
    pub fn len(self) -> usize {
        match self {
            Self::Framing(length) | Self::Data(length) | Self::Trailers(length) => length,
        }
    }
}

impl Chunked {
    pub fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            digits: 0,
            line: 0,
            trailers: Vec::new(),
            ending: Ending::default(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Says what the first of these bytes are; `None` when there are none, or when the body is over.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<Piece>, BadChunk> {
        if bytes.is_empty() || self.state == State::Done {
            return Ok(None);
        }
        match self.state {
            State::Data => {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= length as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                Ok(Some(Piece::Data(length)))
            }
            State::Trailers => self.collect(bytes).map(|length| Some(Piece::Trailers(length))),
            _ => self.framing(bytes).map(|length| Some(Piece::Framing(length))),
        }
    }

    /// Reads on until data or trailers begin; returns how many bytes that were.
    fn framing(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        for (at, byte) in bytes.iter().enumerate() {
            self.line += 1;
            if self.line > LONGEST_LINE {
                return Err(BadChunk);
            }
            match (self.state, *byte) {
                (State::Size, byte) if byte.is_ascii_hexdigit() => {
                    self.digits += 1;
                    if self.digits > MOST_DIGITS {
                        return Err(BadChunk);
                    }
                    let digit = (byte as char).to_digit(16).unwrap_or_default();
                    self.left = self.left << 4 | u64::from(digit);
                }
                (State::Size, b'\r') if self.digits > 0 => self.state = State::SizeEnd,
                (State::Size, b';') if self.digits > 0 => self.state = State::Extension,
                (State::Extension, b'\r') => self.state = State::SizeEnd,
                (State::Extension, b'\t' | b' '..=b'~') => {}
                (State::SizeEnd, b'\n') => {
                    self.digits = 0;
                    self.line = 0;
                    self.state = if self.left == 0 { State::Trailers } else { State::Data };
                    return Ok(at + 1);
                }
                (State::DataReturn, b'\r') => self.state = State::DataEnd,
                (State::DataEnd, b'\n') => {
                    self.line = 0;
                    self.state = State::Size;
                }
                _ => return Err(BadChunk),
            }
        }
        Ok(bytes.len())
    }

    fn collect(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let before = self.trailers.len();
        let room = (LONGEST_TRAILERS - before).min(bytes.len());
        self.trailers.extend_from_slice(&bytes[..room]);
        match self.ending.find(&self.trailers) {
            Ok(Some(end)) => {
                self.trailers.truncate(end);
                self.state = State::Done;
                Ok(end - before)
            }
            Ok(None) if room == bytes.len() => Ok(room),
            _ => Err(BadChunk),
        }
    }

    /// Returns whether nothing but the empty line follows the last chunk.
    pub fn has_trailers(&self) -> bool {
        self.trailers.len() > 2
    }

    /// Returns what follows the last chunk of a body that is done, with the empty line, but without
    /// what nobody may say there: what decides how a message is read, by whom and for whom.
    pub fn trailers(&self) -> Result<Vec<u8>, BadChunk> {
        let mut out = Vec::with_capacity(self.trailers.len());
        self.each_trailer(|name, value| {
            head::put(&mut out, name, value);
            Ok(())
        })?;
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }

    /// The same for other protocols.
    pub fn trailer_map(&self) -> Result<HeaderMap, BadChunk> {
        let mut map = HeaderMap::new();
        self.each_trailer(|name, value| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadChunk)?;
            map.append(name, HeaderValue::from_bytes(value).map_err(|_| BadChunk)?);
            Ok(())
        })?;
        Ok(map)
    }

    fn each_trailer(
        &self,
        mut take: impl FnMut(&str, &[u8]) -> Result<(), BadChunk>,
    ) -> Result<(), BadChunk> {
        let mut room = [httparse::EMPTY_HEADER; MOST_TRAILERS];
        let parsed = httparse::parse_headers(&self.trailers, &mut room).map_err(|_| BadChunk)?;
        let httparse::Status::Complete((_, lines)) = parsed else { return Err(BadChunk) };
        lines.iter().filter(|line| may_trail(line.name)).try_for_each(|l| take(l.name, l.value))
    }
}

/// Returns whether a header may follow the body.
pub(crate) fn may_trail(name: &str) -> bool {
    const MAY_NOT: [&str; 27] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "www-authenticate",
        "x-request-id",
        "x-request-start",
        "x-real-ip",
    ];
    // To many programs `_` is `-`.
    let name = name.to_ascii_lowercase().replace('_', "-");
    !MAY_NOT.contains(&name.as_str()) && !name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the data, and how many bytes were taken, for bytes that come in pieces.
    fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize, Chunked), BadChunk> {
        let mut chunked = Chunked::new();
        let (mut data, mut taken) = (Vec::new(), 0);
        for part in bytes.chunks(piece) {
            let mut part = part;
            while let Some(piece) = chunked.next(part)? {
                if let Piece::Data(length) = piece {
                    data.extend_from_slice(&part[..length]);
                }
                taken += piece.len();
                part = &part[piece.len()..];
            }
        }
        Ok((data, taken, chunked))
    }

    #[test]
    fn chunks_are_read_whatever_the_pieces() {
        let body = b"5\r\nhello\r\n00A;x=\"y z\"\r\n, chunked \r\n6\r\nworld!\r\n0\r\nx-sum: 1\r\nContent-Length: 3\r\n\r\nGET";
        for piece in 1..=body.len() {
            let (data, taken, chunked) = decode(body, piece).unwrap();
            assert_eq!(data, b"hello, chunked world!");
            assert_eq!(taken, body.len() - 3, "pieces of {piece}");
            assert!(chunked.is_done() && chunked.has_trailers());
            assert_eq!(chunked.trailers().unwrap(), b"x-sum: 1\r\n\r\n");
        }
        assert!(
            may_trail("x_sum") && !may_trail("X_Forwarded_For") && !may_trail("content_length")
        );
        let (data, taken, chunked) = decode(b"0\r\n\r\n", 9).unwrap();
        assert_eq!((data.len(), taken, chunked.has_trailers()), (0, 5, false));
        assert_eq!(chunked.trailers().unwrap(), b"\r\n");
    }

    #[test]
    fn what_is_not_the_coding_is_refused() {
        let long = format!("1;{}\r\na\r\n", "x".repeat(300));
        let endless = format!("0\r\n{}", "x: y\r\n".repeat(10_000));
        for bad in [
            "zz\r\n",
            "\r\n",
            ";x\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-5\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\n",
            "5\rhello",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello0\r\n\r\n",
            "5;\0\r\nhello\r\n",
            "5;é\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "1000000000000000\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\n\n",
            long.as_str(),
            endless.as_str(),
        ] {
            for piece in [1, 3, bad.len()] {
                let shown: String = bad.chars().take(40).collect();
                assert!(decode(bad.as_bytes(), piece).is_err(), "{shown:?} in pieces of {piece}");
            }
        }
        for bad in
            ["0\r\nx y: z\r\n\r\n", "0\r\n folded\r\n\r\n", "0\r\nx : y\r\n\r\n", "0\r\nx\r\n\r\n"]
        {
            let (_, _, chunked) = decode(bad.as_bytes(), 99).unwrap();
            assert_eq!(chunked.trailers(), Err(BadChunk), "{bad:?}");
        }
    }
}
