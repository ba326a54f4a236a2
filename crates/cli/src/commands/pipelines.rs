//! `windlass pipelines` and its family

use super::app_path;
use super::pipelines_change::{Destroy, Remove, Rename, Transfer, Update};
use super::pipelines_repo::{Connect, Webhook};
use super::promote::{Diff, Promote};
use crate::arguments::{AppArguments, JsonArguments, ServerArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Style, Table};
use crate::session::Session;
use std::collections::HashMap;
use windlass_wire::{
    App, FilterApps, FilterIds, Pipeline, PipelineCoupling, PipelineCouplingCreate, PipelineCreate,
};

/// The stages in their order.
pub(super) const STAGES: [&str; 4] = ["review", "development", "staging", "production"];

/// Commands about pipelines.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum PipelinesCommand {
    /// List your pipelines
    #[command(name = "pipelines", alias = "pipelines:list")]
    List(List),
    /// Make a pipeline, with an app in it
    #[command(name = "pipelines:create")]
    Create(Create),
    /// Put an app into a pipeline
    #[command(name = "pipelines:add")]
    Add(Add),
    /// Show a pipeline's apps, stage by stage
    #[command(name = "pipelines:info")]
    Info(Info),
    /// Give the next stage what an app runs, without a build
    #[command(name = "pipelines:promote")]
    Promote(Promote),
    /// Compare what an app runs with the next stage
    #[command(name = "pipelines:diff")]
    Diff(Diff),
    /// Move an app to another stage of its pipeline
    #[command(name = "pipelines:update")]
    Update(Update),
    /// Take an app out of its pipeline
    #[command(name = "pipelines:remove")]
    Remove(Remove),
    /// Give a pipeline another name
    #[command(name = "pipelines:rename")]
    Rename(Rename),
    /// Give a pipeline to another user or team
    #[command(name = "pipelines:transfer")]
    Transfer(Transfer),
    /// Delete a pipeline; its apps stay
    #[command(name = "pipelines:destroy")]
    Destroy(Destroy),
    /// Tell where a pipeline's review apps come from
    #[command(name = "pipelines:connect")]
    Connect(Connect),
    /// Print URL and secret of a webhook for the pipeline's repository
    #[command(name = "pipelines:webhook")]
    Webhook(Webhook),
}

impl PipelinesCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Create(arguments) => arguments.run(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Info(arguments) => arguments.run(session),
            Self::Promote(arguments) => arguments.run(session),
            Self::Diff(arguments) => arguments.run(session),
            Self::Update(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.run(session),
            Self::Rename(arguments) => arguments.run(session),
            Self::Transfer(arguments) => arguments.run(session),
            Self::Destroy(arguments) => arguments.run(session),
            Self::Connect(arguments) => arguments.run(session),
            Self::Webhook(arguments) => arguments.run(session),
        }
    }
}

/// `/pipelines/<pipeline>` and what follows.
pub(super) fn pipeline_path(pipeline: &str, rest: &str) -> String {
    format!("/pipelines/{}{rest}", encoded(pipeline))
}

pub(super) fn pipeline_named(client: &Client, name: &str) -> Result<Pipeline> {
    client.get(&pipeline_path(name, ""))
}

/// Returns an app's place in its pipeline.
pub(super) fn coupling_of(client: &Client, app: &str) -> Result<PipelineCoupling> {
    client.get(&app_path(app, "/pipeline-couplings"))
}

/// Returns the couplings of a pipeline with the names of their apps, in the order of the stages.
pub(super) fn places(client: &Client, pipeline: &str) -> Result<Vec<(PipelineCoupling, App)>> {
    let path = pipeline_path(pipeline, "/pipeline-couplings");
    let couplings: Vec<PipelineCoupling> = client.list(&path, Range::All)?;
    let ids = couplings.iter().map(|coupling| coupling.app.id.clone()).collect();
    let filter = FilterApps { among: FilterIds { id: ids } };
    let apps: Vec<App> = client.post("/filters/apps", &filter)?;
    let apps: HashMap<String, App> = apps.into_iter().map(|app| (app.id.clone(), app)).collect();
    let mut places: Vec<_> = couplings
        .into_iter()
        .filter_map(|coupling| apps.get(&coupling.app.id).cloned().map(|app| (coupling, app)))
        .collect();
    let rank = |stage: &str| STAGES.iter().position(|known| *known == stage);
    places.sort_by_key(|(coupling, app)| (rank(&coupling.stage), app.name.clone()));
    Ok(places)
}

