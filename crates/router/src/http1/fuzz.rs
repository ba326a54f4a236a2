//! Mutated heads and bodies of HTTP/1.

use super::body::{Flow, Framing};
use super::chunked::{BadChunk, Chunked, Piece};
use super::head::Ending;
use super::request::{self, RequestHead};
use super::response::{self, After, Asked};
use super::settings::Edits;
use crate::fuzz::fuzz;
use fastrand::Rng;
use std::fmt::Debug;

/// Looks for the end of a head in one piece and in many, which must agree.
fn head(input: &[u8], random: &mut Rng) -> Option<usize> {
    let whole = Ending::default().find(input);
    let mut ending = Ending::default();
    let mut at = 0;
    let pieces = loop {
        at = (at + random.usize(1..20)).min(input.len());
        let found = ending.find(&input[..at]);
        if !matches!(found, Ok(None)) || at == input.len() {
            break found;
        }
    };
    assert_eq!(whole, pieces);
    whole.ok().flatten()
}

fn lines(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut room = [httparse::EMPTY_HEADER; 256];
    let at = text.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    let parsed = httparse::parse_headers(&text[at..], &mut room).unwrap();
    assert!(parsed.is_complete(), "no end");
    let (length, lines) = parsed.unwrap();
    assert_eq!(at + length, text.len(), "something follows the head");
    lines.iter().map(|line| (line.name.to_ascii_lowercase(), line.value.to_vec())).collect()
}

fn count(lines: &[(String, Vec<u8>)], name: &str) -> usize {
    lines.iter().filter(|(other, _)| other == name).count()
}

/// Every line ends with CR LF, and has neither elsewhere.
fn has_clean_lines(text: &[u8]) -> bool {
    let feeds = text.iter().filter(|byte| **byte == b'\n').count();
    let returns = text.iter().filter(|byte| **byte == b'\r').count();
    let ends = text.windows(2).filter(|pair| pair == b"\r\n").count();
    feeds == ends && returns == ends && !text.contains(&0)
}

#[test]
fn requests_that_are_accepted_are_clear_to_whoever_reads_them_next() {
    fuzz("requests.txt", |input, random| {
        let Some(length) = head(input, random) else { return "no end".to_owned() };
        let bytes = &input[..length];
        let request = match request::read(bytes) {
            Ok(request) => request,
            Err(refusal) => return format!("{refusal:?}"),
        };
        let host = match request.host(bytes) {
            Ok(host) => host,
            Err(refusal) => return format!("{refusal:?}"),
        };
        let path = request.path(bytes);
        let mut out = Vec::new();
        request.write(&mut out, bytes, &path);
        out.extend_from_slice(b"\r\n");
        assert!(has_clean_lines(&out), "{}", out.escape_ascii());
        let written = lines(&out);
        assert_eq!(count(&written, "host"), 1);
        let lengths = (count(&written, "content-length"), count(&written, "transfer-encoding"));
        match request.framing {
            Framing::Chunked => assert_eq!(lengths, (0, 1)),
            Framing::Length(0) => assert!(lengths.0 <= 1 && lengths.1 == 0),
            Framing::Length(_) => assert_eq!(lengths, (1, 0)),
            Framing::UntilClose => panic!("a request has an end"),
        }
        for dropped in
            ["te", "keep-alive", "proxy-connection", "via", "x-request-id", "http2-settings"]
        {
            assert_eq!(count(&written, dropped), 0, "{dropped}");
        }
        assert!(count(&written, "connection") == count(&written, "upgrade"));
        // Whoever reads it as we do finds the same request.
        let again = request::read(&out).unwrap();
        assert_eq!(again.host(&out), Ok(host));
        assert_eq!(again.path(&out), path);
        assert_eq!((&again.method, again.framing), (&request.method, request.framing));
        assert_eq!(again.upgrade.is_some(), request.upgrade.is_some());
        // And so does a reader that is none of ours.
        let mut room = [httparse::EMPTY_HEADER; 256];
        let mut other = httparse::Request::new(&mut room);
        assert!(other.parse(&out).unwrap().is_complete());
        assert_eq!((other.method, other.path), (Some(request.method.as_str()), Some(&*path)));
        ways(&request)
    });
}

fn ways(request: &RequestHead) -> String {
    let kinds: Vec<_> = request.lines.iter().map(|line| (line.known, line.dropped)).collect();
    let framing = match request.framing {
        Framing::Length(length) if length > 0 => Framing::Length(1),
        other => other,
    };
    let flags = (request.modern, request.keep_alive, request.upgrade.is_some());
    format!("{:?} {framing:?} {flags:?} {kinds:?}", request.method)
}

