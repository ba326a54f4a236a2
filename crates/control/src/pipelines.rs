//! Pipelines: apps of one program at different stages. What was tested in one is promoted to the
//! next as it is; branches get review apps that go with them.

mod couplings;
mod diff;
mod promotion;
mod repository;
mod review_apps;
mod review_config;
mod review_webhook;
mod setups;

pub use diff::{Commit, StageDiff, StageDiffState};
pub use promotion::PromotionRequest;
pub use repository::PipelineRepository;
pub use review_apps::ReviewAppRequest;
pub use review_config::ReviewAppConfigUpdate;
pub use setups::AppSetupRequest;

use crate::platform::now_ms;
use crate::records::{OwnerKind, Pipeline, PipelineOwner, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::ids::{PipelineId, TeamId, UserId};
use windlass_core::names::ConfigVarName;
use windlass_core::pipeline::{PipelineAccess, Stage, pipeline_access};

const MISSING: PlatformError = PlatformError::NotFound { resource: "pipeline" };

impl Platform {
    /// Makes a pipeline without apps. Without an owner it is the user's.
    pub fn create_pipeline(
        &self,
        user: &User,
        name: &str,
        owner: Option<PipelineOwner>,
    ) -> Result<Pipeline> {
        let owner = owner.unwrap_or(PipelineOwner { id: user.id.0, kind: OwnerKind::User });
        self.check_new_owner(user, owner, true)?;
        let now = now_ms();
        let pipeline = Pipeline {
            id: PipelineId::random(),
            name: name.parse()?,
            owner,
            repository: None,
            created_at: now,
            updated_at: now,
        };
        self.store().save_pipeline(&pipeline)?;
        tracing::info!(pipeline = %pipeline.name, user = user.email, "made a pipeline");
        Ok(pipeline)
    }

    /// Refuses an owner that is not there, or in whose name this user may not act.
    fn check_new_owner(&self, user: &User, owner: PipelineOwner, new: bool) -> Result<()> {
        let (known, own) = match owner.kind {
            OwnerKind::User => {
                let found = self.store().user(UserId(owner.id))?;
                (found.is_some(), !new || owner.id == user.id.0)
            }
            OwnerKind::Team => {
                let team = TeamId(owner.id);
                let access = pipeline_access(false, false, self.role_in(user, team)?, false);
                (self.store().team(team)?.is_some(), access == PipelineAccess::Change)
            }
        };
        let kind = owner.kind.as_str();
        if !known || (!own && owner.kind == OwnerKind::Team && !self.is_owner(user)?) {
            return Err(PlatformError::Invalid(format!(
                "There is no {kind} {} that you can give a pipeline to.",
                owner.id
            )));
        }
        if own || self.is_owner(user)? {
            return Ok(());
        }
        Err(PlatformError::Invalid(
            "A new pipeline is yours or your team's: transfer it afterwards.".to_owned(),
        ))
    }

    fn role_in(
        &self,
        user: &User,
        team: TeamId,
    ) -> Result<Option<windlass_core::access::TeamRole>> {
        Ok(self.store().given(user.id)?.teams.get(&team).copied())
    }

    /// Returns what a user may do with a pipeline.
    pub fn pipeline_access(&self, user: &User, pipeline: &Pipeline) -> Result<PipelineAccess> {
        let (own, role) = match pipeline.owner.kind {
            OwnerKind::User => (pipeline.owner.id == user.id.0, None),
            OwnerKind::Team => (false, self.role_in(user, TeamId(pipeline.owner.id))?),
        };
        let sees = !self.couplings_of(user, pipeline)?.is_empty();
        Ok(pipeline_access(self.is_owner(user)?, own, role, sees))
    }

    /// Returns the pipelines that a user may see, by name.
    pub fn pipelines(&self, user: &User) -> Result<Vec<Pipeline>> {
        let mut seen = Vec::new();
        for pipeline in self.store().pipelines()? {
            if self.pipeline_access(user, &pipeline)? >= PipelineAccess::View {
                seen.push(pipeline);
            }
        }
        Ok(seen)
    }

    /// Returns a pipeline that this user may see, by name or id.
    pub fn pipeline(&self, user: &User, name_or_id: &str) -> Result<Pipeline> {
        let found = match name_or_id.parse::<PipelineId>() {
            Ok(id) => self.store().pipeline(id)?,
            Err(_) => self.store().pipeline_by_name(name_or_id)?,
        };
        let pipeline = found.ok_or(MISSING)?;
        match self.pipeline_access(user, &pipeline)? {
            PipelineAccess::Nothing => Err(MISSING),
            _ => Ok(pipeline),
        }
    }

    /// Refuses who may see a pipeline but not change it.
    pub fn require_pipeline(&self, user: &User, pipeline: &Pipeline) -> Result<()> {
        if self.pipeline_access(user, pipeline)? == PipelineAccess::Change {
            return Ok(());
        }
        Err(PlatformError::Forbidden(format!(
            "Only the owner of the pipeline {}, or members of the team whose it is, may change it.",
            pipeline.name
        )))
    }

    pub fn rename_pipeline(
        &self,
        user: &User,
        pipeline: &Pipeline,
        name: &str,
    ) -> Result<Pipeline> {
        self.require_pipeline(user, pipeline)?;
        let renamed = Pipeline { name: name.parse()?, updated_at: now_ms(), ..pipeline.clone() };
        self.store().save_pipeline(&renamed)?;
        Ok(renamed)
    }

    /// Gives a pipeline to another user or team. Its apps stay whose they are.
    pub fn transfer_pipeline(
        &self,
        user: &User,
        pipeline: &Pipeline,
        owner: PipelineOwner,
    ) -> Result<Pipeline> {
        self.require_pipeline(user, pipeline)?;
        self.check_new_owner(user, owner, false)?;
        let given = Pipeline { owner, updated_at: now_ms(), ..pipeline.clone() };
        self.store().save_pipeline(&given)?;
        tracing::info!(pipeline = %pipeline.name, user = user.email, "transferred a pipeline");
        Ok(given)
    }

    /// Deletes a pipeline. Its apps stay.
    ///
    /// # Errors
    /// `Conflict` while it has review apps, which nobody would destroy then.
    pub fn destroy_pipeline(&self, user: &User, pipeline: &Pipeline) -> Result<()> {
        self.require_pipeline(user, pipeline)?;
        let left = self.couplings_in(pipeline)?;
        if left.iter().any(|coupling| coupling.stage == Stage::Review) {
            return Err(PlatformError::Conflict(format!(
                "The pipeline {} has review apps: destroy them first.",
                pipeline.name
            )));
        }
        self.store().delete_pipeline(pipeline.id)?;
        tracing::info!(pipeline = %pipeline.name, user = user.email, "destroyed a pipeline");
        Ok(())
    }

    /// Returns the config vars that apps get which are made in a stage.
    pub fn stage_config_vars(
        &self,
        user: &User,
        pipeline: &Pipeline,
        stage: Stage,
    ) -> Result<BTreeMap<String, String>> {
        self.require_pipeline(user, pipeline)?;
        Ok(self.store().stage_config_vars(pipeline.id, stage)?)
    }

    /// Sets and removes (`None`) them; apps that are there already keep theirs.
    ///
    /// # Errors
    /// `Invalid` for a stage in which nothing makes apps.
    pub fn update_stage_config_vars(
        &self,
        user: &User,
        pipeline: &Pipeline,
        stage: Stage,
        changes: BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, String>> {
        self.require_pipeline(user, pipeline)?;
        if stage != Stage::Review {
            return Err(PlatformError::Invalid(format!(
                "Only the stage review has config vars of its own, for apps that are made in it. Those of an app in {stage} are set with `windlass config:set`."
            )));
        }
        let mut config_vars = self.store().stage_config_vars(pipeline.id, stage)?;
        for (name, value) in changes {
            match value {
                Some(value) => {
                    name.parse::<ConfigVarName>()?;
                    crate::release::check_config_var(&name, &value)?;
                    config_vars.insert(name, value);
                }
                None => drop(config_vars.remove(&name)),
            }
        }
        crate::release::check_config_vars(&config_vars)?;
        self.store().set_stage_config_vars(pipeline.id, stage, &config_vars)?;
        Ok(config_vars)
    }
}
