//! People: who has an account here, and how they come and go.

use super::random_secret;
use super::tokens::NewToken;
use crate::platform::now_ms;
use crate::records::{Invitation, Team, Token, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::access::{Scopes, TeamRole};
use windlass_core::ids::{InvitationId, UserId};
use windlass_core::people::{EmailAddress, InvalidPerson, person_name};

/// How long an invitation's link is good for: a week.
const INVITATION_LIFETIME_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

impl From<InvalidPerson> for PlatformError {
    fn from(error: InvalidPerson) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A link that lets somebody in.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    pub invitation: Invitation,
    /// Not kept; whoever has it and comes first gets in.
    pub secret: String,
}

/// Somebody who has just come in, with a token whose secret is not kept.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub user: User,
    pub token: Token,
    pub secret: String,
}

impl Platform {
    pub fn user(&self, id: UserId) -> Result<User> {
        self.store().user(id)?.ok_or(PlatformError::NotFound { resource: "user" })
    }

    /// Returns everybody who has an account, the server's owner first.
    pub fn users(&self) -> Result<Vec<User>> {
        Ok(self.store().users()?)
    }

    /// Returns somebody by id or address; `~` is whoever asks.
    pub fn user_named(&self, by: &User, identity: &str) -> Result<User> {
        if identity == "~" {
            return Ok(by.clone());
        }
        let found = match identity.parse::<UserId>() {
            Ok(id) => self.users()?.into_iter().find(|user| user.id == id),
            Err(_) => self.store().user_by_email(identity)?,
        };
        found.ok_or(PlatformError::NotFound { resource: "user" })
    }

    /// As [`Platform::user_named`], to give them something: the error says how they come in.
    pub(super) fn user_to_add(&self, by: &User, identity: &str) -> Result<User> {
        self.user_named(by, identity).map_err(|error| match error {
            PlatformError::NotFound { .. } if identity.contains('@') => {
                PlatformError::Invalid(format!(
                    "{identity} has no account here yet. The server's owner can invite them: `windlass users:invite {identity}`."
                ))
            }
            other => other,
        })
    }

    /// Says what somebody wants to be called; nothing or blanks: no more.
    pub fn rename_user(&self, user: &User, name: &str) -> Result<User> {
        let name = if name.trim().is_empty() { None } else { Some(person_name(name)?) };
        self.store().set_user_name(user.id, name.as_deref())?;
        self.user(user.id)
    }

    /// Takes somebody's account away: their tokens, keys, memberships and collaborations. Builds
    /// and releases go on naming them.
    ///
    /// # Errors
    /// The owner of the server; somebody who still has apps of their own.
    pub fn remove_user(&self, by: &User, user: &User) -> Result<()> {
        self.require_owner(by)?;
        if self.is_owner(user)? {
            let message = "The owner of the server cannot be removed.";
            return Err(PlatformError::Forbidden(message.to_owned()));
        }
        let own = |app: &crate::records::App| app.owner == user.id && app.team.is_none();
        let apps: Vec<String> = self
            .store()
            .apps()?
            .iter()
            .filter(|app| own(app))
            .map(|app| app.name.to_string())
            .collect();
        if !apps.is_empty() {
            return Err(PlatformError::Conflict(format!(
                "{} still owns {}: transfer or destroy that first.",
                user.email,
                apps.join(", ")
            )));
        }
        tracing::info!(user = user.email, by = by.email, "removing a user");
        Ok(self.store().remove_user(user.id, by.id, now_ms())?)
    }

    /// Takes the second factor from somebody who has lost it.
    pub fn reset_second_factor(&self, by: &User, user: &User) -> Result<()> {
        self.require_owner(by)?;
        super::second_factor::forget(self.store(), user.id)
    }