#[test]
fn responses_that_are_accepted_are_clear_to_the_client() {
    fuzz("responses.txt", |input, random| {
        let Some(length) = head(input, random) else { return "no end".to_owned() };
        let bytes = &input[..length];
        let asked = Asked { head: random.u8(..4) == 0, modern: random.u8(..4) != 0 };
        let mut response = match response::read(bytes, asked) {
            Ok(response) => response,
            Err(bad) => return format!("{bad:?}"),
        };
        let mut out = Vec::new();
        if response.status < 200 {
            response.write_interim(&mut out, bytes, asked);
        } else {
            let after = if random.bool() { After::Keep } else { After::Close };
            response.write(&mut out, bytes, asked, after, &Edits::default());
        }
        assert!(has_clean_lines(&out), "{}", out.escape_ascii());
        let written = lines(&out);
        let lengths = (count(&written, "content-length"), count(&written, "transfer-encoding"));
        assert!(lengths.0 + lengths.1 <= 1, "{lengths:?}");
        let kept = asked.modern && response.status >= 200;
        match response.framing {
            Framing::Length(0) => assert_eq!(lengths.1, 0),
            Framing::Length(_) => assert_eq!(lengths, (1, 0)),
            _ => assert_eq!(lengths, (0, usize::from(kept))),
        }
        let mut room = [httparse::EMPTY_HEADER; 256];
        let mut other = httparse::Response::new(&mut room);
        assert!(other.parse(&out).unwrap().is_complete());
        assert_eq!(other.code, Some(response.status));
        format!("{:?} {} {} {asked:?}", lengths, response.status / 100, written.len().min(9))
    });
}

/// Decodes the chunked coding all at once, in the plainest way: the data, and what follows it.
fn plainly(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let end = at + input[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let size = input[at..end].split(|byte| *byte == b';').next()?;
        if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        data.extend_from_slice(input.get(at..at.checked_add(size)?)?);
        at += size;
        if input.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let end = at + input[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let empty = end == at;
        at = end + 2;
        if empty {
            return Some((data, at));
        }
    }
}

/// Decodes in random pieces: the data, and how many bytes it took, if the body came to its end.
fn in_pieces(input: &[u8], random: &mut Rng) -> Result<(Vec<u8>, Option<usize>), BadChunk> {
    let mut chunked = Chunked::new();
    let (mut data, mut at, mut to) = (Vec::new(), 0, 0);
    while !chunked.is_done() && to < input.len() {
        to = (to + random.usize(1..30)).min(input.len());
        while let Some(piece) = chunked.next(&input[at..to])? {
            if let Piece::Data(length) = piece {
                data.extend_from_slice(&input[at..at + length]);
            }
            at += piece.len();
        }
    }
    if chunked.is_done() {
        chunked.trailers()?;
        return Ok((data, Some(at)));
    }
    Ok((data, None))
}

/// Passes a body on in random pieces: what goes out, and how many bytes it took.
fn passed(input: &[u8], chunks: bool, random: &mut Rng) -> Result<(Vec<u8>, usize), BadChunk> {
    let mut flow = Flow::new(Framing::Chunked, chunks);
    let (mut out, mut at) = (Vec::new(), 0);
    while !flow.is_done() && at < input.len() {
        let to = (at + random.usize(1..30)).min(input.len());
        let mut piece = input[at..to].to_vec();
        let admitted = flow.admit(&mut piece)?;
        out.extend_from_slice(admitted.before());
        out.extend_from_slice(&piece[..admitted.send]);
        out.extend_from_slice(admitted.after());
        at += admitted.taken;
    }
    Ok((out, at))
}

#[test]
fn chunked_bodies_are_the_same_to_whoever_reads_them() {
    fuzz("chunks.txt", |input, random| {
        let once = in_pieces(input, random);
        let again = in_pieces(input, random);
        match (&once, &again) {
            (Ok(once), Ok(again)) => assert_eq!(once, again, "pieces do not matter"),
            (Err(_), Err(_)) => {}
            _ => panic!("pieces decide: {} or {}", show(&once), show(&again)),
        }
        let Ok((data, Some(length))) = once else { return format!("{}", once.is_err()) };
        assert_eq!(plainly(input), Some((data.clone(), length)), "a plain reader disagrees");
        assert_eq!(passed(input, false, random), Ok((data.clone(), length)));
        let (out, taken) = passed(input, true, random).unwrap();
        assert_eq!(taken, length);
        assert_eq!(plainly(&out), Some((data.clone(), out.len())), "{}", out.escape_ascii());
        format!("{} {}", data.len().min(9), length.min(40))
    });
}

fn show(outcome: &impl Debug) -> String {
    format!("{outcome:?}")
}

/// What a target finds in the head of a request without a coding: its host, its path, and the length
/// of its body.
pub(crate) fn found(head: &[u8]) -> Option<(String, String, u64)> {
    let request = request::read(head).ok()?;
    let Framing::Length(length) = request.framing else { return None };
    Some((request.host(head).ok()?, request.path(head).into_owned(), length))
}
