//! Promotions: the very image of one app becomes a release of others, with their own config vars.
//! Nothing is built.

use crate::platform::now_ms;
use crate::records::{
    App, NewRelease, Pipeline, Promotion, PromotionTarget, Release, ReleaseStatus, User,
};
use crate::release::{DeployOptions, ReleaseRequest};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeSet;
use windlass_core::access::Permission;
use windlass_core::ids::{PromotionId, PromotionTargetId};
use windlass_core::pipeline::{Stage, targets_of};

const MISSING: PlatformError = PlatformError::NotFound { resource: "pipeline_promotion" };

/// What is to be promoted where.
#[derive(Clone, Debug)]
pub struct PromotionRequest {
    pub pipeline: Pipeline,
    pub source: App,
    /// `None`: the current one.
    pub release: Option<String>,
    /// If there are none, those of the next stage.
    pub targets: Vec<App>,
}

impl Platform {
    /// Starts to promote; what becomes of each target is told by its record. Needs the permission
    /// to deploy on the source, whose code becomes readable in the targets, and on each target.
    ///
    /// # Errors
    /// `Invalid` if the source has nothing to promote, or an app is not in the pipeline.
    pub fn promote_apps(
        &self,
        user: &User,
        request: PromotionRequest,
    ) -> Result<(Promotion, Vec<PromotionTarget>)> {
        let PromotionRequest { pipeline, source, release, targets } = request;
        self.require(user, &source, Permission::Deploy)?;
        let stage = self.stage_in(&pipeline, &source)?;
        let targets = match targets.is_empty() {
            true => self.downstream_of(user, &pipeline, stage)?,
            false => targets,
        };
        let mut named = BTreeSet::from([source.id]);
        for target in &targets {
            self.stage_in(&pipeline, target)?;
            self.require(user, target, Permission::Deploy)?;
            if !named.insert(target.id) {
                return Err(PlatformError::Invalid(format!(
                    "{} cannot be promoted to itself or twice.",
                    target.name
                )));
            }
        }
        let release = self.promoted_release(&source, release.as_deref())?;
        let now = now_ms();
        let promotion = Promotion {
            id: PromotionId::random(),
            pipeline: pipeline.id,
            source_app: source.id,
            source_release: release.id,
            created_at: now,
            updated_at: now,
        };
        let record = |app: &App| PromotionTarget {
            id: PromotionTargetId::random(),
            promotion: promotion.id,
            app: app.id,
            release: None,
            status: ReleaseStatus::Pending,
            error: None,
        };
        let records: Vec<PromotionTarget> = targets.iter().map(record).collect();
        self.store().insert_promotion(&promotion, &records)?;
        for (app, record) in targets.into_iter().zip(records.clone()) {
            let (platform, user) = (self.clone(), user.clone());
            let (source, release) = (source.clone(), release.clone());
            tokio::spawn(async move {
                platform.promote_to(&user, &source, &release, &app, record).await;
            });
        }
        Ok((promotion, records))
    }

    fn stage_in(&self, pipeline: &Pipeline, app: &App) -> Result<Stage> {
        match self.store().coupling_of_app(app.id)? {
            Some(coupling) if coupling.pipeline == pipeline.id => Ok(coupling.stage),
            _ => Err(PlatformError::Invalid(format!(
                "{} is not in the pipeline {}: add it with `windlass pipelines:add`.",
                app.name, pipeline.name
            ))),
        }
    }

    /// Returns the apps that one of this stage is promoted to if nobody names any.
    pub(super) fn downstream_of(
        &self,
        user: &User,
        pipeline: &Pipeline,
        stage: Stage,
    ) -> Result<Vec<App>> {
        let couplings = self.couplings_of(user, pipeline)?.into_iter();
        let places: Vec<_> = couplings.map(|coupling| (coupling.app, coupling.stage)).collect();
        let targets = targets_of(stage, &places)
            .map_err(|error| PlatformError::Invalid(error.to_string()))?;
        targets.into_iter().map(|id| self.app(user, &id.to_string())).collect()
    }

