//! Mutated frames of HTTP/3.

use super::frames::{Excessive, Frames};
use crate::fuzz::fuzz;
use bytes::Bytes;
use fastrand::Rng;
use std::sync::atomic::Ordering;

const LONGEST: u64 = 200;

/// Passes frames on in random pieces: what is read of them, whether the stream may end there, and
/// whether it asks for a WebSocket.
fn passed(input: &[u8], most: usize, random: &mut Rng) -> Result<(Vec<u8>, bool, bool), Excessive> {
    let mut frames = Frames::of_request(LONGEST);
    let (mut out, mut at) = (Vec::new(), 0);
    while at < input.len() {
        let to = (at + random.usize(1..=most)).min(input.len());
        out.extend_from_slice(&frames.pass(Bytes::copy_from_slice(&input[at..to]))?);
        at = to;
    }
    let websocket = frames.websocket().load(Ordering::Relaxed);
    Ok((out, frames.may_end(), websocket))
}

/// Reads a number in the plainest way.
fn number(input: &[u8], at: &mut usize) -> Option<u64> {
    let length = 1 << (input.get(*at)? >> 6);
    let bytes = input.get(*at..*at + length)?;
    *at += length;
    let first = u64::from(bytes[0] & 0b11_1111);
    Some(bytes[1..].iter().fold(first, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Returns the frames: what they are, how long they say that they are, and what has come of them;
/// and whether the last one is whole.
fn plainly(input: &[u8]) -> (Vec<(u64, u64, Vec<u8>)>, bool) {
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < input.len() {
        let (Some(kind), Some(length)) = (number(input, &mut at), number(input, &mut at)) else {
            return (frames, false);
        };
        let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(at);
        let payload = input[at..end.min(input.len())].to_vec();
        at += payload.len();
        let whole = payload.len() as u64 == length;
        frames.push((kind, length, payload));
        if !whole {
            return (frames, false);
        }
    }
    (frames, true)
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    fuzz("frames.txt", |input, random| {
        let whole = passed(input, input.len().max(1), random);
        assert_eq!(whole, passed(input, 9, random), "pieces do not matter");
        let (before, complete) = plainly(input);
        let too_long = before.iter().any(|(kind, length, _)| *kind != 0 && *length > LONGEST);
        let Ok((out, may_end, websocket)) = whole else {
            let beside: usize = before.iter().map(|(_, _, payload)| payload.len() + 2).sum();
            assert!(too_long || beside as u64 > LONGEST, "refused without a reason");
            return "refused".to_owned();
        };
        assert!(!too_long && may_end == complete);
        let is_head = |frame: &(u64, u64, Vec<u8>)| frame.0 == 1;
        let mut wanted: Vec<_> =
            before.into_iter().filter(|(kind, length, _)| *kind != 0 || *length > 0).collect();
        // The head is passed on once it is there.
        let heads = wanted.iter().filter(|frame| is_head(frame)).count();
        let is_short = |frame: &(u64, u64, Vec<u8>)| (frame.2.len() as u64) < frame.1;
        if heads == 1 && wanted.last().is_some_and(|frame| is_head(frame) && is_short(frame)) {
            wanted.pop();
        }
        let (mut after, _) = plainly(&out);
        if websocket {
            // One of its names is another.
            let head = after.iter_mut().find(|frame| is_head(frame)).expect("it is there");
            let asked = wanted.iter().find(|frame| is_head(frame)).expect("it was there");
            let changed = head.2.iter().zip(&asked.2).filter(|(after, before)| after != before);
            assert_eq!((head.2.len(), changed.count()), (asked.2.len(), 1));
            head.2.clone_from(&asked.2);
        }
        assert_eq!(after, wanted);
        let kinds: Vec<_> = after.iter().map(|(kind, length, _)| (kind, length % 4)).collect();
        format!("{kinds:?} {may_end} {websocket}")
    });
}
