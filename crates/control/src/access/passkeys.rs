//! Passkeys: a device proves who somebody is, by possession and by PIN, finger or face. Whoever logs
//! in by one needs no second factor beside it.

use super::NewToken;
use crate::platform::now_ms;
use crate::records::{Passkey, Token, User};
use crate::{Platform, PlatformError, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use std::time::Instant;
use windlass_core::access::Scopes;
use windlass_core::ids::{PasskeyId, UserId};
use windlass_core::people::passkey_name;
use windlass_core::webauthn::{
    Assertion, Challenge, KnownCredential, Refused, RelyingParty, check_assertion,
    check_registration,
};

/// More are a mistake, or worse.
const MOST: usize = 20;
/// What browsers say of how they reach a device is kept only if it looks like that.
const MOST_TRANSPORTS: usize = 8;
const LONGEST_TRANSPORT: usize = 20;

/// A passkey that a browser has made.
#[derive(Clone, Debug, Default)]
pub struct NewPasskey {
    pub name: String,
    pub client_data: Vec<u8>,
    pub attestation_object: Vec<u8>,
    pub transports: Vec<String>,
}

/// What a browser gives as a proof of who somebody is.
#[derive(Clone, Debug, Default)]
pub struct PasskeyProof {
    pub credential_id: Vec<u8>,
    /// Whose the device says that it is.
    pub user_handle: Vec<u8>,
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
}

/// Returns a question for a browser.
#[must_use]
pub fn new_challenge() -> Challenge {
    let mut bytes = [0; 32];
    // As for secrets: without random numbers nothing here is safe.
    SystemRandom::new().fill(&mut bytes).unwrap_or_else(|_| std::process::abort());
    Challenge::new(bytes, Instant::now())
}

/// Returns what devices are told that a user is, and tell back.
#[must_use]
pub fn user_handle(user: UserId) -> [u8; 16] {
    user.0.into_bytes()
}

impl Platform {
    /// Returns where passkeys are good: at the API's own address.
    ///
    /// # Errors
    /// [`PlatformError::Invalid`] if browsers use none there.
    pub fn relying_party(&self) -> Result<RelyingParty> {
        RelyingParty::of_url(&self.settings().api_url)
            .map_err(|error| PlatformError::Invalid(error.to_string()))
    }

    /// Whether anybody could log in by a passkey.
    pub fn passkeys_are_in_use(&self) -> Result<bool> {
        match self.relying_party() {
            Ok(party) => Ok(self.store().has_passkeys(party.id())?),
            Err(_) => Ok(false),
        }
    }

    /// Returns somebody's passkeys, the oldest first.
    pub fn passkeys(&self, user: &User) -> Result<Vec<Passkey>> {
        Ok(self.store().passkeys(user.id)?)
    }

    pub fn passkey(&self, user: &User, id: PasskeyId) -> Result<Passkey> {
        let missing = PlatformError::NotFound { resource: "passkey" };
        self.passkeys(user)?.into_iter().find(|passkey| passkey.id == id).ok_or(missing)
    }

    /// Adds a passkey to an account. `challenge` is what the browser was asked.
    ///
    /// # Errors
    /// The browser's answer is not right; the passkey is known already; there are too many.
    pub fn add_passkey(
        &self,
        user: &User,
        challenge: Challenge,
        new: NewPasskey,
    ) -> Result<Passkey> {
        let party = self.relying_party()?;
        if self.passkeys(user)?.len() >= MOST {
            let message = format!("You have {MOST} passkeys: remove one first.");
            return Err(PlatformError::Conflict(message));
        }
        let name = if new.name.trim().is_empty() { "Passkey" } else { &new.name };
        let name = passkey_name(name)?;
        let made = check_registration(
            &party,
            challenge,
            Instant::now(),
            &new.client_data,
            &new.attestation_object,
        );
        let made = made.map_err(|why| {
            PlatformError::Invalid(format!("The passkey was not taken: {why}. Try again."))
        })?;
        let passkey = Passkey {
            id: PasskeyId::random(),
            user: user.id,
            name,
            credential_id: made.credential_id,
            public_key: made.public_key,
            relying_party: party.id().to_owned(),
            sign_count: made.sign_count,
            transports: new
                .transports
                .into_iter()
                .filter(|one| is_word(one))
                .take(MOST_TRANSPORTS)
                .collect(),
            backup_eligible: made.backup_eligible,
            backed_up: made.backed_up,
            created_at: now_ms(),
            last_used_at: None,
        };
        self.store().insert_passkey(&passkey)?;
        tracing::info!(user = user.email, passkey = passkey.name, "a passkey was added");
        Ok(passkey)
    }

    /// Says what a passkey is called.
    pub fn rename_passkey(&self, user: &User, id: PasskeyId, name: &str) -> Result<Passkey> {
        let name = passkey_name(name)?;
        self.store().rename_passkey(user.id, id, &name)?;
        self.passkey(user, id)
    }

    /// Removes a passkey.
    ///
    /// # Errors
    /// [`PlatformError::Conflict`] if it is the account's only way in.
    pub fn remove_passkey(&self, user: &User, id: PasskeyId) -> Result<Passkey> {
        let passkey = self.passkey(user, id)?;
        if self.passkeys(user)?.len() == 1 && self.authorizations(user)?.is_empty() {
            let message = "This passkey is your only way in: you have no token. Make one first, or add another passkey.";
            return Err(PlatformError::Conflict(message.to_owned()));
        }
        self.store().delete_passkey(user.id, id)?;
        tracing::info!(user = user.email, passkey = passkey.name, "a passkey was removed");
        Ok(passkey)
    }

    /// Takes all passkeys from somebody who has lost their device.
    pub fn reset_passkeys(&self, by: &User, user: &User) -> Result<()> {
        self.require_owner(by)?;
        let passkeys = self.store().delete_passkeys(user.id)?;
        tracing::info!(user = user.email, by = by.email, passkeys, "passkeys were taken away");
        Ok(())
    }

    /// Returns whose passkey has answered `challenge`. Wrong answers count as wrong credentials of
    /// the address that they came from.
    ///
    /// # Errors
    /// [`PlatformError::Forbidden`], saying why; [`PlatformError::TooMany`] after too many.
    pub fn authenticate_by_passkey(
        &self,
        challenge: Challenge,
        proof: &PasskeyProof,
        from: Option<IpAddr>,
    ) -> Result<(User, Passkey)> {
        let why = match self.check_proof(challenge, proof)? {
            Ok(proved) => return Ok(proved),
            Err(why) => why,
        };
        tracing::info!(%why, ?from, "a passkey was refused");
        Err(match self.wrong_credentials(from, None) {
            PlatformError::Unauthorized => {
                PlatformError::Forbidden(format!("This passkey was not accepted: {why}."))
            }
            other => other,
        })
    }

    fn check_proof(
        &self,
        challenge: Challenge,
        proof: &PasskeyProof,
    ) -> Result<std::result::Result<(User, Passkey), NotProved>> {
        let party = self.relying_party()?;
        let Some(passkey) = self.store().passkey_of_credential(&proof.credential_id)? else {
            return Ok(Err(NotProved::Unknown));
        };
        if proof.user_handle != user_handle(passkey.user) || passkey.relying_party != party.id() {
            return Ok(Err(NotProved::Unknown));
        }
        let known = KnownCredential {
            public_key: &passkey.public_key,
            sign_count: passkey.sign_count,
            backup_eligible: passkey.backup_eligible,
        };
        let given = Assertion {
            client_data: &proof.client_data,
            authenticator_data: &proof.authenticator_data,
            signature: &proof.signature,
        };
        let asserted = match check_assertion(&party, challenge, Instant::now(), known, given) {
            Ok(asserted) => asserted,
            Err(why) => return Ok(Err(why.into())),
        };
        let (count, backed_up) = (asserted.sign_count, asserted.backed_up);
        if !self.store().use_passkey(passkey.id, count, backed_up, now_ms())? {
            // Another login was quicker with the same count.
            return Ok(Err(Refused::Copied.into()));
        }
        Ok(Ok((self.user(passkey.user)?, passkey)))
    }

    /// Makes a token for somebody who has proved themselves by a passkey. Returns it and its
    /// secret, which is not kept.
    pub fn log_in_by_passkey(
        &self,
        challenge: Challenge,
        proof: &PasskeyProof,
        from: Option<IpAddr>,
        description: String,
        expires_in: u64,
    ) -> Result<(User, Token, String)> {
        let (user, _) = self.authenticate_by_passkey(challenge, proof, from)?;
        let wanted =
            NewToken { description, scopes: Scopes::global(), expires_in: Some(expires_in) };
        let (token, secret) = self.issue_token(user.id, wanted)?;
        Ok((user, token, secret))
    }
}

/// Why a proof is none.
#[derive(Debug, thiserror::Error)]
enum NotProved {
    #[error("it is of no account here; it may have been removed")]
    Unknown,
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Whether a transport looks like one: `internal`, `smart-card`.
fn is_word(text: &str) -> bool {
    (1..=LONGEST_TRANSPORT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}
