//! Whether a pipeline makes review apps by itself, and what a branch that moves means.

use crate::platform::now_ms;
use crate::receive::SetupSource;
use crate::records::{App, Pipeline, ReviewAppConfig, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::names::AppName;
use windlass_core::pipeline::{BranchAction, is_stale, on_branch};

use super::repository::Origin;
use super::review_apps::ReviewAppRequest;

const MISSING: PlatformError = PlatformError::NotFound { resource: "review_app_config" };
/// How many days a review app is left alone before it is stale, unless told otherwise (Heroku: 5).
const STALE_DAYS: u32 = 5;
const MOST_STALE_DAYS: u32 = 365;

/// What is to change; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ReviewAppConfigUpdate {
    pub automatic: Option<bool>,
    pub destroy_stale: Option<bool>,
    pub stale_days: Option<u32>,
    pub base_name: Option<String>,
}

impl Platform {
    /// Returns how a pipeline makes review apps.
    pub fn review_app_config(&self, pipeline: &Pipeline) -> Result<ReviewAppConfig> {
        self.store().review_app_config(pipeline.id)?.ok_or(MISSING)
    }

    /// Switches review apps on for a pipeline.
    ///
    /// # Errors
    /// `Conflict` if they are on.
    pub fn enable_review_apps(
        &self,
        user: &User,
        pipeline: &Pipeline,
        update: &ReviewAppConfigUpdate,
    ) -> Result<ReviewAppConfig> {
        self.require_pipeline(user, pipeline)?;
        if self.store().review_app_config(pipeline.id)?.is_some() {
            return Err(PlatformError::Conflict(format!(
                "Review apps of {} are configured already: change that with PATCH.",
                pipeline.name
            )));
        }
        let config = ReviewAppConfig {
            pipeline: pipeline.id,
            automatic: false,
            destroy_stale: false,
            stale_days: STALE_DAYS,
            base_name: None,
        };
        self.keep_review_config(config, update)
    }

    pub fn update_review_app_config(
        &self,
        user: &User,
        pipeline: &Pipeline,
        update: &ReviewAppConfigUpdate,
    ) -> Result<ReviewAppConfig> {
        self.require_pipeline(user, pipeline)?;
        self.keep_review_config(self.review_app_config(pipeline)?, update)
    }

    fn keep_review_config(
        &self,
        mut config: ReviewAppConfig,
        update: &ReviewAppConfigUpdate,
    ) -> Result<ReviewAppConfig> {
        config.automatic = update.automatic.unwrap_or(config.automatic);
        config.destroy_stale = update.destroy_stale.unwrap_or(config.destroy_stale);
        config.stale_days = update.stale_days.unwrap_or(config.stale_days);
        if !(1..=MOST_STALE_DAYS).contains(&config.stale_days) {
            return Err(PlatformError::Invalid(format!(
                "stale_days must be between 1 and {MOST_STALE_DAYS}."
            )));
        }
        if let Some(name) = &update.base_name {
            let _: AppName = name.parse()?;
            config.base_name = Some(name.clone());
        }
        self.store().set_review_app_config(&config)?;
        Ok(config)
    }

    /// Makes no more review apps by itself; those that are there stay.
    pub fn disable_review_apps(&self, user: &User, pipeline: &Pipeline) -> Result<ReviewAppConfig> {
        self.require_pipeline(user, pipeline)?;
        let config = self.review_app_config(pipeline)?;
        self.store().delete_review_app_config(pipeline.id)?;
        Ok(config)
    }

