//! Access tokens: making, changing and revoking them, and who holds one.

use super::{random_secret, second_factor};
use crate::platform::now_ms;
use crate::records::{Token, USE_RESOLUTION, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::access::{Scopes, Wants};
use windlass_core::ids::{TokenId, UserId};
use windlass_core::limits::TOKENS_PER_USER;

/// What a token is told apart by, at most.
const MAXIMUM_DESCRIPTION: usize = 200;
/// Longer than any of them is meant to be good for; beyond it times overflow somewhere.
const MAXIMUM_LIFETIME_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;

/// A token that somebody wants.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub description: String,
    pub scopes: Scopes,
    /// Seconds; `None`: it does not expire.
    pub expires_in: Option<u64>,
}

impl Platform {
    /// Returns the token and user whose secret is given.
    ///
    /// # Errors
    /// [`PlatformError::Unauthorized`] for a secret that is none, no more, or expired.
    pub fn authenticate(&self, secret: &str) -> Result<(Token, User)> {
        let now = now_ms();
        let found = self.store().authenticate(secret, now)?;
        let (token, user) = found.ok_or(PlatformError::Unauthorized)?;
        if token.last_used_at.is_none_or(|at| at + USE_RESOLUTION <= now) {
            self.recorder().token_used(token.id, now);
        }
        Ok((token, user))
    }

    /// Refuses what a token's scopes do not allow.
    ///
    /// # Errors
    /// [`PlatformError::Forbidden`], naming the scopes that would do.
    pub fn require_scope(&self, token: &Token, wants: Wants) -> Result<()> {
        if token.scopes.allow(wants) {
            return Ok(());
        }
        let needed = Scopes::that_allow(wants).join(", ");
        Err(PlatformError::Forbidden(format!(
            "Your token is for {} only; this needs a token with one of the scopes {needed}.",
            token.scopes.names().join(", ")
        )))
    }

    /// Returns a user's tokens that are still good, oldest first.
    pub fn authorizations(&self, user: &User) -> Result<Vec<Token>> {
        Ok(self.store().tokens(user.id, now_ms())?)
    }

    /// Makes a token for a user who holds `with`, and proves to be who they are by `code` if they
    /// have a second factor. Returns it and its secret, which is not kept.
    ///
    /// # Errors
    /// [`PlatformError::TwoFactor`] without a right code; a scope wider than that of `with`;
    /// `Invalid` beyond [`TOKENS_PER_USER`].
    pub fn create_authorization(
        &self,
        user: &User,
        with: &Token,
        wanted: NewToken,
        code: Option<&str>,
    ) -> Result<(Token, String)> {
        if !with.scopes.include(&wanted.scopes) {
            let message = "A token cannot make another that may do more than itself.";
            return Err(PlatformError::Forbidden(message.to_owned()));
        }
        self.require_second_factor(user, code)?;
        if self.authorizations(user)?.len() >= TOKENS_PER_USER {
            return Err(PlatformError::Invalid(format!(
                "You have {TOKENS_PER_USER} tokens already: revoke one you do not use."
            )));
        }
        self.issue_token(user.id, wanted)
    }

    /// Makes a token for a user whom somebody else has made sure of.
    pub(crate) fn issue_token(&self, user: UserId, wanted: NewToken) -> Result<(Token, String)> {
        let now = now_ms();
        let (token, secret) = new_token(user, wanted, now)?;
        self.store().insert_token(&token, &secret)?;
        self.store().set_last_login(user, now)?;
        Ok((token, secret))
    }

    /// Says what a token is for.
    pub fn describe_authorization(&self, user: &User, id: TokenId, text: &str) -> Result<Token> {
        self.store().describe_token(id, &checked_description(text)?, now_ms())?;
        self.authorization(user, id)
    }

    /// Gives a token another secret, which is returned and not kept. It is good for as long as
    /// it was meant to be, from now.
    pub fn regenerate_authorization(
        &self,
        user: &User,
        id: TokenId,
        code: Option<&str>,
    ) -> Result<(Token, String)> {
        self.require_second_factor(user, code)?;
        let token = self.authorization(user, id)?;
        let (secret, now) = (new_secret(), now_ms());
        let lifetime = token.expires_at.map(|at| at.saturating_sub(token.updated_at));
        let expires_at = lifetime.map(|lifetime| now + lifetime);
        self.store().replace_token_secret(id, &secret, expires_at, now)?;
        Ok((self.authorization(user, id)?, secret))
    }

    pub fn revoke_authorization(&self, user: &User, id: TokenId) -> Result<Token> {
        let token = self.authorization(user, id)?;
        self.store().delete_token(user.id, id)?;
        Ok(token)
    }

    fn authorization(&self, user: &User, id: TokenId) -> Result<Token> {
        let tokens = self.authorizations(user)?;
        let missing = PlatformError::NotFound { resource: "authorization" };
        tokens.into_iter().find(|token| token.id == id).ok_or(missing)
    }

    /// Removes tokens that expired a week ago: nobody asks any more what they were.
    pub(crate) fn collect_expired_tokens(&self) {
        let week = 7 * 24 * 60 * 60 * 1_000;
        match self.store().delete_expired_tokens(now_ms().saturating_sub(week)) {
            Ok(0) => {}
            Ok(tokens) => tracing::info!(tokens, "removed tokens that have expired"),
            Err(error) => tracing::warn!(%error, "expired tokens could not be removed"),
        }
    }
}

/// Makes another token for the owner directly in the data directory: for whoever has root on the
/// server but lost the first token. A running server takes it at once. It takes a second factor
/// away from the owner, since whoever lost the token may well have lost that too.
pub fn make_owner_token(data_directory: &std::path::Path) -> Result<String> {
    let store = windlass_store::Store::open(data_directory)?;
    let owner = store
        .owner()?
        .ok_or(PlatformError::NotFound { resource: "owner: start the server once first" })?;
    let wanted = NewToken {
        description: "Owner's token, made on the server".to_owned(),
        scopes: Scopes::global(),
        expires_in: None,
    };
    let (token, secret) = new_token(owner.id, wanted, now_ms())?;
    store.insert_token(&token, &secret)?;
    second_factor::forget(&store, owner.id)?;
    Ok(secret)
}

fn new_secret() -> String {
    format!("wl-{}", random_secret())
}

fn checked_description(text: &str) -> Result<String> {
    let valid = text.chars().count() <= MAXIMUM_DESCRIPTION && !text.chars().any(char::is_control);
    if valid {
        return Ok(text.trim().to_owned());
    }
    Err(PlatformError::Invalid(format!(
        "A description can have at most {MAXIMUM_DESCRIPTION} characters, none of them a control character."
    )))
}

fn new_token(user: UserId, wanted: NewToken, now: u64) -> Result<(Token, String)> {
    if wanted.expires_in.is_some_and(|seconds| !(1..=MAXIMUM_LIFETIME_SECONDS).contains(&seconds)) {
        return Err(PlatformError::Invalid(format!(
            "A token can expire in 1 to {MAXIMUM_LIFETIME_SECONDS} seconds."
        )));
    }
    let token = Token {
        id: TokenId::random(),
        user,
        description: checked_description(&wanted.description)?,
        scopes: wanted.scopes,
        created_at: now,
        updated_at: now,
        expires_at: wanted.expires_in.map(|seconds| now + seconds * 1_000),
        last_used_at: None,
    };
    Ok((token, new_secret()))
}
