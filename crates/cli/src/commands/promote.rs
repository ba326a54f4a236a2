//! `windlass pipelines:promote` and `pipelines:diff`

use super::app_path;
use super::pipelines::{coupling_of, places};
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range};
use crate::error::{CliError, Result};
use crate::output::{Style, Table};
use crate::session::Session;
use std::time::Duration;
use windlass_wire::{
    App, IdReference, PipelineDiff, PipelinePromotion, PipelinePromotionCreate,
    PipelinePromotionTarget, PromotionSource, PromotionTo, Release,
};

/// How often targets are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, clap::Args)]
pub struct Promote {
    /// The apps to promote to, separated by commas [default: those of the next stage]
    #[arg(short, long, value_name = "APP,…", value_delimiter = ',')]
    to: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Promote {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let coupling = coupling_of(&client, &app)?;
        let named = |name: &String| -> Result<PromotionTo> {
            let app: App = client.get(&app_path(name, ""))?;
            Ok(PromotionTo { app: IdReference { id: app.id } })
        };
        let targets = self.to.iter().map(named).collect::<Result<_>>()?;
        let body = PipelinePromotionCreate {
            pipeline: IdReference { id: coupling.pipeline.id.clone() },
            source: PromotionSource { app: coupling.app.clone(), release: None },
            targets,
        };
        let message = format!("Promoting {} ({})", session.output.app(&app), coupling.stage);
        let start = || client.post::<_, PipelinePromotion>("/pipeline-promotions", &body);
        let promotion = session.output.action(&message, start, |_, _| None)?;
        let ended = wait(&client, &promotion)?;
        if self.json.json {
            session.output.json(&ended)?;
        } else {
            show(session, &client, &coupling.pipeline.id, &ended)?;
        }
        let failed = ended.iter().filter(|target| target.status == "failed").count();
        match failed {
            0 => Ok(()),
            _ => Err(CliError::general(format!(
                "{failed} of {} targets failed; what they ran before goes on.",
                ended.len()
            ))),
        }
    }
}

fn wait(client: &Client, promotion: &PipelinePromotion) -> Result<Vec<PipelinePromotionTarget>> {
    let path = format!("/pipeline-promotions/{}/promotion-targets", promotion.id);
    loop {
        let targets: Vec<PipelinePromotionTarget> = client.list(&path, Range::All)?;
        if targets.iter().all(|target| target.status != "pending") {
            return Ok(targets);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn show(
    session: &mut Session,
    client: &Client,
    pipeline: &str,
    targets: &[PipelinePromotionTarget],
) -> Result<()> {
    let places = places(client, pipeline)?;
    let mut table = Table::new(&["App", "Status", "Release"]);
    let mut errors = Vec::new();
    for target in targets {
        let app = places.iter().find(|(_, app)| app.id == target.app.id).map(|(_, app)| app);
        let name = app.map_or_else(|| target.app.id.clone(), |app| app.name.clone());
        let release: Option<Release> = match (&target.release, target.status.as_str()) {
            (Some(release), "succeeded") => {
                Some(client.get(&app_path(&target.app.id, &format!("/releases/{}", release.id)))?)
            }
            _ => None,
        };
        let version = release.map_or_else(String::new, |release| format!("v{}", release.version));
        table.row(vec![name.clone().into(), target.status.clone().into(), version.into()]);
        if let Some(error) = &target.error_message {
            errors.push(format!("{name}: {error}"));
        }
    }
    session.output.table(&table)?;
    errors.iter().try_for_each(|error| session.output.warning(error))
}

#[derive(Clone, Debug, clap::Args)]
pub struct Diff {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Diff {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let diffs: Vec<PipelineDiff> =
            client.list(&app_path(&app, "/pipeline-diff"), Range::All)?;
        if self.json.json {
            return session.output.json(&diffs);
        }
        diffs.iter().try_for_each(|diff| show_diff(session, &app, diff))
    }
}

fn show_diff(session: &mut Session, app: &str, diff: &PipelineDiff) -> Result<()> {
    let target = &diff.target.name;
    let short = |commit: &Option<String>| {
        let commit = commit.as_deref().unwrap_or("nothing");
        commit.get(..7).unwrap_or(commit).to_owned()
    };
    match diff.status.as_str() {
        "identical" => return session.output.note(format!("{app} is up to date with {target}")),
        "unknown" => {
            return session.output.note(format!(
                "{app} runs {} and {target} runs {}: no commits that can be compared here.",
                short(&diff.source_commit),
                short(&diff.target_commit)
            ));
        }
        _ => {}
    }
    if diff.commits.is_empty() {
        let behind = format!("{app} is {} commits behind {target}", diff.behind);
        return session.output.note(behind);
    }
    let count = diff.commits.len();
    let word = if count == 1 { "commit" } else { "commits" };
    session.output.heading(&format!("{app} is ahead of {target} by {count} {word}"))?;
    let mut table = Table::new(&["SHA", "Date", "Author", "Message"]);
    for commit in &diff.commits {
        let sha = commit.id.get(..7).unwrap_or(&commit.id);
        table.row(vec![
            crate::output::Cell::styled(sha, Style::Yellow),
            commit.created_at.clone().into(),
            commit.author.clone().into(),
            commit.message.clone().into(),
        ]);
    }
    session.output.table(&table)?;
    if diff.behind > 0 {
        let note = format!("{target} has {} commits that {app} has not.", diff.behind);
        return session.output.note(note);
    }
    Ok(())
}