    /// Returns a release whose image can be promoted.
    fn promoted_release(&self, source: &App, wanted: Option<&str>) -> Result<Release> {
        let release = self.release(source, wanted.unwrap_or("current"))?;
        let name = &source.name;
        if release.status != ReleaseStatus::Succeeded || release.images().next().is_none() {
            return Err(PlatformError::Invalid(format!(
                "{name} has no release to promote: v{} has nothing deployed, or did not succeed.",
                release.version
            )));
        }
        if !self.is_rollback_target(&release) {
            return Err(PlatformError::Invalid(format!(
                "The image of {name} v{} is no longer kept: deploy it again.",
                release.version
            )));
        }
        Ok(release)
    }

    async fn promote_to(
        &self,
        user: &User,
        source: &App,
        release: &Release,
        app: &App,
        mut record: PromotionTarget,
    ) {
        let done = self.release_promoted(user, source, release, app, &mut record).await;
        record.status = match &done {
            Ok(_) => ReleaseStatus::Succeeded,
            Err(_) => ReleaseStatus::Failed,
        };
        match done {
            Ok(release) => record.release = Some(release.id),
            Err(error) => {
                record.error = Some(error.to_string());
                if matches!(error, PlatformError::Internal(..)) {
                    tracing::error!(app = %app.name, error = &error as &dyn std::error::Error, "a promotion failed");
                }
            }
        }
        self.keep_target(&record);
    }

    fn keep_target(&self, record: &PromotionTarget) {
        if let Err(error) = self.store().update_promotion_target(record, now_ms()) {
            tracing::error!(promotion = %record.promotion, %error, "what became of a promotion could not be kept");
        }
    }

    async fn release_promoted(
        &self,
        user: &User,
        source: &App,
        promoted: &Release,
        app: &App,
        record: &mut PromotionTarget,
    ) -> Result<Release> {
        self.refuse_if_locked(app)?;
        let _turn = self.release_turn(app).await;
        // Between the request and this turn people may have taken the app out of their reach.
        self.require(user, app, Permission::Deploy)?;
        let commit = promoted.commit.as_deref().map(|commit| commit.get(..8).unwrap_or(commit));
        let commit = commit.map(|commit| format!(" {commit}")).unwrap_or_default();
        let new = NewRelease {
            app: app.id,
            description: format!("Promote {} v{}{commit}", source.name, promoted.version),
            user: user.id,
            // The build is the source's: there is none of this app.
            build: None,
            image: promoted.image.clone(),
            config_vars: self.config_vars(app)?,
            processes: promoted.processes.clone(),
            manifest: promoted.manifest.clone(),
            commit: promoted.commit.clone(),
        };
        let created = |release: &Release| {
            record.release = Some(release.id);
            self.keep_target(record);
        };
        let options = DeployOptions {
            may_be_canary: true,
            created: Some(Box::new(created)),
            ..DeployOptions::default()
        };
        let request = ReleaseRequest { new, even_if_broken: false };
        Ok(self.release_and_deploy_with(user, app, request, options).await?.release)
    }

    /// Returns a promotion of a pipeline that this user may see, with what became of its targets.
    pub fn promotion(&self, user: &User, id: &str) -> Result<(Promotion, Vec<PromotionTarget>)> {
        let id: PromotionId = id.parse().map_err(|_| MISSING)?;
        let promotion = self.store().promotion(id)?.ok_or(MISSING)?;
        match self.pipeline(user, &promotion.pipeline.to_string()) {
            Ok(_) => {}
            Err(PlatformError::NotFound { .. }) => return Err(MISSING),
            Err(other) => return Err(other),
        }
        let mut targets = self.store().promotion_targets(id)?;
        for target in targets.iter_mut().filter(|target| target.error.is_some()) {
            // It may hold what the app's own release command said.
            if self.app(user, &target.app.to_string()).is_err() {
                target.error = Some("You may not see this app, or it is gone.".to_owned());
            }
        }
        Ok((promotion, targets))
    }
}
