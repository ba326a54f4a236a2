//! `windlass pipelines:connect` and `pipelines:webhook`: where review apps come from

use super::pipelines::pipeline_path;
use crate::arguments::{JsonArguments, ServerArguments};
use crate::error::Result;
use crate::session::Session;
use windlass_wire::{GitWebhook, GitWebhookCreate, PipelineRepo, PipelineRepoCreate};

#[derive(Clone, Debug, clap::Args)]
pub struct Connect {
    /// The pipeline
    pipeline: String,
    /// The repository: https://…, ssh://… or user@host:path [default: show the one it has]
    #[arg(short, long, value_name = "URL")]
    repo: Option<String>,
    /// End the connection: review apps come from the staging app's repository then
    #[arg(long, conflicts_with = "repo")]
    disconnect: bool,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Connect {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = pipeline_path(&self.pipeline, "/repo");
        if self.disconnect {
            let message = format!("Disconnecting {} from its repository", self.pipeline);
            return session.output.action(&message, || client.delete(&path), |_, ()| None);
        }
        let repo: PipelineRepo = match self.repo {
            Some(url) => {
                let message = format!("Connecting {} to {url}", self.pipeline);
                let body = PipelineRepoCreate { url };
                session.output.action(&message, || client.put(&path, &body), |_, _| None)?
            }
            None => client.get(&path)?,
        };
        if self.json.json {
            return session.output.json(&repo);
        }
        session.output.line(format!("Review apps of {} come from {}", self.pipeline, repo.url))?;
        if let Some(key) = &repo.public_key {
            session.output.line(key)?;
            session.output.note("Add that key to the repository as a deploy key that may read.")?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Webhook {
    /// The pipeline
    pipeline: String,
    /// Make another secret; the old one is no longer taken
    #[arg(long)]
    rotate: bool,
    /// Take no more calls
    #[arg(long, conflicts_with = "rotate")]
    disable: bool,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Webhook {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = pipeline_path(&self.pipeline, "/git-webhook");
        if self.disable {
            let message = format!("Disabling the webhook of {}", self.pipeline);
            return session.output.action(&message, || client.delete(&path), |_, ()| None);
        }
        let webhook: GitWebhook = client.post(&path, &GitWebhookCreate { rotate: self.rotate })?;
        if self.json.json {
            return session.output.json(&webhook);
        }
        session.output.properties(&[
            ("URL", webhook.url),
            ("Secret", webhook.secret),
            ("Content type", "application/json".to_owned()),
            ("Events", "push (and branch deletion where it is one of its own)".to_owned()),
        ])?;
        session.output.note(
            "Enter them at GitHub, GitLab (as secret token), Gitea or Forgejo, which must reach that URL.",
        )
    }
}
