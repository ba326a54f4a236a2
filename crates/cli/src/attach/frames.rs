//! Frames of `windlass_wire::attach`: a type byte, a length, a payload.

use crate::error::{CliError, Result};
use windlass_wire::attach::MAXIMUM_PAYLOAD;

const HEADER: usize = 5;

/// A frame as received.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

/// Appends a frame to what is to be sent.
pub fn encode(kind: u8, payload: &[u8], into: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    into.push(kind);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(payload);
}

/// Takes the first whole frame out of what was received.
///
/// `None` until one is there. A frame longer than allowed is an error.
pub fn decode(received: &mut Vec<u8>) -> Result<Option<Frame>> {
    let Some((&[kind, a, b, c, d], rest)) = received.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAXIMUM_PAYLOAD {
        return Err(CliError::general(format!(
            "The server sent a frame of {length} bytes; at most {MAXIMUM_PAYLOAD} are allowed."
        )));
    }
    let Some(payload) = rest.get(..length) else {
        return Ok(None);
    };
    let payload = payload.to_vec();
    received.drain(..HEADER + length);
    Ok(Some(Frame { kind, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let mut sent = Vec::new();
        encode(1, b"hello", &mut sent);
        encode(5, b"", &mut sent);
        let mut received = Vec::new();
        let mut frames = Vec::new();
        for byte in sent {
            received.push(byte);
            while let Some(frame) = decode(&mut received).unwrap() {
                frames.push((frame.kind, frame.payload));
            }
        }
        assert_eq!(frames, [(1, b"hello".to_vec()), (5, Vec::new())]);
        assert!(received.is_empty());
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused() {
        let mut received = vec![1, 0xff, 0xff, 0xff, 0x7f];
        assert!(decode(&mut received).is_err());
    }
}
