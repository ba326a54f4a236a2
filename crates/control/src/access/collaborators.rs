//! Collaborators: permissions on one app; and apps that change hands.

use crate::platform::now_ms;
use crate::records::{App, AppTransfer, Collaborator, TransferState, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::access::{Permission, Permissions, TeamRole};
use windlass_core::ids::AppTransferId;

impl Platform {
    /// Returns an app's collaborators by address; its owner is not among them.
    pub fn collaborators(&self, app: &App) -> Result<Vec<Collaborator>> {
        Ok(self.store().collaborators(app.id)?)
    }

    /// Returns a collaborator by id, address or user's id; `~` is whoever asks.
    pub fn collaborator(&self, by: &User, app: &App, identity: &str) -> Result<Collaborator> {
        let identity = if identity == "~" { by.email.as_str() } else { identity };
        let is_it = |one: &Collaborator| {
            one.user.email.eq_ignore_ascii_case(identity)
                || one.id.to_string() == identity
                || one.user.id.to_string() == identity
        };
        let missing = PlatformError::NotFound { resource: "collaborator" };
        self.collaborators(app)?.into_iter().find(is_it).ok_or(missing)
    }

    /// Adds somebody to an app. Whoever does not manage it can add themselves to one of their
    /// team's that is not locked, with what a collaborator has if nobody says otherwise.
    ///
    /// # Errors
    /// They are a collaborator already, own the app, or have no account here.
    pub fn add_collaborator(
        &self,
        by: &User,
        app: &App,
        identity: &str,
        permissions: Option<Permissions>,
    ) -> Result<Collaborator> {
        let user = match self.standing(by, app)?.may_join() {
            true if self.user_named(by, identity).is_ok_and(|user| user.id == by.id) => by.clone(),
            _ => {
                self.require(by, app, Permission::Manage)?;
                self.user_to_add(by, identity)?
            }
        };
        if app.team.is_none() && app.owner == user.id {
            let message = format!("{} owns {} already.", user.email, app.name);
            return Err(PlatformError::Invalid(message));
        }
        if self.store().given(user.id)?.apps.contains_key(&app.id) {
            let message = format!("{} is a collaborator of {} already.", user.email, app.name);
            return Err(PlatformError::Invalid(message));
        }
        let manages = self.permissions(by, app)?.contains(Permission::Manage);
        let usual = Permissions::of_collaborator();
        let permissions = permissions.filter(|_| manages).unwrap_or(usual);
        self.put_collaborator(app, &user, permissions)
    }

    /// Gives a collaborator other permissions instead of theirs.
    pub fn update_collaborator(
        &self,
        by: &User,
        app: &App,
        identity: &str,
        permissions: Permissions,
    ) -> Result<Collaborator> {
        self.require(by, app, Permission::Manage)?;
        let collaborator = self.collaborator(by, app, identity)?;
        self.put_collaborator(app, &collaborator.user, permissions)
    }

    fn put_collaborator(
        &self,
        app: &App,
        user: &User,
        permissions: Permissions,
    ) -> Result<Collaborator> {
        if permissions.is_empty() {
            let message = "A collaborator needs at least the permission `view`.";
            return Err(PlatformError::Invalid(message.to_owned()));
        }
        let put = self.store().put_collaborator(app.id, user.id, permissions, now_ms())?;
        put.ok_or(PlatformError::NotFound { resource: "collaborator" })
    }

    /// Takes from somebody what they were given on an app; everybody may leave.
    pub fn remove_collaborator(
        &self,
        by: &User,
        app: &App,
        identity: &str,
    ) -> Result<Collaborator> {
        let collaborator = self.collaborator(by, app, identity)?;
        if collaborator.user.id != by.id {
            self.require(by, app, Permission::Manage)?;
        }
        self.store().delete_collaborator(app.id, collaborator.user.id)?;
        Ok(collaborator)
    }

    /// Offers an app to somebody, who must accept it.
    ///
    /// # Errors
    /// The app is a team's, or `by` neither owns it nor the server.
    pub fn offer_app(&self, by: &User, app: &App, recipient: &str) -> Result<AppTransfer> {
        if app.team.is_some() {
            let message = format!("{} is a team's app: change its owner instead.", app.name);
            return Err(PlatformError::Invalid(message));
        }
        if app.owner != by.id && !self.is_owner(by)? {
            let message = format!("Only its owner can transfer {}.", app.name);
            return Err(PlatformError::Forbidden(message));
        }
        let recipient = self.user_to_add(by, recipient)?;
        if recipient.id == app.owner {
            let message = format!("{} owns {} already.", recipient.email, app.name);
            return Err(PlatformError::Invalid(message));
        }
        let now = now_ms();
        let transfer = AppTransfer {
            id: AppTransferId::random(),
            app: app.id,
            owner: app.owner,
            recipient: recipient.id,
            state: TransferState::Pending,
            created_at: now,
            updated_at: now,
        };
        self.store().insert_app_transfer(&transfer)?;
        Ok(transfer)
    }

    /// Returns what somebody offered and was offered.
    pub fn app_transfers(&self, user: &User) -> Result<Vec<AppTransfer>> {
        Ok(self.store().app_transfers(user.id)?)
    }

    /// Returns a transfer by id, or by the name of its app, that somebody has to do with.
    pub fn app_transfer(&self, user: &User, identity: &str) -> Result<AppTransfer> {
        let app = self.store().app_by_name(identity)?.map(|app| app.id);
        let is_it = |one: &AppTransfer| {
            one.id.to_string() == identity
                || (Some(one.app) == app && one.state == TransferState::Pending)
        };
        let missing = PlatformError::NotFound { resource: "app_transfer" };
        self.app_transfers(user)?.into_iter().find(is_it).ok_or(missing)
    }

    /// Returns the app of a transfer: its recipient sees that much of it before they accept.
    pub fn app_of_transfer(&self, transfer: &AppTransfer) -> Result<App> {
        self.store().app(transfer.app)?.ok_or(PlatformError::NotFound { resource: "app" })
    }

    /// Accepts or declines an offer, as its recipient.
    pub fn answer_app_transfer(
        &self,
        user: &User,
        identity: &str,
        state: TransferState,
    ) -> Result<AppTransfer> {
        let transfer = self.app_transfer(user, identity)?;
        if transfer.recipient != user.id {
            let message = "Only who an app is offered to can accept or decline it.";
            return Err(PlatformError::Forbidden(message.to_owned()));
        }
        if state == TransferState::Pending {
            return Ok(transfer);
        }
        if !self.store().close_app_transfer(&transfer, state, now_ms())? {
            let message = format!("This transfer is {} already.", transfer.state);
            return Err(PlatformError::Conflict(message));
        }
        self.app_transfer(user, &transfer.id.to_string())
    }

    /// Takes an offer back, as whoever made it.
    pub fn withdraw_app_transfer(&self, user: &User, identity: &str) -> Result<AppTransfer> {
        let transfer = self.app_transfer(user, identity)?;
        if transfer.owner != user.id {
            let message = "Only who offers an app can take the offer back; decline it instead.";
            return Err(PlatformError::Forbidden(message.to_owned()));
        }
        self.store().delete_app_transfer(transfer.id)?;
        Ok(transfer)
    }

    /// Makes an app a team's, or a team's app somebody's. `recipient` is a team's name or id, or
    /// somebody's address or id.
    pub fn hand_over_app(&self, by: &User, app: &App, recipient: &str) -> Result<App> {
        self.require(by, app, Permission::Manage)?;
        if app.team.is_none() && app.owner != by.id && !self.is_owner(by)? {
            let message = format!("Only its owner can transfer {}.", app.name);
            return Err(PlatformError::Forbidden(message));
        }
        let now = now_ms();
        match self.team(by, recipient) {
            Ok(team) => {
                team.require(TeamRole::Member)?;
                self.store().hand_over_app(app.id, app.owner, Some(team.team.id), now)?;
                self.store().put_collaborator(app.id, by.id, Permissions::all(), now)?;
            }
            Err(_) => {
                let user = self.user_to_add(by, recipient)?;
                if app.team.is_none() && user.id != by.id {
                    let message = "An app that is yours is transferred by an offer: `windlass apps:transfer`.";
                    return Err(PlatformError::Invalid(message.to_owned()));
                }
                self.store().hand_over_app(app.id, user.id, None, now)?;
            }
        }
        self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })
    }

    /// Shows a team's app to all of the team, or only to those who were added to it.
    pub fn lock_app(&self, by: &User, app: &App, locked: bool) -> Result<App> {
        self.require(by, app, Permission::Manage)?;
        if app.team.is_none() {
            let message = format!("{} is no team's app: only those are locked.", app.name);
            return Err(PlatformError::Invalid(message));
        }
        self.store().set_app_locked(app.id, locked, now_ms())?;
        self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })
    }
}
