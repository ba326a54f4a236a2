//! `windlass reviewapps` and its family

use super::app_path;
use super::pipelines::{pipeline_named, pipeline_path};
use crate::arguments::{AppArguments, JsonArguments, ServerArguments};
use crate::client::{Client, Range};
use crate::error::{CliError, Result};
use crate::output::{Style, Table};
use crate::session::Session;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_wire::{
    App, BuildSource, ConfigVars, ConfigVarsUpdate, Pipeline, PipelineRepo, ReviewApp,
    ReviewAppConfig, ReviewAppConfigUpdate, ReviewAppCreate,
};

/// How often a review app is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Commands about review apps.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ReviewAppsCommand {
    /// List a pipeline's review apps
    #[command(name = "reviewapps", alias = "reviewapps:list")]
    List(List),
    /// Make an app of a branch
    #[command(name = "reviewapps:create")]
    Create(Create),
    /// Wait until a review app is there
    #[command(name = "reviewapps:wait")]
    Wait(Wait),
    /// Destroy the app of a branch
    #[command(name = "reviewapps:destroy")]
    Destroy(Destroy),
    /// Make review apps by itself, or change how
    #[command(name = "reviewapps:enable")]
    Enable(Enable),
    /// Make no more review apps, or change how
    #[command(name = "reviewapps:disable")]
    Disable(Disable),
    /// Show or set the config vars that review apps are made with
    #[command(name = "reviewapps:config")]
    Config(Config),
}

impl ReviewAppsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Create(arguments) => arguments.run(session),
            Self::Wait(arguments) => arguments.run(session),
            Self::Destroy(arguments) => arguments.run(session),
            Self::Enable(arguments) => arguments.run(session),
            Self::Disable(arguments) => arguments.run(session),
            Self::Config(arguments) => arguments.run(session),
        }
    }
}

/// Which pipeline.
#[derive(Clone, Debug, clap::Args)]
pub struct PipelineArguments {
    /// The pipeline
    #[arg(short, long, value_name = "NAME")]
    pipeline: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl PipelineArguments {
    fn open(&self, session: &Session) -> Result<(Client, Pipeline)> {
        let client = session.client(&self.server)?;
        let pipeline = pipeline_named(&client, &self.pipeline)?;
        Ok((client, pipeline))
    }
}

fn reviews(client: &Client, pipeline: &Pipeline) -> Result<Vec<ReviewApp>> {
    client.list(&pipeline_path(&pipeline.id, "/review-apps"), Range::All)
}

/// Returns the name and URL of a review app's app, if it is there.
fn app_of(client: &Client, review: &ReviewApp) -> Result<Option<App>> {
    review.app.as_ref().map(|app| client.get(&app_path(&app.id, ""))).transpose()
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    pipeline: PipelineArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, pipeline) = self.pipeline.open(session)?;
        let reviews = reviews(&client, &pipeline)?;
        if self.json.json {
            return session.output.json(&reviews);
        }
        if reviews.is_empty() {
            return session.output.note(format!("{} has no review apps.", pipeline.name));
        }
        let mut table = Table::new(&["Branch", "App", "Status", "URL"]);
        for review in reviews {
            let app = app_of(&client, &review)?;
            let (name, url) = app.map(|app| (app.name, app.web_url)).unwrap_or_default();
            table.row(vec![review.branch.into(), name.into(), review.status.into(), url.into()]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// The branch
    #[arg(short, long, value_name = "NAME")]
    branch: String,
    /// The number of its pull request, for the app's name
    #[arg(long, value_name = "NUMBER")]
    pr: Option<u64>,
    /// A config var of this app only
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Wait until it is there
    #[arg(short, long)]
    wait: bool,
    #[command(flatten)]
    pipeline: PipelineArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Create {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, pipeline) = self.pipeline.open(session)?;
        let body = ReviewAppCreate {
            branch: self.branch.clone(),
            pipeline: pipeline.id.clone(),
            source_blob: BuildSource { url: Some("resolve".to_owned()), ..BuildSource::default() },
            pr_number: self.pr,
            environment: pairs(&self.env)?,
        };
        let branch = session.output.paint_error(Style::Green, &self.branch);
        let message = format!("Creating review app of {branch}");
        let create = || client.post::<_, ReviewApp>("/review-apps", &body);
        let review = session.output.action(&message, create, |_, _| None)?;
        let review = if self.wait { wait(session, &client, review)? } else { review };
        if self.json.json {
            return session.output.json(&review);
        }
        match app_of(&client, &review)? {
            Some(app) => session.output.line(format!("{} {}", app.name, app.web_url)),
            None => Ok(()),
        }
    }
}

/// Reads `NAME=VALUE`.
fn pairs(texts: &[String]) -> Result<BTreeMap<String, String>> {
    let read = texts.iter().map(|text| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(CliError::usage(format!("{text} is no NAME=VALUE."))),
    });
    read.collect()
}

