//! Access: who a caller is and whether an app is theirs. Ownership is decided here only.

use crate::platform::now_ms;
use crate::records::{App, Key, Token, User};
use crate::{Platform, PlatformError, Result};
use ring::rand::{SecureRandom, SystemRandom};
use windlass_core::access::{Permission, Permissions};
use windlass_core::ids::{AppId, KeyId, TokenId, UserId};

/// Returns 160 random bits as 40 hexadecimal digits.
#[must_use]
pub fn random_secret() -> String {
    let mut bytes = [0u8; 20];
    // The kernel's generator does not fail once it is seeded, which it is long before we run.
    SystemRandom::new().fill(&mut bytes).unwrap_or_else(|_| std::process::abort());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Platform {
    /// Makes the owner and their first token when there is none yet. The secret is returned once
    /// and never again.
    pub fn create_owner(&self, email: &str) -> Result<Option<(User, String)>> {
        if self.store().owner()?.is_some() {
            return Ok(None);
        }
        let user = User { id: UserId::random(), email: email.to_owned(), created_at: now_ms() };
        self.store().insert_user(&user)?;
        let (_, secret) = self.create_authorization(&user, "Owner's first token")?;
        Ok(Some((user, secret)))
    }

    pub fn authenticate(&self, secret: &str) -> Result<(Token, User)> {
        self.store().authenticate(secret)?.ok_or(PlatformError::Unauthorized)
    }

    /// Returns the user of an SSH key by its `SHA256:…` fingerprint.
    pub fn user_of_key(&self, fingerprint: &str) -> Result<Option<User>> {
        Ok(self.store().user_of_key(fingerprint)?)
    }

    pub fn user(&self, id: UserId) -> Result<User> {
        self.store().user(id)?.ok_or(PlatformError::NotFound { resource: "user" })
    }

    pub fn keys(&self, user: &User) -> Result<Vec<Key>> {
        Ok(self.store().keys(user.id)?)
    }

    pub fn add_key(
        &self,
        user: &User,
        public_key: &str,
        fingerprint: &str,
        comment: &str,
    ) -> Result<Key> {
        let key = Key {
            id: KeyId::random(),
            user: user.id,
            public_key: public_key.to_owned(),
            comment: comment.to_owned(),
            fingerprint: fingerprint.to_owned(),
            created_at: now_ms(),
        };
        self.store().insert_key(&key)?;
        Ok(key)
    }

    pub fn remove_key(&self, user: &User, id: KeyId) -> Result<()> {
        let removed = self.store().delete_key(user.id, id)?;
        if removed { Ok(()) } else { Err(PlatformError::NotFound { resource: "key" }) }
    }

    pub fn authorizations(&self, user: &User) -> Result<Vec<Token>> {
        Ok(self.store().tokens(user.id)?)
    }

    /// Returns the new token and its secret, which is not kept.
    pub fn create_authorization(&self, user: &User, description: &str) -> Result<(Token, String)> {
        let (token, secret) = new_token(user.id, description);
        self.store().insert_token(&token, &secret)?;
        Ok((token, secret))
    }

    pub fn revoke_authorization(&self, user: &User, id: TokenId) -> Result<Token> {
        let missing = PlatformError::NotFound { resource: "authorization" };
        let token = self
            .store()
            .tokens(user.id)?
            .into_iter()
            .find(|token| token.id == id)
            .ok_or(missing)?;
        self.store().delete_token(user.id, id)?;
        Ok(token)
    }

    /// Returns an app that this user may see, by name or id.
    pub fn app(&self, user: &User, name_or_id: &str) -> Result<App> {
        let found = match name_or_id.parse::<AppId>() {
            Ok(id) => self.store().app(id)?,
            Err(_) => self.store().app_by_name(name_or_id)?,
        };
        let missing = PlatformError::NotFound { resource: "app" };
        let Some(app) = found else { return Err(missing) };
        if self.permissions(user, &app)?.is_empty() { Err(missing) } else { Ok(app) }
    }

    /// Returns the apps that this user may see, by name.
    pub fn apps(&self, user: &User) -> Result<Vec<App>> {
        let mut apps = self.store().apps()?;
        let mut seen = Vec::with_capacity(apps.len());
        for app in apps.drain(..) {
            if !self.permissions(user, &app)?.is_empty() {
                seen.push(app);
            }
        }
        Ok(seen)
    }

    /// Returns what a user may do with an app: the one place where that is decided.
    pub fn permissions(&self, user: &User, app: &App) -> Result<Permissions> {
        let all = app.owner == user.id || self.is_owner(user)?;
        Ok(if all { Permissions::all() } else { Permissions::NONE })
    }

    /// Refuses what a user may not do with an app that they may see.
    pub fn require(&self, user: &User, app: &App, permission: Permission) -> Result<()> {
        if self.permissions(user, app)?.contains(permission) {
            return Ok(());
        }
        Err(PlatformError::Forbidden(format!(
            "You do not have the permission `{permission}` on {}, which this needs. Somebody who manages the app can give it to you.",
            app.name
        )))
    }

    /// Whether this user owns the server.
    pub fn is_owner(&self, user: &User) -> Result<bool> {
        Ok(self.store().owner()?.is_some_and(|owner| owner.id == user.id))
    }

    /// Refuses everybody but the server's owner.
    pub fn require_owner(&self, user: &User) -> Result<()> {
        if self.is_owner(user)? {
            return Ok(());
        }
        let message = "Only the owner of this server may do that, because it concerns all apps.";
        Err(PlatformError::Forbidden(message.to_owned()))
    }
}

/// Makes another token for the owner directly in the data directory: for whoever has root on the
/// server but lost the first token. A running server takes it at once.
pub fn make_owner_token(data_directory: &std::path::Path) -> Result<String> {
    let store = windlass_store::Store::open(data_directory)?;
    let owner = store
        .owner()?
        .ok_or(PlatformError::NotFound { resource: "owner: start the server once first" })?;
    let (token, secret) = new_token(owner.id, "Owner's token, made on the server");
    store.insert_token(&token, &secret)?;
    Ok(secret)
}

fn new_token(user: UserId, description: &str) -> (Token, String) {
    let token = Token {
        id: TokenId::random(),
        user,
        description: description.to_owned(),
        created_at: now_ms(),
        last_used_at: None,
    };
    (token, format!("wl-{}", random_secret()))
}
