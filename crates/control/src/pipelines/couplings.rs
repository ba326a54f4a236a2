//! Couplings: which app is at which stage of which pipeline.

use super::MISSING;
use crate::platform::now_ms;
use crate::records::{App, Coupling, Pipeline, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::access::Permission;
use windlass_core::ids::CouplingId;
use windlass_core::pipeline::Stage;

const NO_COUPLING: PlatformError = PlatformError::NotFound { resource: "pipeline_coupling" };

impl Platform {
    /// Puts an app into a pipeline.
    ///
    /// # Errors
    /// `Forbidden` to who may not change the pipeline or not operate the app; `Conflict` if the
    /// app is in a pipeline already.
    pub fn couple(
        &self,
        user: &User,
        app: &App,
        pipeline: &Pipeline,
        stage: Stage,
    ) -> Result<Coupling> {
        self.require_pipeline(user, pipeline)?;
        self.require(user, app, Permission::Operate)?;
        if stage == Stage::Review {
            return Err(PlatformError::Invalid(
                "Review apps are made of branches: see `windlass reviewapps:create`. Put other apps into development, staging or production.".to_owned(),
            ));
        }
        self.couple_in(app, pipeline, stage)
    }

    /// The same for any stage, without asking who does it.
    pub(super) fn couple_in(
        &self,
        app: &App,
        pipeline: &Pipeline,
        stage: Stage,
    ) -> Result<Coupling> {
        refuse_tests(stage)?;
        if self.store().coupling_of_app(app.id)?.is_some() {
            return Err(PlatformError::Conflict(format!(
                "{} is in a pipeline already: remove it there first.",
                app.name
            )));
        }
        let now = now_ms();
        let coupling = Coupling {
            id: CouplingId::random(),
            pipeline: pipeline.id,
            app: app.id,
            stage,
            created_at: now,
            updated_at: now,
        };
        self.store().save_coupling(&coupling)?;
        let said = format!("Added to the pipeline {} at the stage {stage}", pipeline.name);
        self.logs().append(app.id, "app[api]", &said);
        Ok(coupling)
    }

    /// Moves an app to another stage of its pipeline.
    pub fn move_coupling(
        &self,
        user: &User,
        coupling: &Coupling,
        stage: Stage,
    ) -> Result<Coupling> {
        let (app, pipeline) = self.parts_of(user, coupling)?;
        self.require_pipeline(user, &pipeline)?;
        self.require(user, &app, Permission::Operate)?;
        refuse_tests(stage)?;
        self.refuse_review_app(coupling)?;
        if stage == Stage::Review {
            return Err(PlatformError::Invalid(
                "Review apps are made of branches: no other app can become one.".to_owned(),
            ));
        }
        let moved = Coupling { stage, updated_at: now_ms(), ..coupling.clone() };
        self.store().save_coupling(&moved)?;
        let said = format!("Moved to the stage {stage} of the pipeline {}", pipeline.name);
        self.logs().append(app.id, "app[api]", &said);
        Ok(moved)
    }

    /// Takes an app out of its pipeline: whoever operates the app may do that.
    pub fn uncouple(&self, user: &User, coupling: &Coupling) -> Result<()> {
        let (app, pipeline) = self.parts_of(user, coupling)?;
        self.require(user, &app, Permission::Operate)?;
        self.refuse_review_app(coupling)?;
        self.store().delete_coupling(coupling.id)?;
        let said = format!("Removed from the pipeline {}", pipeline.name);
        self.logs().append(app.id, "app[api]", &said);
        Ok(())
    }

    fn parts_of(&self, user: &User, coupling: &Coupling) -> Result<(App, Pipeline)> {
        let app = self.app(user, &coupling.app.to_string())?;
        let pipeline = self.store().pipeline(coupling.pipeline)?.ok_or(MISSING)?;
        Ok((app, pipeline))
    }

    fn refuse_review_app(&self, coupling: &Coupling) -> Result<()> {
        if coupling.stage == Stage::Review {
            return Err(PlatformError::Invalid(
                "A review app stays at its stage: destroy it when it is not needed any more."
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Returns a coupling whose app this user may see.
    pub fn coupling(&self, user: &User, id: &str) -> Result<Coupling> {
        let id: CouplingId = id.parse().map_err(|_| NO_COUPLING)?;
        let coupling = self.store().coupling(id)?.ok_or(NO_COUPLING)?;
        match self.app(user, &coupling.app.to_string()) {
            Ok(_) => Ok(coupling),
            Err(PlatformError::NotFound { .. }) => Err(NO_COUPLING),
            Err(other) => Err(other),
        }
    }

    /// Returns the place of an app in a pipeline.
    pub fn coupling_of_app(&self, app: &App) -> Result<Coupling> {
        self.store().coupling_of_app(app.id)?.ok_or(NO_COUPLING)
    }

    /// Returns the couplings of a pipeline whose apps this user may see.
    pub fn couplings_of(&self, user: &User, pipeline: &Pipeline) -> Result<Vec<Coupling>> {
        self.seen(user, self.store().couplings_of(pipeline.id)?)
    }

    /// Returns all couplings whose apps this user may see.
    pub fn couplings(&self, user: &User) -> Result<Vec<Coupling>> {
        self.seen(user, self.store().couplings()?)
    }

    /// Returns all couplings of a pipeline.
    pub(super) fn couplings_in(&self, pipeline: &Pipeline) -> Result<Vec<Coupling>> {
        Ok(self.store().couplings_of(pipeline.id)?)
    }

    fn seen(&self, user: &User, couplings: Vec<Coupling>) -> Result<Vec<Coupling>> {
        let mut seen = Vec::with_capacity(couplings.len());
        for coupling in couplings {
            if let Some(app) = self.store().app(coupling.app)?
                && !self.permissions(user, &app)?.is_empty()
            {
                seen.push(coupling);
            }
        }
        Ok(seen)
    }

    /// Returns the pipeline of a coupling, as the coupling's answer names it.
    pub fn pipeline_of(&self, coupling: &Coupling) -> Result<Pipeline> {
        self.store().pipeline(coupling.pipeline)?.ok_or(MISSING)
    }
}

fn refuse_tests(stage: Stage) -> Result<()> {
    match stage {
        Stage::Test => Err(PlatformError::Invalid(
            "There are no tests of a pipeline here: the stages are review, development, staging and production.".to_owned(),
        )),
        _ => Ok(()),
    }
}
