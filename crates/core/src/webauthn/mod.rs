//! Passkeys (Web Authentication, Level 3), as far as a server has to do with them: what a browser
//! is asked, and whether its answer is right.
//!
//! Attestation is not asked for: whoever may add a passkey has proved who they are, and could add
//! one of a program as well. What is left are a few fixed layouts and one signature, which `ring`
//! checks. Clocks and random numbers are handed in.

mod answer;
mod authenticator_data;
mod cbor;
mod challenge;
mod public_key;
mod relying_party;

pub use answer::{
    Asserted, Assertion, KnownCredential, Registered, check_assertion, check_registration,
};
pub use challenge::{CHALLENGE_LIFETIME, Challenge};
pub use public_key::ALGORITHMS;
pub use relying_party::{NoRelyingParty, RelyingParty};

/// The longest identifier that a credential may have, in bytes.
pub const MAXIMUM_CREDENTIAL_ID: usize = 1023;

/// Why an answer of a browser is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the browser's answer cannot be read ({0})")]
    Unreadable(&'static str),
    #[error("the question that it answers was asked too long ago, or is answered already")]
    Expired,
    #[error("it answers another question than was asked")]
    OtherChallenge,
    #[error("it is of another kind than was asked for")]
    OtherCeremony,
    #[error("it was made for {0:?}, not for this server")]
    OtherOrigin(String),
    #[error("it was made in a frame of another page")]
    Framed,
    #[error("it was made for another server")]
    OtherRelyingParty,
    #[error("nobody was at the device")]
    NotPresent,
    #[error("the device did not make sure who uses it (by PIN, finger or face)")]
    NotVerified,
    #[error("the device contradicts what it said of the passkey before")]
    Contradiction,
    #[error("the device's signature is wrong")]
    Signature,
    #[error("the passkey's key is of a kind that is not taken here")]
    Algorithm,
    #[error("the passkey was used elsewhere meanwhile: there may be a copy of it")]
    Copied,
}

/// Returns the bytes that a text in base64url means, without padding.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Returns bytes as base64url without padding.
#[must_use]
pub fn to_base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}
