//! Making releases current, looking at them, and going back.

use super::phase::DeployOptions;
use crate::platform::now_ms;
use crate::records::{App, NewRelease, Release, ReleaseStatus, User};
use crate::run::{Deploy, Deployed, Message};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use tokio::sync::{OwnedMutexGuard, oneshot};
use windlass_core::ids::{AppId, ReleaseId};
use windlass_core::names::ProcessType;
use windlass_core::release::formation_for;

/// A release that somebody wants.
pub(crate) struct ReleaseRequest {
    pub new: NewRelease,
    /// See `run::Deploy::even_if_broken`.
    pub even_if_broken: bool,
}

impl Platform {
    /// Waits until no other release of the app is being made. Whoever makes one of what is current
    /// holds this from reading that to the end, or a change made meanwhile would be lost.
    pub(crate) async fn release_turn(&self, app: &App) -> OwnedMutexGuard<()> {
        self.app_tasks().release_turn(app.id).lock_owned().await
    }

    /// Stores a release and returns once it is current or has failed. Dropping the future before
    /// that abandons the release.
    pub(crate) async fn release_and_deploy(
        &self,
        user: &User,
        app: &App,
        request: ReleaseRequest,
    ) -> Result<Deployed> {
        self.release_and_deploy_with(user, app, request, DeployOptions::default()).await
    }

    /// The same with what a deploy of new code adds to it.
    pub(crate) async fn release_and_deploy_with(
        &self,
        user: &User,
        app: &App,
        mut request: ReleaseRequest,
        mut options: DeployOptions<'_>,
    ) -> Result<Deployed> {
        self.refuse_beside_canary(app)?;
        let expected = self.formation_before(app, &options)?;
        let expected = formation_for(request.new.processes.keys(), &expected);
        if request.new.image.is_some() {
            self.admit_release(app, &expected).await?;
        }
        request.new.manifest.metadata = self.deploys(app)?.metadata;
        let release = self.store().insert_release(&request.new, now_ms())?;
        if let Some(created) = options.created.take() {
            created(&release);
        }
        self.logs().append(
            app.id,
            "app[api]",
            &format!("{} by user {}", release.description, user.email),
        );
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Release v{} created by user {}", release.version, user.email),
        );
        let mut pending = PendingRelease { platform: self, release: Some(&release) };
        let phase = self.run_release_phase(app, &release, &mut options).await;
        pending.release = None;
        drop(pending);
        if let Err(error) = phase {
            self.fail_release(&release, &error.to_string());
            return Err(error);
        }
        let before = self.formation_before(app, &options)?;
        let formation = formation_for(release.processes.keys(), &before);
        let (reply, outcome) = oneshot::channel();
        let deploy = Deploy {
            release,
            formation,
            even_if_broken: request.even_if_broken,
            may_be_canary: options.may_be_canary,
            reply,
        };
        if !self.app_tasks().send(app.id, Message::Deploy(Box::new(deploy))) {
            return Err(PlatformError::NotFound { resource: "app" });
        }
        let mut abandoned = WakeOnDrop { platform: self, app: app.id, armed: true };
        let outcome = outcome.await;
        abandoned.armed = false;
        outcome.map_err(|_| PlatformError::NotFound { resource: "app" })?
    }

    /// Returns the quantities of now, and for other process types those that a deploy brings along.
    fn formation_before(
        &self,
        app: &App,
        options: &DeployOptions<'_>,
    ) -> Result<BTreeMap<ProcessType, u32>> {
        let now = self.store().formation(app.id)?;
        let mut before: BTreeMap<ProcessType, u32> =
            now.into_iter().map(|entry| (entry.process, entry.quantity)).collect();
        for (process, quantity) in &options.formation {
            before.entry(process.clone()).or_insert(*quantity);
        }
        Ok(before)
    }

    /// Returns the release that is served.
    pub(crate) fn current_release(&self, app: &App) -> Result<Release> {
        let missing = || PlatformError::NotFound { resource: "release" };
        let app = self.store().app(app.id)?.ok_or_else(missing)?;
        self.store().release(app.id, app.current_release)?.ok_or_else(missing)
    }

    /// Returns releases, newest first.
    pub fn releases(&self, app: &App, limit: u32) -> Result<Vec<Release>> {
        Ok(self.store().releases(app.id, limit)?)
    }

    /// Returns a release by version (`7`, `v7`), id, or `current`.
    pub fn release(&self, app: &App, version_or_id: &str) -> Result<Release> {
        if version_or_id == "current" {
            return self.current_release(app);
        }
        let digits = version_or_id.strip_prefix('v').unwrap_or(version_or_id);
        let found = match (digits.parse::<u32>(), version_or_id.parse::<ReleaseId>()) {
            (Ok(version), _) => self.store().release(app.id, version)?,
            (_, Ok(id)) => self.store().release_by_id(app.id, id)?,
            _ => None,
        };
        found.ok_or(PlatformError::NotFound { resource: "release" })
    }

    /// Whether one can go back to this release: it worked and its image is still there. True of the
    /// current one too, as on Heroku: clients take the second of the list.
    #[must_use]
    pub fn is_rollback_target(&self, release: &Release) -> bool {
        let stored = release.image.is_some() && self.has_images_of(release);
        release.status == ReleaseStatus::Succeeded && stored
    }

    /// Whether all that a release runs is still kept.
    fn has_images_of(&self, release: &Release) -> bool {
        release.images().all(|image| self.images().resolve(image).is_ok())
    }

    /// Makes a new release of an old one's image and config vars.
    pub async fn rollback(&self, user: &User, app: &App, version_or_id: &str) -> Result<Release> {
        self.refuse_if_locked(app)?;
        let _turn = self.release_turn(app).await;
        let target = self.release(app, version_or_id)?;
        let version = target.version;
        if target.status != ReleaseStatus::Succeeded {
            return Err(PlatformError::Invalid(format!(
                "v{version} did not succeed, so it cannot be gone back to."
            )));
        }
        let Some(image) = target.image.clone() else {
            return Err(PlatformError::Invalid(format!(
                "v{version} has no image: nothing had been deployed then."
            )));
        };
        if !self.has_images_of(&target) {
            return Err(PlatformError::Invalid(format!(
                "The image of v{version} is no longer kept: push that commit again."
            )));
        }
        let new = NewRelease {
            app: app.id,
            description: format!("Rollback to v{version}"),
            user: user.id,
            build: target.build,
            image: Some(image),
            config_vars: target.config_vars,
            processes: target.processes,
            manifest: target.manifest,
            commit: target.commit,
        };
        Ok(self
            .release_and_deploy(user, app, ReleaseRequest { new, even_if_broken: false })
            .await?
            .release)
    }
}

/// Marks a release as failed when its release phase is dropped before its end.
struct PendingRelease<'a> {
    platform: &'a Platform,
    release: Option<&'a Release>,
}

impl Drop for PendingRelease<'_> {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            self.platform.fail_release(release, "it was canceled during its release phase");
        }
    }
}

/// Makes the app's task notice that nobody waits for a deploy any more.
struct WakeOnDrop<'a> {
    platform: &'a Platform,
    app: AppId,
    armed: bool,
}

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.platform.app_tasks().send(self.app, Message::Wake);
        }
    }
}