    /// Acts on a branch that was pushed to an app, or deleted there (`None`), if review apps come
    /// from that app's repository. Returns what is said to whoever pushed.
    pub(crate) fn branch_pushed(
        &self,
        user: &User,
        app: &App,
        branch: &str,
        commit: Option<&str>,
    ) -> Option<String> {
        let acted = || -> Result<Option<String>> {
            let Some(coupling) = self.store().coupling_of_app(app.id)? else { return Ok(None) };
            let Some(pipeline) = self.store().pipeline(coupling.pipeline)? else {
                return Ok(None);
            };
            match self.origin_of(&pipeline)? {
                Some(Origin::App(origin)) if origin.id == app.id => {}
                _ => return Ok(None),
            }
            let from = app.id;
            let source =
                commit.map(|commit| SetupSource::Commit { from, commit: commit.to_owned() });
            self.act_on_branch(user, &pipeline, branch, source)
        };
        acted().unwrap_or_else(|error| {
            tracing::warn!(app = %app.name, branch, error = &error as &dyn std::error::Error, "a branch's review app was not seen to");
            Some(format!("Nothing was done about a review app of {branch}: {error}"))
        })
    }

    /// Makes, deploys or destroys the review app of a branch; without a source the branch is gone.
    pub(super) fn act_on_branch(
        &self,
        user: &User,
        pipeline: &Pipeline,
        branch: &str,
        source: Option<SetupSource>,
    ) -> Result<Option<String>> {
        let review = self.review_app_of_branch(pipeline, branch)?;
        let app = review.as_ref().and_then(|review| review.app);
        let app = app.map(|id| self.store().app(id)).transpose()?.flatten();
        let config = self.store().review_app_config(pipeline.id)?;
        let automatic = config.is_some_and(|config| config.automatic);
        let name = &pipeline.name;
        match (on_branch(source.is_some(), review.is_some(), automatic), review, source) {
            (BranchAction::Create, _, Some(source)) => {
                self.make_in_background(user, pipeline, branch, source);
                Ok(Some(format!(
                    "Making a review app of {branch}: see windlass reviewapps --pipeline {name}"
                )))
            }
            (BranchAction::Deploy, Some(review), Some(source)) => {
                let Some(app) = app else { return Ok(None) };
                let said = format!("Deploying {branch} to its review app {}", app.name);
                self.deploy_review_app(pipeline, review, app, source);
                Ok(Some(said))
            }
            (BranchAction::Destroy, Some(review), _) => {
                self.begin_to_destroy(user, review)?;
                Ok(Some(format!("Destroying the review app of {branch}")))
            }
            _ => Ok(None),
        }
    }

    fn make_in_background(
        &self,
        user: &User,
        pipeline: &Pipeline,
        branch: &str,
        source: SetupSource,
    ) {
        let (platform, user, pipeline) = (self.clone(), user.clone(), pipeline.clone());
        let request = ReviewAppRequest { branch: branch.to_owned(), ..ReviewAppRequest::default() };
        tokio::spawn(async move {
            let branch = request.branch.clone();
            if let Err(error) = platform.make_review_app(&user, &pipeline, request, source).await {
                tracing::warn!(pipeline = %pipeline.name, branch, error = &error as &dyn std::error::Error, "a review app could not be made");
            }
        });
    }

    /// Starts to destroy review apps that nobody has deployed to for long.
    pub(crate) fn destroy_stale_review_apps(&self) {
        if let Err(error) = self.try_to_destroy_stale() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "stale review apps were not looked for"
            );
        }
    }

    fn try_to_destroy_stale(&self) -> Result<()> {
        let now = now_ms();
        for pipeline in self.store().pipelines()? {
            let config = self.store().review_app_config(pipeline.id)?;
            let Some(config) = config.filter(|config| config.destroy_stale) else { continue };
            let user = self.person_behind(&pipeline)?;
            for review in self.review_apps(&pipeline)? {
                let app = review.app.map(|app| self.store().app(app)).transpose()?.flatten();
                let deployed = app.and_then(|app| app.released_at).unwrap_or(review.created_at);
                if is_stale(deployed, now, config.stale_days) {
                    tracing::info!(pipeline = %pipeline.name, branch = review.branch, "destroying a stale review app");
                    self.begin_to_destroy(&user, review)?;
                }
            }
        }
        Ok(())
    }
}
