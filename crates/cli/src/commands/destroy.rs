//! `windlass destroy`

use super::app_path;
use crate::arguments::AppArguments;
use crate::client::Range;
use crate::error::{CliError, Result};
use crate::git::Repository;
use crate::session::Session;
use windlass_wire::{App, Volume};

#[derive(Clone, Debug, clap::Args)]
pub struct Destroy {
    /// The app, as with --app
    #[arg(conflicts_with = "app")]
    name: Option<String>,
    /// The app's name once more, instead of a question
    #[arg(short, long, value_name = "NAME")]
    confirm: Option<String>,
    /// Delete its volumes too, with all that is in them
    #[arg(long)]
    with_volumes: bool,
    #[command(flatten)]
    app: AppArguments,
}

impl Destroy {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let mut arguments = self.app;
        arguments.app = arguments.app.or(self.name);
        let (client, name) = session.app_client(&arguments)?;
        let path = app_path(&name, "");
        let app: App = client.get(&path)?;
        confirmed(session, &app.name, self.confirm.as_deref())?;
        let message = format!(
            "Destroying {} (with its releases, config vars and domains)",
            session.output.app(&app.name)
        );
        let volumes: Vec<Volume> = match self.with_volumes {
            true => Vec::new(),
            false => client.list(&app_path(&name, "/volumes"), Range::All)?,
        };
        let query = if self.with_volumes { "?with_volumes=true" } else { "" };
        let destroy = || client.delete(&format!("{path}{query}"));
        session.output.action(&message, destroy, |_, ()| None)?;
        if !volumes.is_empty() {
            let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
            session.output.note(format!(
                "Kept its volumes: {}. `windlass volumes --all` shows them.",
                names.join(", ")
            ))?;
        }
        forget_remotes(session, &app)
    }
}

/// The name given again, by option or as an answer on the terminal, to destroy what it names.
pub(super) fn confirmed(session: &mut Session, name: &str, given: Option<&str>) -> Result<()> {
    let warning = format!("This deletes {name} and all that belongs to it, for good.");
    confirmed_to(session, "Destroying", &warning, name, given)
}

/// The same for what else cannot be taken back: what is done to it, and a warning of what that means.
pub(super) fn confirmed_to(
    session: &mut Session,
    doing: &str,
    warning: &str,
    name: &str,
    given: Option<&str>,
) -> Result<()> {
    let again = format!("Pass --confirm {name} to go ahead.");
    let answer = match given {
        Some(given) => given.to_owned(),
        None if session.environment.stdin_terminal => {
            session.output.warning(warning)?;
            session
                .output
                .warning(&format!("To go ahead, type {name} or pass --confirm {name}."))?;
            session.output.error_bytes(b"> ")?;
            session.read_line()?
        }
        None => {
            let message = format!("{doing} {name} needs a confirmation.");
            return Err(CliError::refused(message).hint(again));
        }
    };
    if answer.trim() == name {
        return Ok(());
    }
    let message = format!("Confirmation did not match {name}. Nothing was deleted.");
    Err(CliError::refused(message).hint(again))
}

fn forget_remotes(session: &mut Session, app: &App) -> Result<()> {
    let Some(repository) = Repository::here(&session.environment) else {
        return Ok(());
    };
    for (remote, url) in repository.remotes()? {
        if url == app.git_url {
            repository.remove_remote(&remote)?;
            session.output.note(format!("Removed git remote {remote}"))?;
        }
    }
    Ok(())
}
