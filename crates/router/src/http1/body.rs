//! Bodies on their way: counted and checked, but passed on as they are wherever that is possible.

use super::chunked::{BadChunk, Chunked, Piece};
use http::HeaderMap;
use std::borrow::Cow;
use std::io::Write;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes; 0 when there is no body.
    Length(u64),
    Chunked,
    UntilClose,
}

/// In which form a body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    AsIs,
    /// Without the chunks that it came in, or without any, up to the end of the connection.
    Plain,
    /// In chunks, where it came without.
    Chunks,
}

/// A body of which a part is still to come.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    state: State,
    form: Form,
    /// Bytes of the body itself so far.
    pub payload: u64,
    /// What followed the last chunk, where chunks are taken off.
    trailers: Option<Box<HeaderMap>>,
}

#[derive(Clone, Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

/// What is to be sent for the bytes that came.
#[derive(Debug)]
pub(super) struct Admitted {
    /// So many belong to this body; what follows is something else.
    pub taken: usize,
    prefix: ([u8; 18], usize),
    /// So many of them go out, between what `before` and `after` return.
    pub send: usize,
    after: Cow<'static, [u8]>,
}

impl Admitted {
    pub fn before(&self) -> &[u8] {
        &self.prefix.0[..self.prefix.1]
    }

    pub fn after(&self) -> &[u8] {
        &self.after
    }

    fn plain(taken: usize) -> Self {
        Self { taken, prefix: ([0; 18], 0), send: taken, after: Cow::Borrowed(b"") }
    }
}

/// The connection has ended before the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incomplete;

impl Flow {
    /// Begins a body that comes with this framing. `chunks` tells whether the receiver understands
    /// the chunked coding.
    pub fn new(framing: Framing, chunks: bool) -> Self {
        let (state, form) = match framing {
            Framing::Length(0) => (State::Done, Form::AsIs),
            Framing::Length(length) => (State::Length(length), Form::AsIs),
            Framing::Chunked if chunks => (State::Chunked(Chunked::new()), Form::AsIs),
            Framing::Chunked => (State::Chunked(Chunked::new()), Form::Plain),
            Framing::UntilClose if chunks => (State::UntilClose, Form::Chunks),
            Framing::UntilClose => (State::UntilClose, Form::Plain),
        };
        Self { state, form, payload: 0, trailers: None }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what belongs to the body. What is to be sent of it stands at the start of `bytes`
    /// afterwards.
    pub fn admit(&mut self, bytes: &mut [u8]) -> Result<Admitted, BadChunk> {
        match &mut self.state {
            State::Done => Ok(Admitted::plain(0)),
            State::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                self.payload += taken as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(Admitted::plain(taken))
            }
            State::UntilClose => {
                self.payload += bytes.len() as u64;
                let mut admitted = Admitted::plain(bytes.len());
                if self.form == Form::Chunks && !bytes.is_empty() {
                    let mut rest: &mut [u8] = &mut admitted.prefix.0;
                    // Sixteen digits and a line end fit.
                    let _ = write!(rest, "{:x}\r\n", bytes.len());
                    admitted.prefix.1 = 18 - rest.len();
                    admitted.after = Cow::Borrowed(b"\r\n");
                }
                Ok(admitted)
            }
            State::Chunked(chunked) => {
                let (admitted, payload) = match self.form {
                    Form::Plain => take_plain(chunked, bytes)?,
                    _ => take_as_is(chunked, bytes)?,
                };
                self.payload += payload;
                if chunked.is_done() {
                    if self.form == Form::Plain && chunked.has_trailers() {
                        self.trailers = Some(Box::new(chunked.trailer_map()?));
                    }
                    self.state = State::Done;
                }
                Ok(admitted)
            }
        }
    }

    pub fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Returns what followed the last chunk, once.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    /// Ends a body whose connection has ended, and returns what is to be sent for it.
    pub fn close(&mut self) -> Result<&'static [u8], Incomplete> {
        match self.state {
            State::Done => Ok(b""),
            State::UntilClose => {
                self.state = State::Done;
                Ok(if self.form == Form::Chunks { b"0\r\n\r\n" } else { b"" })
            }
            State::Length(_) | State::Chunked(_) => Err(Incomplete),
        }
    }
}

