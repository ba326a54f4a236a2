//! Encryption of a stream: ChaCha20-Poly1305 in chunks as in STREAM (Hoang, Reyhanitabar, Rogaway,
//! Vizár 2015), with a key that PBKDF2 makes of a passphrase. Chunks cannot be changed, swapped,
//! left out or cut off at the end: each has its number and whether it is the last in its nonce.
//!
//! `WLBK1`, salt (16), rounds (4, big-endian), nonce prefix (7), then chunks of 64 KiB with their tag.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{self, Read, Write};
use std::num::NonZeroU32;

pub const MAGIC: &[u8; 5] = b"WLBK1";
const SALT: usize = 16;
const PREFIX: usize = 7;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// As OWASP advises for PBKDF2 with HMAC-SHA-256.
const ROUNDS: u32 = 600_000;
/// More would be somebody who wants this to take for ever.
const MOST_ROUNDS: u32 = 10_000_000;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the first piece cannot be decrypted")]
    First,
    #[error("piece {0} cannot be decrypted")]
    Piece(u32),
    #[error("it is too long")]
    TooLong,
}

struct Cipher {
    key: LessSafeKey,
    prefix: [u8; PREFIX],
    counter: u32,
}

impl Cipher {
    fn new(passphrase: &[u8], salt: &[u8], rounds: u32, prefix: [u8; PREFIX]) -> io::Result<Self> {
        let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= MOST_ROUNDS);
        let rounds = rounds.ok_or_else(|| io::Error::other("a strange number of rounds"))?;
        let mut key = [0; 32];
        ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase, &mut key);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key)
            .map_err(|_| io::Error::other("the key does not fit"))?;
        Ok(Self { key: LessSafeKey::new(key), prefix, counter: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..PREFIX].copy_from_slice(&self.prefix);
        nonce[PREFIX..PREFIX + 4].copy_from_slice(&self.counter.to_be_bytes());
        nonce[NONCE_LEN - 1] = u8::from(is_last);
        self.counter =
            self.counter.checked_add(1).ok_or_else(|| io::Error::other(SealError::TooLong))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Encrypts what is written to it; [`Sealer::finish`] must be called.
pub struct Sealer<W> {
    out: W,
    cipher: Cipher,
    pending: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub fn new(mut out: W, passphrase: &[u8]) -> io::Result<Self> {
        let (mut salt, mut prefix) = ([0; SALT], [0; PREFIX]);
        let random = SystemRandom::new();
        random
            .fill(&mut salt)
            .and_then(|()| random.fill(&mut prefix))
            .map_err(|_| io::Error::other("no randomness"))?;
        out.write_all(MAGIC)?;
        out.write_all(&salt)?;
        out.write_all(&ROUNDS.to_be_bytes())?;
        out.write_all(&prefix)?;
        let cipher = Cipher::new(passphrase, &salt, ROUNDS, prefix)?;
        Ok(Self { out, cipher, pending: Vec::with_capacity(CHUNK + TAG) })
    }

    fn put(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.cipher.nonce(is_last)?;
        self.cipher
            .key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.pending)
            .map_err(|_| io::Error::other(SealError::TooLong))?;
        self.out.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits until something follows: the last one has its mark.
        if self.pending.len() == CHUNK {
            self.put(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what [`Sealer`] wrote, from behind the magic.
pub struct Opener<R> {
    from: R,
    cipher: Cipher,
    /// The next piece, still encrypted.
    next: Vec<u8>,
    plain: Vec<u8>,
    at: usize,
    is_over: bool,
}

fn fill(from: &mut impl Read, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.clear();
    from.take((CHUNK + TAG) as u64).read_to_end(piece).map(drop)
}

impl<R: Read> Opener<R> {
    pub fn new(mut from: R, passphrase: &[u8]) -> io::Result<Self> {
        let (mut salt, mut rounds, mut prefix) = ([0; SALT], [0; 4], [0; PREFIX]);
        from.read_exact(&mut salt)?;
        from.read_exact(&mut rounds)?;
        from.read_exact(&mut prefix)?;
        let cipher = Cipher::new(passphrase, &salt, u32::from_be_bytes(rounds), prefix)?;
        let mut next = Vec::new();
        fill(&mut from, &mut next)?;
        Ok(Self { from, cipher, next, plain: Vec::new(), at: 0, is_over: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        self.plain = std::mem::take(&mut self.next);
        fill(&mut self.from, &mut self.next)?;
        self.is_over = self.next.is_empty();
        let number = self.cipher.counter;
        let nonce = self.cipher.nonce(self.is_over)?;
        let opened = self.cipher.key.open_in_place(nonce, Aad::empty(), &mut self.plain);
        let length = opened.map(|plain| plain.len()).map_err(|_| {
            let error = if number == 0 { SealError::First } else { SealError::Piece(number) };
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        self.plain.truncate(length);
        self.at = 0;
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.is_over {
                return Ok(0);
            }
            self.open_next()?;
        }
        let taken = buffer.len().min(self.plain.len() - self.at);
        buffer[..taken].copy_from_slice(&self.plain[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}
