//! Passwords as they are kept: never in clear, and slow to guess.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::num::NonZeroU32;
use std::str::FromStr;

/// A password under PBKDF2 with HMAC-SHA-256, as text
/// `pbkdf2-sha256:ITERATIONS:SALT:HASH` with salt and hash in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// From 1,000 to 1,000,000: whoever checks a password pays for them.
    pub iterations: NonZeroU32,
    pub salt: Vec<u8>,
    pub hash: [u8; 32],
}

/// Text is not a hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash of a password")]
pub struct NoPasswordHash;

const SCHEME: &str = "pbkdf2-sha256";

impl FromStr for PasswordHash {
    type Err = NoPasswordHash;

    fn from_str(text: &str) -> Result<Self, NoPasswordHash> {
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or(NoPasswordHash);
        let (scheme, iterations, salt, hash) = (part()?, part()?, part()?, part()?);
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| NoPasswordHash)?;
        let salt = from_hex(salt).filter(|salt| (8..=64).contains(&salt.len()));
        let hash = from_hex(hash).and_then(|hash| hash.try_into().ok());
        let (Some(salt), Some(hash)) = (salt, hash) else { return Err(NoPasswordHash) };
        let fits = (1_000..=1_000_000).contains(&iterations.get());
        if scheme != SCHEME || !fits || parts.next().is_some() {
            return Err(NoPasswordHash);
        }
        Ok(Self { iterations, salt, hash })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:{}:{}:{}", self.iterations, hex(&self.salt), hex(&self.hash))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let text = format!("pbkdf2-sha256:100000:{}:{}", "0a".repeat(16), "ff".repeat(32));
        let hash: PasswordHash = text.parse().unwrap();
        assert_eq!((hash.iterations.get(), hash.salt.len(), hash.hash), (100_000, 16, [255; 32]));
        assert_eq!(hash.to_string(), text);
        for wrong in [
            "",
            "secret",
            "pbkdf2-sha256:0:0a0a0a0a0a0a0a0a:ff",
            &text.replace("sha256", "md5"),
            &text.replace("100000", "1"),
            &text.replace("100000", "100000000"),
            &text.replace("ff", "fg"),
            &text.replace("ff", "f\u{e9}"),
            &format!("{text}:x"),
        ] {
            assert!(wrong.parse::<PasswordHash>().is_err(), "{wrong}");
        }
    }
}
