//! Access: who a caller is and whether an app is theirs. Ownership is decided here only.

mod collaborators;
mod guard;
mod lost;
mod passkeys;
mod people;
mod recorder;
mod second_factor;
mod teams;
mod tokens;

pub(crate) use guard::Guard;
pub use guard::UNLIMITED;
pub(crate) use lost::{LOOK_EVERY, until_lost};
pub use passkeys::{NewPasskey, PasskeyProof, new_challenge, user_handle};
pub use people::{NewInvitation, Newcomer};
pub(crate) use recorder::Recorder;
pub use second_factor::{FactorStatus, ProposedFactor};
pub use teams::TeamOfUser;
pub use tokens::{NewToken, make_owner_token};

use crate::platform::now_ms;
use crate::records::{App, Given, Key, User};
use crate::{Platform, PlatformError, Result};
use ring::rand::{SecureRandom, SystemRandom};
use windlass_core::access::{Permission, Permissions, Scopes, Standing};
use windlass_core::ids::{AppId, KeyId, UserId};
use windlass_core::limits::KEYS_PER_USER;

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
        let user = User {
            id: UserId::random(),
            email: email.to_owned(),
            name: None,
            last_login_at: None,
            created_at: now_ms(),
        };
        self.store().insert_user(&user)?;
        let wanted = NewToken {
            description: "Owner's first token".to_owned(),
            scopes: Scopes::global(),
            expires_in: None,
        };
        let (_, secret) = self.issue_token(user.id, wanted)?;
        Ok(Some((user, secret)))
    }

    /// Returns the user of an SSH key by its `SHA256:…` fingerprint.
    pub fn user_of_key(&self, fingerprint: &str) -> Result<Option<User>> {
        Ok(self.store().user_of_key(fingerprint)?)
    }

    pub fn keys(&self, user: &User) -> Result<Vec<Key>> {
        Ok(self.store().keys(user.id)?)
    }

    /// Lets an SSH key in.
    ///
    /// # Errors
    /// `Invalid` for a key that somebody has already, and beyond [`KEYS_PER_USER`].
    pub fn add_key(
        &self,
        user: &User,
        public_key: &str,
        fingerprint: &str,
        comment: &str,
    ) -> Result<Key> {
        if self.keys(user)?.len() >= KEYS_PER_USER {
            let message =
                format!("You have {KEYS_PER_USER} SSH keys already: remove one you do not use.");
            return Err(PlatformError::Invalid(message));
        }
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

    /// Returns an app that this user may see, by name or id.
    pub fn app(&self, user: &User, name_or_id: &str) -> Result<App> {
        self.find_app(user, name_or_id).map(|(app, _)| app)
    }

    /// Returns an app with which this user may do that, by name or id.
    ///
    /// # Errors
    /// `NotFound` if they may not see it, `Forbidden` if they may not do that with it.
    pub fn app_to(&self, user: &User, name_or_id: &str, permission: Permission) -> Result<App> {
        let (app, permissions) = self.find_app(user, name_or_id)?;
        if permissions.contains(permission) { Ok(app) } else { Err(refusal(&app, permission)) }
    }

    fn find_app(&self, user: &User, name_or_id: &str) -> Result<(App, Permissions)> {
        let found = match name_or_id.parse::<AppId>() {
            Ok(id) => self.store().app(id)?,
            Err(_) => self.store().app_by_name(name_or_id)?,
        };
        let missing = PlatformError::NotFound { resource: "app" };
        let Some(app) = found else { return Err(missing) };
        let permissions = self.permissions(user, &app)?;
        if permissions.is_empty() { Err(missing) } else { Ok((app, permissions)) }
    }

    /// Returns the apps that this user may see, by name.
    pub fn apps(&self, user: &User) -> Result<Vec<App>> {
        let (owner, given) = (self.is_owner(user)?, self.store().given(user.id)?);
        let mut apps = self.store().apps()?;
        apps.retain(|app| !standing(user, app, owner, &given).permissions().is_empty());
        Ok(apps)
    }

    /// Returns what a user may do with an app: the one place where that is decided.
    pub fn permissions(&self, user: &User, app: &App) -> Result<Permissions> {
        Ok(self.standing(user, app)?.permissions())
    }

    fn standing(&self, user: &User, app: &App) -> Result<Standing> {
        Ok(standing(user, app, self.is_owner(user)?, &self.store().given(user.id)?))
    }

    /// Refuses what a user may not do with an app that they may see.
    pub fn require(&self, user: &User, app: &App, permission: Permission) -> Result<()> {
        if self.permissions(user, app)?.contains(permission) {
            return Ok(());
        }
        Err(refusal(app, permission))
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

fn standing(user: &User, app: &App, owns_server: bool, given: &Given) -> Standing {
    Standing {
        owns_server,
        owns_app: app.team.is_none() && app.owner == user.id,
        team_role: app.team.and_then(|team| given.teams.get(&team).copied()),
        locked: app.locked,
        granted: given.apps.get(&app.id).copied().unwrap_or_default(),
    }
}

fn refusal(app: &App, permission: Permission) -> PlatformError {
    PlatformError::Forbidden(format!(
        "You do not have the permission `{permission}` on {}, which this needs. Somebody who manages the app can give it to you.",
        app.name
    ))
}