    /// Invites somebody to the server, or to a team and thereby to the server.
    ///
    /// # Errors
    /// An address that has an account, if there is no team; one that has none, if `by` does not
    /// own the server.
    pub fn invite(
        &self,
        by: &User,
        email: &str,
        team: Option<(&Team, TeamRole)>,
    ) -> Result<NewInvitation> {
        let email: EmailAddress = email.parse()?;
        match (self.store().user_by_email(email.as_str())?, team) {
            (None, _) => self.require_owner(by).map_err(|_| {
                PlatformError::Forbidden(format!(
                    "{email} has no account here yet, and only the server's owner can invite newcomers."
                ))
            })?,
            (Some(_), None) => {
                return Err(PlatformError::Invalid(format!("{email} has an account already.")));
            }
            (Some(user), Some((team, _))) => {
                if self.store().given(user.id)?.teams.contains_key(&team.id) {
                    let message = format!("{email} is in the team {} already.", team.name);
                    return Err(PlatformError::Invalid(message));
                }
            }
        }
        let now = now_ms();
        let invitation = Invitation {
            id: InvitationId::random(),
            email: email.to_string(),
            invited_by: by.id,
            team: team.map(|(team, role)| (team.id, role)),
            created_at: now,
            expires_at: now + INVITATION_LIFETIME_MS,
        };
        let secret = random_secret();
        self.store().insert_invitation(&invitation, &secret)?;
        Ok(NewInvitation { invitation, secret })
    }

    /// Returns the open invitations to the server, or to a team.
    pub fn invitations(&self, team: Option<&Team>) -> Result<Vec<Invitation>> {
        Ok(self.store().invitations(team.map(|team| team.id), now_ms())?)
    }

    /// Returns the open invitation with this secret.
    pub fn invitation(&self, secret: &str) -> Result<Invitation> {
        let found = self.store().invitation(secret, now_ms())?;
        found.ok_or(PlatformError::NotFound { resource: "invitation" })
    }

    /// Takes an open invitation back.
    pub fn withdraw_invitation(&self, team: Option<&Team>, id: &str) -> Result<Invitation> {
        let open = self.invitations(team)?;
        let missing = PlatformError::NotFound { resource: "invitation" };
        let found = open.into_iter().find(|one| one.id.to_string() == id).ok_or(missing)?;
        self.store().delete_invitation(found.id)?;
        Ok(found)
    }

    /// Lets a newcomer in by the secret of their invitation.
    ///
    /// # Errors
    /// No such invitation, or no more; its address has an account, which is to accept it then.
    pub fn accept_as_newcomer(&self, secret: &str, name: Option<&str>) -> Result<Newcomer> {
        let invitation = self.invitation(secret)?;
        if self.store().user_by_email(&invitation.email)?.is_some() {
            return Err(PlatformError::Conflict(format!(
                "{} has an account here already: log in, and accept the invitation with it.",
                invitation.email
            )));
        }
        let name = name.map(person_name).transpose()?;
        let user = self.let_in(&invitation, name)?;
        let wanted = NewToken {
            description: "First token, of the invitation".to_owned(),
            scopes: Scopes::global(),
            expires_in: None,
        };
        let (token, secret) = self.issue_token(user.id, wanted)?;
        Ok(Newcomer { user, token, secret })
    }

    /// Accepts an invitation to a team with the account that it was sent to.
    pub fn accept_invitation(&self, user: &User, secret: &str) -> Result<Invitation> {
        let invitation = self.invitation(secret)?;
        if !invitation.email.eq_ignore_ascii_case(&user.email) {
            let message = format!("This invitation is for {}.", invitation.email);
            return Err(PlatformError::Forbidden(message));
        }
        self.let_in(&invitation, user.name.clone())?;
        Ok(invitation)
    }

    fn let_in(&self, invitation: &Invitation, name: Option<String>) -> Result<User> {
        let now = now_ms();
        let existing = self.store().user_by_email(&invitation.email)?;
        let newcomer = User {
            id: UserId::random(),
            // As it is written in the account, so that the two are one.
            email: existing.map_or_else(|| invitation.email.clone(), |user| user.email),
            name,
            last_login_at: None,
            created_at: now,
        };
        let user = self.store().accept_invitation(invitation, &newcomer, now)?;
        user.ok_or(PlatformError::NotFound { resource: "invitation" })
    }
}
