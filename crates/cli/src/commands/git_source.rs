//! `windlass git:sync`, `git:key`, `git:auth`, `git:webhook`: sources that the server fetches

use super::app_path;
use super::deploy::follow;
use crate::arguments::{AppArguments, JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use crate::terminal;
use ureq::http::Method;
use windlass_wire::{
    GitCredential, GitCredentialCreate, GitKey, GitSync, GitSyncCreate, GitWebhook,
    GitWebhookCreate,
};

const CREDENTIALS: &str = "/account/git-credentials";

/// Commands about repositories elsewhere.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum GitSourceCommand {
    /// Deploy from another repository, which the server fetches
    #[command(name = "git:sync")]
    Sync(Sync),
    /// Print the app's deploy key, for private repositories
    #[command(name = "git:key", aliases = ["git:public-key", "git:generate-deploy-key"])]
    Key(Key),
    /// Store a token for private repositories of a host, or list the hosts
    #[command(name = "git:auth")]
    Auth(Auth),
    /// Print URL and secret of a webhook that deploys on a push elsewhere
    #[command(name = "git:webhook")]
    Webhook(Webhook),
}

impl GitSourceCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Sync(arguments) => arguments.run(session),
            Self::Key(arguments) => arguments.run(session),
            Self::Auth(arguments) => arguments.run(session),
            Self::Webhook(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Sync {
    /// https://…, ssh://… or user@host:path [default: the one of the last time]
    url: Option<String>,
    /// A branch, tag or commit [default: the repository's default branch]
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// Do nothing if that is deployed already
    #[arg(long)]
    if_changed: bool,
    #[command(flatten)]
    app: AppArguments,
}

impl Sync {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let Self { url, reference, if_changed, .. } = self;
        let body = GitSyncCreate { url, reference, if_changed };
        let sync: GitSync = client.post(&app_path(&app, "/git-sync"), &body)?;
        match &sync.build {
            Some(build) => follow(session, &client, &app, build),
            None => {
                let commit = sync.commit.get(..8).unwrap_or(&sync.commit);
                session.output.note(format!("{app} is at {commit} already: nothing to do."))
            }
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Key {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Key {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let key: GitKey = client.get(&app_path(&app, "/git-key"))?;
        if self.json.json {
            return session.output.json(&key);
        }
        session.output.line(&key.public_key)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Auth {
    /// github.com, or http://host:port for one without TLS [default: list them]
    host: Option<String>,
    /// The token; `-` reads it from standard input [default: asked for]
    #[arg(long, value_name = "TOKEN", requires = "host")]
    token: Option<String>,
    /// The user name that goes with it, if the host wants a certain one
    #[arg(long, value_name = "NAME", requires = "host")]
    username: Option<String>,
    /// Forget the token of the host
    #[arg(long, requires = "host", conflicts_with_all = ["token", "username"])]
    remove: bool,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Auth {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let Some(host) = &self.host else {
            let known: Vec<GitCredential> = client.list(CREDENTIALS, Range::All)?;
            return list(session, &self.json, &known);
        };
        if self.remove {
            let path = format!("{CREDENTIALS}/{}", encoded(host));
            let message = format!("Removing the token for {host}");
            return session.output.action(&message, || client.delete(&path), |_, ()| None);
        }
        let token = token(self.token.as_deref(), host, session)?;
        let body = GitCredentialCreate { host: host.clone(), username: self.username, token };
        let stored: GitCredential = session.output.action(
            &format!("Storing a token for {host}"),
            || client.send(Method::PUT, CREDENTIALS, &body),
            |_, stored: &GitCredential| Some(format!("used for {}", stored.host)),
        )?;
        if self.json.json {
            return session.output.json(&stored);
        }
        Ok(())
    }
}

fn list(session: &mut Session, json: &JsonArguments, known: &[GitCredential]) -> Result<()> {
    if json.json {
        return session.output.json(&known);
    }
    if known.is_empty() {
        let note = "You have no tokens for git hosts. Store one with `windlass git:auth HOST`.";
        return session.output.note(note);
    }
    let mut table = Table::new(&["Host", "User"]);
    for one in known {
        table.row(vec![one.host.clone().into(), one.username.clone().into()]);
    }
    session.output.table(&table)
}

fn token(given: Option<&str>, host: &str, session: &mut Session) -> Result<String> {
    let token = match given {
        Some("-") => session.read_line()?,
        Some(token) => token.to_owned(),
        None if session.environment.stdin_terminal => {
            terminal::ask_hidden(&mut session.output, &format!("Token for {host}: "))?
        }
        None => {
            return Err(CliError::usage("No token given, and no terminal to ask on.").hint(
                format!("Pass it on standard input: `windlass git:auth {host} --token - < FILE`."),
            ));
        }
    };
    let token = token.trim().to_owned();
    if token.is_empty() { Err(CliError::usage("The token is empty.")) } else { Ok(token) }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Webhook {
    /// Make another secret; the old one is no longer taken
    #[arg(long)]
    rotate: bool,
    /// Take no more calls
    #[arg(long, conflicts_with = "rotate")]
    disable: bool,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Webhook {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/git-webhook");
        if self.disable {
            let message = format!("Disabling the webhook of {}", session.output.app(&app));
            return session.output.action(&message, || client.delete(&path), |_, ()| None);
        }
        let webhook: GitWebhook = client.post(&path, &GitWebhookCreate { rotate: self.rotate })?;
        if self.json.json {
            return session.output.json(&webhook);
        }
        session.output.line(format!("URL:          {}", webhook.url))?;
        session.output.line(format!("Secret:       {}", webhook.secret))?;
        session.output.line("Content type: application/json")?;
        session.output.line("Event:        push")?;
        session.output.note(
            "Enter them at GitHub, GitLab (as secret token), Gitea or Forgejo, which must reach that URL.",
        )
    }
}
