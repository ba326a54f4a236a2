//! An app's deploy key: Ed25519, in the forms that OpenSSH reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

const KIND: &str = "ssh-ed25519";
/// Bytes of what a key is made from.
pub(super) const SEED_BYTES: usize = 32;
/// Characters a line of a private key's file.
const LINE: usize = 70;

pub(super) fn new_seed() -> [u8; SEED_BYTES] {
    let mut seed = [0; SEED_BYTES];
    // The kernel's generator does not fail once it is seeded, which it is long before we run.
    SystemRandom::new().fill(&mut seed).unwrap_or_else(|_| std::process::abort());
    seed
}

/// A key pair; `None` for a seed that is none.
pub(super) struct DeployKey {
    seed: [u8; SEED_BYTES],
    public: Vec<u8>,
    comment: String,
}

impl DeployKey {
    pub(super) fn new(seed: &[u8], comment: String) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        Some(Self { seed: seed.try_into().ok()?, public, comment })
    }

    fn public_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put(&mut blob, KIND.as_bytes());
        put(&mut blob, &self.public);
        blob
    }

    /// Returns the line for other hosts: `ssh-ed25519 AAAA… comment`.
    pub(super) fn public_line(&self) -> String {
        format!("{KIND} {} {}", STANDARD.encode(self.public_blob()), self.comment)
    }

    /// Returns the content of the private key's file, not encrypted (PROTOCOL.key of OpenSSH).
    pub(super) fn private_file(&self) -> String {
        let mut secret = Vec::new();
        // Two equal numbers, by which a wrong passphrase would show.
        secret.extend_from_slice(&[0x57, 0x4c, 0x57, 0x4c, 0x57, 0x4c, 0x57, 0x4c]);
        put(&mut secret, KIND.as_bytes());
        put(&mut secret, &self.public);
        put(&mut secret, &[self.seed.as_slice(), &self.public].concat());
        put(&mut secret, self.comment.as_bytes());
        for padding in 1u8.. {
            if secret.len().is_multiple_of(8) {
                break;
            }
            secret.push(padding);
        }
        let mut file = b"openssh-key-v1\0".to_vec();
        for none in ["none", "none", ""] {
            put(&mut file, none.as_bytes());
        }
        file.extend_from_slice(&1u32.to_be_bytes());
        put(&mut file, &self.public_blob());
        put(&mut file, &secret);
        let text = STANDARD.encode(file);
        let mut lines = vec!["-----BEGIN OPENSSH PRIVATE KEY-----"];
        // Base64 is ASCII: every place is a boundary of characters.
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE));
            lines.push(line);
            rest = after;
        }
        lines.extend(["-----END OPENSSH PRIVATE KEY-----", ""]);
        lines.join("\n")
    }
}

/// Appends bytes with their length before them.
fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public half is the known one of this seed.
    #[test]
    fn the_forms_are_those_of_openssh() {
        let key = DeployKey::new(&[7; SEED_BYTES], "app@windlass".to_owned()).unwrap();
        assert_eq!(
            key.public_line(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs app@windlass"
        );
        let file = key.private_file();
        assert!(file.lines().all(|line| line.len() <= LINE) && file.ends_with("-----\n"));
        assert!(DeployKey::new(b"short", String::new()).is_none());
        assert_ne!(new_seed(), new_seed());
    }
}