/// Guesses an app's stage by its name, as Heroku's client does.
fn guessed_stage(app: &str) -> &'static str {
    let has = |parts: &[&str]| parts.iter().any(|part| app.contains(part));
    if has(&["stag", "stg"]) {
        "staging"
    } else if has(&["-dev", "development", "-test", "-uat", "-qa"]) {
        "development"
    } else {
        "production"
    }
}

pub(super) fn stage(text: &str) -> std::result::Result<String, String> {
    if STAGES[1..].contains(&text) {
        return Ok(text.to_owned());
    }
    Err("stages are development, staging and production".to_owned())
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let mut pipelines: Vec<Pipeline> = client.list("/pipelines", Range::All)?;
        pipelines.sort_by(|a, b| a.name.cmp(&b.name));
        if self.json.json {
            return session.output.json(&pipelines);
        }
        if pipelines.is_empty() {
            let note = "You have no pipelines. Make one with `windlass pipelines:create`.";
            return session.output.note(note);
        }
        session.output.heading("My Pipelines")?;
        pipelines.iter().try_for_each(|pipeline| session.output.line(&pipeline.name))
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// The pipeline's name [default: the app's]
    name: Option<String>,
    /// The app's stage: development, staging or production [default: guessed from its name]
    #[arg(short, long, value_parser = stage)]
    stage: Option<String>,
    /// Make it without an app
    #[arg(long, conflicts_with_all = ["stage", "app"])]
    empty: bool,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Create {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.app.server)?;
        let app = match self.empty {
            true => None,
            false => Some(session.app_name(&self.app)?),
        };
        let name = self.name.or_else(|| app.clone()).ok_or_else(|| {
            CliError::usage("No name given.").hint("Pass it: `windlass pipelines:create NAME`.")
        })?;
        let message = format!("Creating {} pipeline", painted(session, &name));
        let body = PipelineCreate { name, owner: None };
        let pipeline: Pipeline =
            session.output.action(&message, || client.post("/pipelines", &body), |_, _| None)?;
        if let Some(app) = app {
            let stage = self.stage.unwrap_or_else(|| guessed_stage(&app).to_owned());
            add(session, &client, &pipeline, &app, stage)?;
        }
        if self.json.json {
            return session.output.json(&pipeline);
        }
        Ok(())
    }
}

pub(super) fn painted(session: &Session, pipeline: &str) -> String {
    session.output.paint_error(Style::Green, pipeline)
}

fn add(
    session: &mut Session,
    client: &Client,
    pipeline: &Pipeline,
    app: &str,
    stage: String,
) -> Result<PipelineCoupling> {
    let message = format!(
        "Adding {} to {} pipeline as {stage}",
        session.output.app(app),
        painted(session, &pipeline.name)
    );
    let body = PipelineCouplingCreate { app: app.to_owned(), pipeline: pipeline.id.clone(), stage };
    session.output.action(&message, || client.post("/pipeline-couplings", &body), |_, _| None)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// The pipeline
    pipeline: String,
    /// The app's stage: development, staging or production [default: guessed from its name]
    #[arg(short, long, value_parser = stage)]
    stage: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let pipeline = pipeline_named(&client, &self.pipeline)?;
        let stage = self.stage.unwrap_or_else(|| guessed_stage(&app).to_owned());
        let coupling = add(session, &client, &pipeline, &app, stage)?;
        if self.json.json {
            return session.output.json(&coupling);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    /// The pipeline
    pipeline: String,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Info {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let pipeline = pipeline_named(&client, &self.pipeline)?;
        let places = places(&client, &pipeline.id)?;
        if self.json.json {
            let apps: Vec<_> = places
                .iter()
                .map(|(coupling, app)| serde_json::json!({"app": app, "coupling": coupling}))
                .collect();
            return session.output.json(&serde_json::json!({"pipeline": pipeline, "apps": apps}));
        }
        session.output.heading(&pipeline.name)?;
        if places.is_empty() {
            let note =
                format!("No apps yet: add one with `windlass pipelines:add {}`.", pipeline.name);
            return session.output.note(note);
        }
        let mut table = Table::new(&["App", "Stage", "URL"]);
        for (coupling, app) in places {
            table.row(vec![app.name.into(), coupling.stage.into(), app.web_url.into()]);
        }
        session.output.table(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_guessed_by_names() {
        for (app, stage) in [
            ("shop-staging", "staging"),
            ("shop-stg", "staging"),
            ("shop-dev", "development"),
            ("shop", "production"),
            ("devices", "production"),
        ] {
            assert_eq!(guessed_stage(app), stage, "{app}");
        }
        assert!(stage("review").is_err() && stage("staging").is_ok());
    }
}
