//! The frames of HTTP/3 as they come in (RFC 9114, 7.1). `h3` collects every frame but DATA as a
//! whole, however long it says that it is, and takes an empty DATA frame or one that is cut off
//! for the end of a body: what it reads passes here first. So does the head of a request, as a
//! whole, since `h3` knows no WebSockets.

use super::protocol;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DATA: u64 = 0;
const HEADERS: u64 = 1;
/// The type of a client's control stream.
const CONTROL: u64 = 0;

/// More than may be kept of what is no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excessive;

/// What one stream carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Request,
    /// In one direction only, of a type that is not known yet.
    OneWay,
    Control,
    /// Nobody collects what comes.
    Other,
}

/// Where in its frames one stream is.
pub(super) struct Frames {
    kind: Kind,
    /// The longest frame beside DATA, in bytes.
    longest: u64,
    /// What may still come in frames beside DATA.
    allowance: u64,
    /// The beginning of a frame, of which neither type nor length is known.
    begun: Bytes,
    /// What is to come of the frame under way.
    left: u64,
    has_head: bool,
    /// The head asks for a WebSocket.
    websocket: Arc<AtomicBool>,
}

impl Frames {
    /// A stream with a request: its head and its trailers, each of at most `longest` bytes, and
    /// little else beside its body.
    pub fn of_request(longest: u64) -> Self {
        Self::new(Kind::Request, longest, longest.saturating_mul(3))
    }

    /// A stream in one direction.
    pub fn one_way(longest: u64) -> Self {
        Self::new(Kind::OneWay, longest, u64::MAX)
    }

    fn new(kind: Kind, longest: u64, allowance: u64) -> Self {
        let (begun, websocket) = (Bytes::new(), Arc::default());
        Self { kind, longest, allowance, begun, left: 0, has_head: false, websocket }
    }

    /// Returns what says, once the head has passed, whether it asks for a WebSocket.
    pub fn websocket(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.websocket)
    }

    /// Returns whether a request may end here.
    pub fn may_end(&self) -> bool {
        self.kind != Kind::Request || (self.begun.is_empty() && self.left == 0)
    }

    /// Takes what has come next and returns what is to be read of it now, which can be nothing.
    pub fn pass(&mut self, chunk: Bytes) -> Result<Bytes, Excessive> {
        if self.kind == Kind::Other {
            return Ok(chunk);
        }
        let mut bytes = self.after_begun(chunk);
        let mut kept = BytesMut::new();
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.left > 0 {
                let step = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                at += step;
                self.left -= step as u64;
            } else if self.kind == Kind::OneWay {
                let Some((kind, length)) = varint(rest) else { break };
                self.kind = if kind == CONTROL { Kind::Control } else { Kind::Other };
                at = if kind == CONTROL { at + length } else { bytes.len() };
            } else {
                let Some((kind, payload, head)) = frame_head(rest) else { break };
                if self.kind == Kind::Request && kind == HEADERS && !self.has_head {
                    if payload > self.longest {
                        return Err(Excessive);
                    }
                    let begin = at + head;
                    let end = begin + usize::try_from(payload).unwrap_or(usize::MAX);
                    if end > bytes.len() {
                        break;
                    }
                    self.has_head = true;
                    bytes = self.look_for_websocket(bytes, begin, end);
                }
                if self.kind == Kind::Request && kind == DATA {
                    if payload == 0 {
                        kept.extend_from_slice(&bytes[from..at]);
                        from = at + head;
                    }
                } else {
                    self.charge(payload, head)?;
                }
                at += head;
                self.left = payload;
            }
        }
        self.begun = bytes.slice(at..);
        if kept.is_empty() {
            return Ok(bytes.slice(from..at));
        }
        kept.extend_from_slice(&bytes[from..at]);
        Ok(kept.freeze())
    }

    /// Renames what `h3` does not know of a head that asks for a WebSocket.
    fn look_for_websocket(&self, bytes: Bytes, begin: usize, end: usize) -> Bytes {
        let mut head = BytesMut::from(&bytes[begin..end]);
        if !protocol::rename(&mut head) {
            return bytes;
        }
        self.websocket.store(true, Ordering::Release);
        let mut renamed = BytesMut::from(&bytes[..begin]);
        renamed.extend_from_slice(&head);
        renamed.extend_from_slice(&bytes[end..]);
        renamed.freeze()
    }

    fn after_begun(&mut self, chunk: Bytes) -> Bytes {
        if self.begun.is_empty() {
            return chunk;
        }
        let mut joined = BytesMut::from(std::mem::take(&mut self.begun));
        joined.extend_from_slice(&chunk);
        joined.freeze()
    }

    fn charge(&mut self, payload: u64, head: usize) -> Result<(), Excessive> {
        if payload > self.longest {
            return Err(Excessive);
        }
        if self.kind == Kind::Request {
            let cost = payload + head as u64;
            self.allowance = self.allowance.checked_sub(cost).ok_or(Excessive)?;
        }
        Ok(())
    }
}

