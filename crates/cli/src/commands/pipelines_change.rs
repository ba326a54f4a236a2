//! `windlass pipelines:update`, `pipelines:remove`, `pipelines:rename`, `pipelines:transfer` and
//! `pipelines:destroy`

use super::pipelines::{coupling_of, painted, pipeline_named, pipeline_path, stage};
use super::volumes::is_id;
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
    /// Who gets it: an address, or a team's name; an id of either
    owner: String,
    /// It is a team's id
    #[arg(long)]
    team: bool,
    #[command(flatten)]
    server: ServerArguments,
}

impl Transfer {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let pipeline = pipeline_named(&client, &self.pipeline)?;
        let kind = kind_of_owner(&self.owner, self.team).to_owned();
        let message = format!("Transferring {} pipeline", painted(session, &pipeline.name));
        let body = PipelineTransferCreate {
            pipeline: IdReference { id: pipeline.id },
            new_owner: PipelineOwner { id: self.owner, kind },
        };
        let transfer = || client.post::<_, serde_json::Value>("/pipeline-transfers", &body);
        session.output.action(&message, transfer, |_, _| None).map(drop)
    }
}

/// Addresses have an `@`, names of teams are too short for an id; an id may be that of either.
fn kind_of_owner(owner: &str, is_team: bool) -> &'static str {
    let is_user = owner == "~" || owner.contains('@') || is_id(owner);
    if is_team || !is_user { "team" } else { "user" }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_an_address_a_team_or_an_id_of_either() {
        let id = "712790aa-7788-4a58-8674-548510b86aa0";
        let cases = [
            ("ben@example.com", false, "user"),
            ("makers", false, "team"),
            ("makers", true, "team"),
            (id, false, "user"),
            (id, true, "team"),
            ("~", false, "user"),
        ];
        for (owner, is_team, kind) in cases {
            assert_eq!(kind_of_owner(owner, is_team), kind, "{owner}");
        }
    }
}
