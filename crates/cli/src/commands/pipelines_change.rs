//! `windlass pipelines:update`, `pipelines:remove`, `pipelines:rename`, `pipelines:transfer` and
//! `pipelines:destroy`

use super::pipelines::{coupling_of, painted, pipeline_named, pipeline_path, stage};
use crate::arguments::{AppArguments, ServerArguments};
use crate::error::Result;
use crate::session::Session;
use windlass_wire::{
    IdReference, Pipeline, PipelineCoupling, PipelineCouplingUpdate, PipelineOwner,
    PipelineTransferCreate, PipelineUpdate,
};

#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// The new stage: development, staging or production
    #[arg(short, long, value_parser = stage)]
    stage: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Update {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let coupling = coupling_of(&client, &app)?;
        let message = format!("Changing {} to {}", session.output.app(&app), self.stage);
        let path = format!("/pipeline-couplings/{}", coupling.id);
        let body = PipelineCouplingUpdate { stage: Some(self.stage) };
        let change = || client.patch::<_, PipelineCoupling>(&path, &body);
        session.output.action(&message, change, |_, _| None).map(drop)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let coupling = coupling_of(&client, &app)?;
        let pipeline = painted(session, &coupling.pipeline.name);
        let message = format!("Removing {} from {pipeline}", session.output.app(&app));
        let path = format!("/pipeline-couplings/{}", coupling.id);
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Rename {
    /// The pipeline
    pipeline: String,
    /// Its new name
    new_name: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Rename {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = pipeline_path(&self.pipeline, "");
        let names = (painted(session, &self.pipeline), painted(session, &self.new_name));
        let message = format!("Renaming {} pipeline to {}", names.0, names.1);
        let body = PipelineUpdate { name: Some(self.new_name) };
        let change = || client.patch::<_, Pipeline>(&path, &body);
        session.output.action(&message, change, |_, _| None).map(drop)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Transfer {
    /// The pipeline
    pipeline: String,
    /// The id of the user or team
    #[arg(value_name = "OWNER_ID")]
    owner: String,
    /// It is a team
    #[arg(long)]
    team: bool,
    #[command(flatten)]
    server: ServerArguments,
}

impl Transfer {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let pipeline = pipeline_named(&client, &self.pipeline)?;
        let kind = if self.team { "team" } else { "user" }.to_owned();
        let message = format!("Transferring {} pipeline", painted(session, &pipeline.name));
        let body = PipelineTransferCreate {
            pipeline: IdReference { id: pipeline.id },
            new_owner: PipelineOwner { id: self.owner, kind },
        };
        let transfer = || client.post::<_, serde_json::Value>("/pipeline-transfers", &body);
        session.output.action(&message, transfer, |_, _| None).map(drop)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Destroy {
    /// The pipeline
    pipeline: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Destroy {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Destroying {} pipeline", painted(session, &self.pipeline));
        let path = pipeline_path(&self.pipeline, "");
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}