/// Reads the type and the length of a frame, and how many bytes say them.
fn frame_head(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let (kind, first) = varint(bytes)?;
    let (payload, second) = varint(&bytes[first..])?;
    Some((kind, payload, first + second))
}

/// Reads a number (RFC 9000, 16), and how many bytes say it.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let begin = u64::from(first & 0b11_1111);
    Some((rest.iter().fold(begin, |number, byte| number << 8 | u64::from(*byte)), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HEADERS of three bytes, DATA of two, nothing, and DATA of one.
    const WHOLE: &[u8] = &[1, 3, b'h', b'h', b'h', 0, 2, b'd', b'd', 0, 0, 0, 0x40, 1, b'e'];
    const WITHOUT_NOTHING: &[u8] = &[1, 3, b'h', b'h', b'h', 0, 2, b'd', b'd', 0, 0x40, 1, b'e'];

    #[test]
    fn frames_pass_however_they_are_cut_and_empty_ones_do_not() {
        for size in 1..=WHOLE.len() {
            let mut frames = Frames::of_request(10);
            let mut passed = Vec::new();
            for piece in WHOLE.chunks(size) {
                passed.extend_from_slice(&frames.pass(Bytes::copy_from_slice(piece)).unwrap());
            }
            assert_eq!(passed, WITHOUT_NOTHING, "{size}");
            assert!(frames.may_end());
        }
        let mut frames = Frames::of_request(10);
        for (at, byte) in WHOLE.iter().enumerate() {
            frames.pass(Bytes::copy_from_slice(&[*byte])).unwrap();
            let whole = [5, 9, 11, 15].contains(&(at + 1));
            assert_eq!(frames.may_end(), whole, "after {} bytes", at + 1);
        }
    }

    #[test]
    fn numbers_have_four_lengths() {
        // The examples of RFC 9000, A.1.
        for (bytes, number) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(varint(bytes), Some((number, bytes.len())));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn a_head_is_refused_by_the_length_that_it_claims() {
        let claims = |kind: u8, length: u8| Bytes::copy_from_slice(&[kind, length]);
        assert_eq!(Frames::of_request(10).pass(claims(1, 11)), Err(Excessive));
        assert!(Frames::of_request(10).pass(claims(1, 10)).is_ok());
        assert!(Frames::of_request(10).pass(claims(0, 60)).is_ok(), "a body is not collected");
        let mut frames = Frames::of_request(10);
        let one = Bytes::copy_from_slice(&[0x21, 1, 0]);
        let passed = (0..100).take_while(|_| frames.pass(one.clone()).is_ok()).count();
        assert_eq!(passed, 10, "frames that mean nothing are counted together");
        // A head is read as a whole, but refused before it is there.
        let mut frames = Frames::of_request(10);
        assert_eq!(frames.pass(Bytes::from_static(&[1, 3, 0])), Ok(Bytes::new()));
        assert!(!frames.may_end());
        assert_eq!(frames.pass(Bytes::from_static(&[0, 9])).unwrap(), [1, 3, 0, 0, 9][..]);
        assert!(frames.may_end() && !frames.websocket().load(Ordering::Relaxed));
    }

    #[test]
    fn one_way_streams_are_told_by_their_type() {
        let mut control = Frames::one_way(10);
        assert!(control.pass(Bytes::from_static(&[0, 4, 2, 1, 1])).is_ok());
        for _ in 0..100 {
            assert!(control.pass(Bytes::from_static(&[0x21, 2, 0, 0])).is_ok());
        }
        assert_eq!(control.pass(Bytes::from_static(&[0x21, 11])), Err(Excessive));
        let mut other = Frames::one_way(10);
        assert!(other.pass(Bytes::from_static(&[2, 0xff, 0xff, 0xff])).is_ok());
        assert!(other.pass(Bytes::from_static(&[0xff; 100])).is_ok() && other.may_end());
    }
}
