//! What people choose about an app's deploys: strategy and limits, the lock, stopping it as a whole.

use crate::platform::now_ms;
use crate::records::{App, Deploys, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::deploy_settings::{DeployLock, DeploySettings, DeploySettingsError};

/// The longest reason for a lock, in bytes.
const REASON_BYTES: usize = 200;

impl From<DeploySettingsError> for PlatformError {
    fn from(error: DeploySettingsError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Platform {
    /// Returns the app's record of now.
    pub fn deploys(&self, app: &App) -> Result<Deploys> {
        let app = self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })?;
        Ok(app.deploys)
    }

    /// Changes the settings; they hold from the next deploy or restart on.
    ///
    /// # Errors
    /// `Invalid` for a number that is out of range.
    pub async fn set_deploy_settings(
        &self,
        user: &User,
        app: &App,
        settings: DeploySettings,
    ) -> Result<Deploys> {
        settings.check()?;
        self.change_deploys(app, |deploys| deploys.settings = settings).await?;
        self.log_change(app, user, "Update deploy settings");
        self.deploys(app)
    }

    /// Keeps new code from the app until [`Platform::unlock_deploys`].
    pub async fn lock_deploys(
        &self,
        user: &User,
        app: &App,
        reason: Option<String>,
    ) -> Result<DeployLock> {
        let reason = reason.filter(|reason| !reason.is_empty());
        let strange = |r: &String| r.len() > REASON_BYTES || r.chars().any(char::is_control);
        if reason.as_ref().is_some_and(strange) {
            return Err(PlatformError::Invalid(format!(
                "The reason of a lock is one line of at most {REASON_BYTES} bytes."
            )));
        }
        if let Some(lock) = self.deploys(app)?.lock {
            return Err(PlatformError::Conflict(locked(app, &lock)));
        }
        let lock = DeployLock { by: user.email.clone(), reason, at_ms: now_ms() };
        self.change_deploys(app, |deploys| deploys.lock = Some(lock.clone())).await?;
        self.log_change(app, user, "Lock deploys");
        Ok(lock)
    }

    pub async fn unlock_deploys(&self, user: &User, app: &App) -> Result<()> {
        self.change_deploys(app, |deploys| deploys.lock = None).await?;
        self.log_change(app, user, "Unlock deploys");
        Ok(())
    }

    /// Stops all processes of the app and keeps them stopped, also across deploys and restarts of
    /// the server, until [`Platform::start_app`]. Quantities are kept.
    pub async fn stop_app(&self, user: &User, app: &App) -> Result<()> {
        self.log_change(app, user, "Stop all processes");
        self.change_deploys(app, |deploys| deploys.stopped = true).await
    }

    pub async fn start_app(&self, user: &User, app: &App) -> Result<()> {
        self.log_change(app, user, "Start all processes");
        self.change_deploys(app, |deploys| deploys.stopped = false).await
    }

    pub(super) async fn change_deploys(
        &self,
        app: &App,
        change: impl FnOnce(&mut Deploys),
    ) -> Result<()> {
        self.store()
            .update_deploys(app.id, now_ms(), change)?
            .ok_or(PlatformError::NotFound { resource: "app" })?;
        self.refresh(app).await
    }

    pub(super) fn log_change(&self, app: &App, user: &User, what: &str) {
        self.logs().append(app.id, "app[api]", &format!("{what} by user {}", user.email));
    }

    /// Refuses new code while the app is locked or has a canary.
    pub(crate) fn refuse_if_locked(&self, app: &App) -> Result<()> {
        let deploys = self.deploys(app)?;
        if let Some(lock) = &deploys.lock {
            return Err(PlatformError::Conflict(locked(app, lock)));
        }
        refuse_if_canary(app, &deploys)
    }

    /// Refuses any new release while the app has a canary: it would be unclear what it replaces.
    pub(crate) fn refuse_beside_canary(&self, app: &App) -> Result<()> {
        refuse_if_canary(app, &self.deploys(app)?)
    }
}

fn refuse_if_canary(app: &App, deploys: &Deploys) -> Result<()> {
    let Some(canary) = &deploys.canary else { return Ok(()) };
    Err(PlatformError::Conflict(format!(
        "The canary v{} of {} is under way: end it first with windlass deploys:promote or deploys:abort.",
        canary.release, app.name
    )))
}

fn locked(app: &App, lock: &DeployLock) -> String {
    let reason = lock.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "Deploys of {} are locked by {}{reason}. Unlock them with windlass deploys:unlock.",
        app.name, lock.by
    )
}
