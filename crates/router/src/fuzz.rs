//! Mutated inputs for the parsers: a few on each run of the tests, and as many as fit into the
//! minutes that `WINDLASS_FUZZ_MINUTES` says (see `cargo xtask fuzz`).

use fastrand::Rng;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

/// Inputs of each kind on an ordinary run.
const FEW: u64 = 20_000;
/// Inputs that are kept because they led somewhere new.
const MOST_KEPT: usize = 4_000;

/// What mutations put in.
const PIECES: [&[u8]; 34] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"0",
    b"5\r\n",
    b"chunked",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b.test\r\n",
    b"Connection: content-length, host\r\n",
    b"connection: close\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: x\r\n",
    b"Expect: 100-continue\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"http://b.test",
    b"#",
    b"?",
    b"\x80",
    b"\x7f",
    b"\xff",
    b"ffffffffffffffff",
    b"GET / HTTP/1.1\r\n",
    b"Trailer: x\r\n",
    b"Via: x\r\n",
];

/// Reads inputs that are written one a line.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(unescape).collect()
}

fn unescape(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    out
}

fn mutate(random: &mut Rng, pool: &[Vec<u8>]) -> Vec<u8> {
    let mut input = pool[random.usize(..pool.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        let to = random.usize(at..=input.len().min(at + 12));
        match random.u8(..7) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 if at < input.len() => input[at] = random.u8(..),
            2 => drop(input.drain(at..to)),
            3 => {
                let piece = input[at..to].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let other = &pool[random.usize(..pool.len())];
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[random.usize(..PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
    input
}

/// Gives mutated inputs to `check`. What it returns says where an input led: one that led somewhere
/// new is mutated on.
pub(crate) fn fuzz(name: &str, check: impl Fn(&[u8], &mut Rng) -> String) {
    let minutes: Option<u64> =
        std::env::var("WINDLASS_FUZZ_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    let seed = std::env::var("WINDLASS_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = Rng::with_seed(seed.unwrap_or(1));
    let mut pool = corpus(name);
    pool.iter().for_each(|input| drop(check(input, &mut random)));
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let (mut seen, mut count) = (HashSet::new(), 0_u64);
    while end.map_or(count < FEW, |end| count % 1_024 != 0 || Instant::now() < end) {
        count += 1;
        let input = mutate(&mut random, &pool);
        let shown = Shown(&input);
        let led_to = check(&input, &mut random);
        drop(shown);
        let mut hasher = DefaultHasher::new();
        led_to.hash(&mut hasher);
        if pool.len() < MOST_KEPT && input.len() < 4_096 && seen.insert(hasher.finish()) {
            pool.push(input);
        }
    }
    println!("{name}: {count} inputs, {} ways", seen.len());
}

/// Shows an input that a check failed with.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input: {}", self.0.escape_ascii());
        }
    }
}