fn wait(session: &mut Session, client: &Client, review: ReviewApp) -> Result<ReviewApp> {
    let path = format!("/review-apps/{}", review.id);
    let look = || loop {
        let now: ReviewApp = client.get(&path)?;
        if !["pending", "creating"].contains(&now.status.as_str()) {
            return Ok(now);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let message = format!("Waiting for the review app of {}", review.branch);
    let done = session.output.action(&message, look, |_, review| Some(review.status.clone()))?;
    if done.status == "created" {
        return Ok(done);
    }
    let why = done.message.as_deref().unwrap_or("it was destroyed meanwhile");
    Err(CliError::general(format!("The review app of {} is {}: {why}", done.branch, done.status)))
}

#[derive(Clone, Debug, clap::Args)]
pub struct Wait {
    /// The app, as with --app
    #[arg(conflicts_with = "app")]
    name: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Wait {
    fn run(self, session: &mut Session) -> Result<()> {
        let mut arguments = self.app;
        arguments.app = arguments.app.or(self.name);
        let (client, app) = session.app_client(&arguments)?;
        let review: ReviewApp = client.get(&app_path(&app, "/review-app"))?;
        wait(session, &client, review).map(drop)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Destroy {
    /// The branch
    #[arg(short, long, value_name = "NAME")]
    branch: String,
    #[command(flatten)]
    pipeline: PipelineArguments,
}

impl Destroy {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, pipeline) = self.pipeline.open(session)?;
        let reviews = reviews(&client, &pipeline)?;
        let found = reviews.into_iter().find(|review| review.branch == self.branch);
        let missing = || {
            let message = format!("{} has no review app of {}.", pipeline.name, self.branch);
            CliError::not_found(message)
        };
        let path = format!("/review-apps/{}", found.ok_or_else(missing)?.id);
        let message = format!("Destroying the review app of {}", self.branch);
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Enable {
    /// Make one for every branch that is pushed
    #[arg(short, long)]
    autodeploy: bool,
    /// Destroy those that nobody has deployed to for some days
    #[arg(long)]
    autodestroy: bool,
    /// After how many days [default: 5]
    #[arg(long, value_name = "DAYS")]
    stale_days: Option<u32>,
    /// What their names begin with [default: the pipeline's name]
    #[arg(long, value_name = "NAME")]
    base_name: Option<String>,
    #[command(flatten)]
    pipeline: PipelineArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Enable {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, pipeline) = self.pipeline.open(session)?;
        let path = pipeline_path(&pipeline.id, "/review-app-config");
        let mut body = ReviewAppConfigUpdate {
            automatic_review_apps: self.autodeploy.then_some(true),
            destroy_stale_apps: self.autodestroy.then_some(true),
            stale_days: self.stale_days,
            base_name: self.base_name,
            ..ReviewAppConfigUpdate::default()
        };
        let message = format!("Enabling review apps of {}", pipeline.name);
        let known = config(&client, &pipeline)?;
        let enable = || match known {
            Some(_) => client.patch::<_, ReviewAppConfig>(&path, &body),
            None => {
                let repo: PipelineRepo = client.get(&pipeline_path(&pipeline.id, "/repo"))?;
                body.repo = Some(repo.full_name);
                client.post(&path, &body)
            }
        };
        let config = session.output.action(&message, enable, |_, _| None)?;
        if self.json.json {
            return session.output.json(&config);
        }
        show(session, &config)
    }
}

fn config(client: &Client, pipeline: &Pipeline) -> Result<Option<ReviewAppConfig>> {
    use crate::error::ErrorKind;
    match client.get(&pipeline_path(&pipeline.id, "/review-app-config")) {
        Ok(config) => Ok(Some(config)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn show(session: &mut Session, config: &ReviewAppConfig) -> Result<()> {
    let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
    let stale = match config.destroy_stale_apps {
        true => format!("after {} days without a deploy", config.stale_days),
        false => "no".to_owned(),
    };
    session.output.properties(&[
        ("For every branch", yes(config.automatic_review_apps)),
        ("Destroyed when stale", stale),
        ("Names begin with", config.base_name.clone().unwrap_or_else(|| "the pipeline's".into())),
    ])
}

#[derive(Clone, Debug, clap::Args)]
pub struct Disable {
    /// Make none by itself, but destroy with their branches those that are there
    #[arg(short, long)]
    autodeploy: bool,
    /// Destroy none because nobody has deployed to it
    #[arg(long)]
    autodestroy: bool,
    #[command(flatten)]
    pipeline: PipelineArguments,
}

impl Disable {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, pipeline) = self.pipeline.open(session)?;
        let path = pipeline_path(&pipeline.id, "/review-app-config");
        let message = format!("Disabling review apps of {}", pipeline.name);
        if !self.autodeploy && !self.autodestroy {
            return session.output.action(&message, || client.delete(&path), |_, ()| None);
        }
        let body = ReviewAppConfigUpdate {
            automatic_review_apps: self.autodeploy.then_some(false),
            destroy_stale_apps: self.autodestroy.then_some(false),
            ..ReviewAppConfigUpdate::default()
        };
        let change = || client.patch::<_, ReviewAppConfig>(&path, &body);
        let config = session.output.action(&message, change, |_, _| None)?;
        show(session, &config)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Config vars to set [default: show them]
    #[arg(value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// One to remove
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    #[command(flatten)]
    pipeline: PipelineArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Config {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, pipeline) = self.pipeline.open(session)?;
        let path = pipeline_path(&pipeline.id, "/stage/review/config-vars");
        let set = pairs(&self.set)?.into_iter().map(|(name, value)| (name, Some(value)));
        let removed = self.unset.into_iter().map(|name| (name, None));
        let changes: ConfigVarsUpdate = set.chain(removed).collect();
        let config_vars: ConfigVars = match changes.is_empty() {
            true => client.get(&path)?,
            false => {
                let message =
                    format!("Setting config vars of new review apps of {}", pipeline.name);
                session.output.action(&message, || client.patch(&path, &changes), |_, _| None)?
            }
        };
        if self.json.json {
            return session.output.json(&config_vars);
        }
        let pairs: Vec<(&str, String)> =
            config_vars.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        session.output.properties(&pairs)
    }
}
