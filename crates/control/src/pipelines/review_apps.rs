//! Review apps: an app for a branch, made from it and destroyed with it.

use super::setups::SetupWork;
use crate::access::random_secret;
use crate::platform::now_ms;
use crate::receive::{SetupSource, SourceRequest};
use crate::records::{App, OwnerKind, Pipeline, ReleaseStatus, ReviewApp, ReviewAppStatus, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::access::TeamRole;
use windlass_core::ids::ReviewAppId;
use windlass_core::names::ConfigVarName;
use windlass_core::pipeline::{Stage, review_app_name};

const MISSING: PlatformError = PlatformError::NotFound { resource: "review_app" };

/// What a review app is to be made of.
#[derive(Clone, Debug, Default)]
pub struct ReviewAppRequest {
    pub branch: String,
    /// The number of a pull request, which its name tells then.
    pub request: Option<u64>,
    /// `None`: the branch of the pipeline's repository.
    pub source: Option<SourceRequest>,
    /// Config vars beside those of the pipeline's stage review.
    pub environment: BTreeMap<String, String>,
}

impl Platform {
    /// Makes a review app and starts to build and deploy it.
    ///
    /// # Errors
    /// `Invalid` if there is no such branch, `Conflict` if it has a review app.
    pub async fn create_review_app(
        &self,
        user: &User,
        pipeline: &Pipeline,
        request: ReviewAppRequest,
    ) -> Result<ReviewApp> {
        self.require_pipeline(user, pipeline)?;
        self.check_branch(&request.branch)?;
        for (name, value) in &request.environment {
            name.parse::<ConfigVarName>()?;
            crate::release::check_config_var(name, value)?;
        }
        let source = match &request.source {
            Some(source) => SetupSource::Archive(source.clone()),
            None => self.source_of_branch(pipeline, &request.branch).await?,
        };
        self.make_review_app(user, pipeline, request, source).await
    }

    /// The same from a source, without asking who may; the rest is done in the background.
    pub(super) async fn make_review_app(
        &self,
        user: &User,
        pipeline: &Pipeline,
        request: ReviewAppRequest,
        source: SetupSource,
    ) -> Result<ReviewApp> {
        let (review, work) = self.begin_review_app(user, pipeline, request, source).await?;
        let (platform, made) = (self.clone(), review.clone());
        tokio::spawn(async move { platform.finish_review_app(made, work).await });
        Ok(review)
    }

    async fn begin_review_app(
        &self,
        user: &User,
        pipeline: &Pipeline,
        request: ReviewAppRequest,
        source: SetupSource,
    ) -> Result<(ReviewApp, SetupWork)> {
        let branch = request.branch;
        if let Some(other) = self.review_app_of_branch(pipeline, &branch)? {
            let status = other.status.as_str();
            return Err(PlatformError::Conflict(format!(
                "There is a review app of {branch} already ({status}): push to the branch, or destroy it first."
            )));
        }
        let now = now_ms();
        let mut review = ReviewApp {
            id: ReviewAppId::random(),
            pipeline: pipeline.id,
            branch: branch.clone(),
            request: request.request,
            creator: user.id,
            app: None,
            setup: None,
            status: ReviewAppStatus::Pending,
            message: None,
            created_at: now,
            updated_at: now,
        };
        // From here on a second one of the branch is refused.
        self.store().save_review_app(&review)?;
        let made = self.make_app_of_branch(user, pipeline, &review).await;
        let app = match made {
            Ok(app) => app,
            Err(error) => {
                review.message = Some(error.to_string());
                self.keep_review_app(&mut review, ReviewAppStatus::Errored);
                return Err(error);
            }
        };
        let setup = self.new_setup(user, &app)?;
        (review.app, review.setup) = (Some(app.id), Some(setup.id));
        self.keep_review_app(&mut review, ReviewAppStatus::Creating);
        let mut config_vars = self.store().stage_config_vars(pipeline.id, Stage::Review)?;
        config_vars.extend(request.environment);
        // As on Heroku, so that a program can tell which of its review apps it is.
        config_vars.insert("HEROKU_APP_NAME".to_owned(), app.name.to_string());
        config_vars.insert("HEROKU_BRANCH".to_owned(), branch);
        if let Some(number) = review.request {
            config_vars.insert("HEROKU_PR_NUMBER".to_owned(), number.to_string());
        }
        let (user, buildpacks) = (self.builder(pipeline, user, &source)?, Vec::new());
        Ok((review, SetupWork { setup, user, app, source, config_vars, buildpacks }))
    }

    async fn make_app_of_branch(
        &self,
        user: &User,
        pipeline: &Pipeline,
        review: &ReviewApp,
    ) -> Result<App> {
        let config = self.store().review_app_config(pipeline.id)?;
        let base = config.and_then(|config| config.base_name);
        let base = base.unwrap_or_else(|| pipeline.name.to_string());
        let name = review_app_name(&base, &review.branch, review.request, &random_secret());
        let app = self.create_app_of_pipeline(user, pipeline, &name).await?;
        let coupled = self.couple_in(&app, pipeline, Stage::Review);
        let lent = coupled.and_then(|_| self.lend_pipeline_key(pipeline, &app));
        if let Err(error) = lent {
            self.destroy_app(user, &app, true).await?;
            return Err(error);
        }
        Ok(app)
    }

    /// Returns in whose name a review app is built: a private repository is opened by the tokens
    /// of the pipeline's owner.
    fn builder(&self, pipeline: &Pipeline, user: &User, source: &SetupSource) -> Result<User> {
        match (source, pipeline.owner.kind) {
            (SetupSource::Branch { .. }, OwnerKind::User) => self.person_behind(pipeline),
            _ => Ok(user.clone()),
        }
    }

    /// Makes an app that belongs to whom the pipeline belongs to.
    async fn create_app_of_pipeline(
        &self,
        user: &User,
        pipeline: &Pipeline,
        name: &str,
    ) -> Result<App> {
        let behind = self.person_behind(pipeline)?;
        if pipeline.owner.kind == OwnerKind::User {
            return self.create_app(&behind, Some(name)).await;
        }
        let id = pipeline.owner.id.to_string();
        let own = self.team(user, &id).ok().filter(|team| team.require(TeamRole::Member).is_ok());
        match own {
            Some(team) => self.create_team_app(user, &team, Some(name), false).await,
            // Whoever pushed to an app of the pipeline need not be in the team.
            None => {
                let team = self.team(&behind, &id)?;
                self.create_team_app(&behind, &team, Some(name), false).await
            }
        }
    }

    async fn finish_review_app(&self, mut review: ReviewApp, work: SetupWork) {
        let setup = self.run_setup(work).await;
        review.message = setup.failure;
        let status = match setup.status {
            ReleaseStatus::Succeeded => ReviewAppStatus::Created,
            _ => ReviewAppStatus::Errored,
        };
        // It may have been destroyed while it was being made.
        match self.store().review_app(review.id) {
            Ok(Some(now)) if now.status == ReviewAppStatus::Creating => {
                self.keep_review_app(&mut review, status);
            }
            _ => {}
        }
    }

    fn keep_review_app(&self, review: &mut ReviewApp, status: ReviewAppStatus) {
        review.status = status;
        review.updated_at = now_ms();
        let saved = self.store().save_review_app(review);
        // Its pipeline may have been destroyed meanwhile, and the record with it.
        let is_told = !matches!(self.store().pipeline(review.pipeline), Ok(None));
        if let Err(error) = saved
            && is_told
        {
            tracing::error!(review_app = %review.id, %error, "what became of a review app could not be kept");
        }
    }

    /// Builds and deploys a branch again that has moved.
    pub(super) fn deploy_review_app(
        &self,
        pipeline: &Pipeline,
        review: ReviewApp,
        app: App,
        source: SetupSource,
    ) {
        let (platform, pipeline) = (self.clone(), pipeline.clone());
        tokio::spawn(async move {
            let deployed = async {
                let creator = platform.user(review.creator)?;
                let user = platform.builder(&pipeline, &creator, &source)?;
                platform.begin_setup_build(&user, &app, source).await
            };
            match deployed.await {
                // What comes of it is told by the build.
                Ok((_, building)) => drop(building.await),
                Err(error) => {
                    let said = format!("Review app: {} was not deployed. {error}", review.branch);
                    platform.logs().append(app.id, "app[api]", &said);
                }
            }
        });
    }

    /// Starts to destroy a review app with its app and the app's volumes.
    pub fn destroy_review_app(&self, user: &User, review: &ReviewApp) -> Result<ReviewApp> {
        let pipeline = self.store().pipeline(review.pipeline)?.ok_or(super::MISSING)?;
        self.require_pipeline(user, &pipeline)?;
        self.begin_to_destroy(user, review.clone())
    }

    pub(super) fn begin_to_destroy(&self, user: &User, mut review: ReviewApp) -> Result<ReviewApp> {
        let app = review.app.map(|app| self.store().app(app)).transpose()?.flatten();
        let Some(app) = app else {
            self.keep_review_app(&mut review, ReviewAppStatus::Deleted);
            return Ok(review);
        };
        if review.status == ReviewAppStatus::Deleting {
            return Ok(review);
        }
        self.keep_review_app(&mut review, ReviewAppStatus::Deleting);
        let (platform, user, begun) = (self.clone(), user.clone(), review.clone());
        tokio::spawn(async move {
            let mut review = begun;
            if let Err(error) = platform.run_predestroy(&app).await {
                tracing::warn!(app = %app.name, %error, "a review app's pr-predestroy failed");
            }
            match platform.destroy_app(&user, &app, true).await {
                Ok(()) => {
                    (review.app, review.setup) = (None, None);
                    platform.keep_review_app(&mut review, ReviewAppStatus::Deleted);
                }
                Err(error) => {
                    review.message = Some(error.to_string());
                    platform.keep_review_app(&mut review, ReviewAppStatus::Errored);
                }
            }
        });
        Ok(review)
    }

    /// Returns the review app of a branch, if it has one.
    pub(super) fn review_app_of_branch(
        &self,
        pipeline: &Pipeline,
        branch: &str,
    ) -> Result<Option<ReviewApp>> {
        let reviews = self.review_apps(pipeline)?;
        Ok(reviews.into_iter().find(|review| review.branch == branch))
    }

    /// Returns a pipeline's review apps, oldest first. Those whose app was destroyed by other means,
    /// or could not be made, are not among them.
    pub fn review_apps(&self, pipeline: &Pipeline) -> Result<Vec<ReviewApp>> {
        let mut reviews = self.store().review_apps(pipeline.id)?;
        reviews.retain(|review| review.app.is_some() || review.status == ReviewAppStatus::Pending);
        Ok(reviews)
    }

    /// Returns a review app of a pipeline that this user may see.
    pub fn review_app(&self, user: &User, id: &str) -> Result<ReviewApp> {
        let id: ReviewAppId = id.parse().map_err(|_| MISSING)?;
        let review = self.store().review_app(id)?.ok_or(MISSING)?;
        match self.pipeline(user, &review.pipeline.to_string()) {
            Ok(_) => Ok(review),
            Err(PlatformError::NotFound { .. }) => Err(MISSING),
            Err(other) => Err(other),
        }
    }

    /// Returns the review app that an app is.
    pub fn review_app_of(&self, app: &App) -> Result<ReviewApp> {
        self.store().review_app_of(app.id)?.ok_or(MISSING)
    }
}