fn take_as_is(chunked: &mut Chunked, bytes: &[u8]) -> Result<(Admitted, u64), BadChunk> {
    let (mut taken, mut send, mut payload) = (0, 0, 0);
    while let Some(piece) = chunked.next(&bytes[taken..])? {
        taken += piece.len();
        match piece {
            Piece::Data(length) => payload += length as u64,
            Piece::Framing(_) => {}
            // What follows the last chunk is looked at before anybody gets it.
            Piece::Trailers(_) => continue,
        }
        send = taken;
    }
    let mut admitted = Admitted { send, ..Admitted::plain(taken) };
    if chunked.is_done() {
        if !chunked.has_trailers() && taken == send + 2 {
            admitted.send = taken;
        } else {
            admitted.after = Cow::Owned(chunked.trailers()?);
        }
    }
    Ok((admitted, payload))
}

fn take_plain(chunked: &mut Chunked, bytes: &mut [u8]) -> Result<(Admitted, u64), BadChunk> {
    let (mut taken, mut send) = (0, 0);
    while let Some(piece) = chunked.next(&bytes[taken..])? {
        if let Piece::Data(length) = piece {
            bytes.copy_within(taken..taken + length, send);
            send += length;
        }
        taken += piece.len();
    }
    Ok((Admitted { send, ..Admitted::plain(taken) }, send as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what goes out, and what is left over, for bytes that come in pieces.
    fn pass(flow: &mut Flow, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>), BadChunk> {
        let (mut out, mut rest) = (Vec::new(), Vec::new());
        for part in bytes.chunks(piece) {
            let mut part = part.to_vec();
            let admitted = flow.admit(&mut part)?;
            out.extend_from_slice(admitted.before());
            out.extend_from_slice(&part[..admitted.send]);
            out.extend_from_slice(admitted.after());
            rest.extend_from_slice(&part[admitted.taken..]);
        }
        Ok((out, rest))
    }

    #[test]
    fn bodies_pass_in_the_form_that_is_understood() {
        let chunks = b"3\r\nabc\r\n4;x\r\ndefg\r\n0\r\n\r\n";
        for piece in 1..=chunks.len() {
            let bytes = [chunks.as_slice(), b"next"].concat();
            let mut flow = Flow::new(Framing::Chunked, true);
            let (out, rest) = pass(&mut flow, &bytes, piece).unwrap();
            assert_eq!((out.as_slice(), rest.as_slice()), (chunks.as_slice(), b"next".as_slice()));
            assert!(flow.is_done() && flow.payload == 7);
            let mut flow = Flow::new(Framing::Chunked, false);
            let (out, rest) = pass(&mut flow, &bytes, piece).unwrap();
            assert_eq!(
                (out.as_slice(), rest.as_slice()),
                (b"abcdefg".as_slice(), b"next".as_slice())
            );
            assert!(flow.is_done() && flow.payload == 7);
        }
        let mut flow = Flow::new(Framing::Length(5), true);
        let (out, rest) = pass(&mut flow, b"hello, you", 3).unwrap();
        assert_eq!((out.as_slice(), rest.as_slice()), (b"hello".as_slice(), b", you".as_slice()));
        assert!(flow.is_done());
        let mut flow = Flow::new(Framing::UntilClose, true);
        let (mut out, _) = pass(&mut flow, b"hello, you", 20).unwrap();
        assert!(!flow.is_done());
        out.extend_from_slice(flow.close().unwrap());
        assert_eq!(out, b"a\r\nhello, you\r\n0\r\n\r\n");
        let mut flow = Flow::new(Framing::UntilClose, false);
        assert_eq!(pass(&mut flow, b"hello", 2).unwrap().0, b"hello");
        assert_eq!((flow.close(), flow.is_done()), (Ok(b"".as_slice()), true));
    }

    #[test]
    fn trailers_pass_without_what_may_not_be_there() {
        let bytes = b"1\r\na\r\n0\r\nx-sum: 1\r\ncontent-length: 9\r\n\r\n";
        for piece in 1..=bytes.len() {
            let mut flow = Flow::new(Framing::Chunked, true);
            let (out, _) = pass(&mut flow, bytes, piece).unwrap();
            assert_eq!(out, b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n", "pieces of {piece}");
        }
    }

    #[test]
    fn what_ends_early_is_not_whole() {
        let mut flow = Flow::new(Framing::Length(5), true);
        pass(&mut flow, b"hell", 4).unwrap();
        assert_eq!(flow.close(), Err(Incomplete));
        let mut flow = Flow::new(Framing::Chunked, true);
        pass(&mut flow, b"3\r\nabc\r\n0\r\n", 4).unwrap();
        assert_eq!(flow.close(), Err(Incomplete));
        assert!(Flow::new(Framing::Length(0), true).is_done());
    }
}
