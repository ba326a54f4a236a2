//! Whether a browser's answer is right.

use super::authenticator_data::AuthenticatorData;
use super::public_key::PublicKey;
use super::{Challenge, Refused, RelyingParty, cbor, from_base64url, sha256};
use serde::Deserialize;
use std::time::Instant;

/// A credential that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub credential_id: Vec<u8>,
    /// In COSE form.
    pub public_key: Vec<u8>,
    /// 0 with devices that do not count.
    pub sign_count: u32,
    /// Whether it may be copied to other devices of its user.
    pub backup_eligible: bool,
    /// Whether it was.
    pub backed_up: bool,
}

/// What is known of the credential that an answer is said to be of.
#[derive(Clone, Copy, Debug)]
pub struct KnownCredential<'a> {
    pub public_key: &'a [u8],
    pub sign_count: u32,
    pub backup_eligible: bool,
}

/// What the browser gives as a proof.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    pub client_data: &'a [u8],
    pub authenticator_data: &'a [u8],
    pub signature: &'a [u8],
}

/// What is to be remembered of a credential that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asserted {
    pub sign_count: u32,
    pub backed_up: bool,
}

/// Checks the answer to the question for a new credential (Level 3, section 7.1).
///
/// # Errors
/// Why it is not taken.
pub fn check_registration(
    party: &RelyingParty,
    challenge: Challenge,
    now: Instant,
    client_data: &[u8],
    attestation_object: &[u8],
) -> Result<Registered, Refused> {
    check_client_data(party, challenge, now, client_data, "webauthn.create")?;
    let unreadable = Refused::Unreadable("its attestation object");
    let Some((object @ cbor::Value::Map(_), [])) = cbor::read(attestation_object) else {
        return Err(unreadable);
    };
    // `fmt` and `attStmt` say what made the credential; it was not asked for, and nothing would
    // follow from it.
    let data = object.named("authData").and_then(cbor::Value::bytes).ok_or(unreadable)?;
    let data = AuthenticatorData::parse(data)?;
    data.check(&party.id_hash())?;
    let made = data.credential.as_ref().ok_or(Refused::Unreadable("it names no credential"))?;
    PublicKey::parse(made.public_key)?;
    Ok(Registered {
        credential_id: made.id.to_vec(),
        public_key: made.public_key.to_vec(),
        sign_count: data.sign_count,
        backup_eligible: data.backup_eligible(),
        backed_up: data.backed_up(),
    })
}

/// Checks the answer to the question for a proof by a credential (Level 3, section 7.2).
///
/// # Errors
/// Why it is not taken.
pub fn check_assertion(
    party: &RelyingParty,
    challenge: Challenge,
    now: Instant,
    known: KnownCredential<'_>,
    given: Assertion<'_>,
) -> Result<Asserted, Refused> {
    check_client_data(party, challenge, now, given.client_data, "webauthn.get")?;
    let data = AuthenticatorData::parse(given.authenticator_data)?;
    data.check(&party.id_hash())?;
    if data.backup_eligible() != known.backup_eligible {
        return Err(Refused::Contradiction);
    }
    let signed = [given.authenticator_data, &sha256(given.client_data)].concat();
    PublicKey::parse(known.public_key)?.verify(&signed, given.signature)?;
    if !counts_on(known.sign_count, data.sign_count) {
        return Err(Refused::Copied);
    }
    Ok(Asserted { sign_count: data.sign_count, backed_up: data.backed_up() })
}

/// Whether a device that counts has counted on. Those whose passkeys are copied between devices
/// say 0 always.
fn counts_on(before: u32, now: u32) -> bool {
    (before == 0 && now == 0) || now > before
}

/// What the browser says of a ceremony.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    ceremony: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<String>,
}

fn check_client_data(
    party: &RelyingParty,
    challenge: Challenge,
    now: Instant,
    json: &[u8],
    ceremony: &str,
) -> Result<(), Refused> {
    // Whatever comes of it, the challenge is used up.
    let asked = challenge.take(now)?;
    let said: ClientData =
        serde_json::from_slice(json).map_err(|_| Refused::Unreadable("what the browser says"))?;
    if said.ceremony != ceremony {
        return Err(Refused::OtherCeremony);
    }
    if from_base64url(&said.challenge).as_deref() != Some(&asked[..]) {
        return Err(Refused::OtherChallenge);
    }
    if said.origin != party.origin() {
        return Err(Refused::OtherOrigin(said.origin.chars().take(100).collect()));
    }
    if said.cross_origin || said.top_origin.is_some() {
        return Err(Refused::Framed);
    }
    Ok(())
}
