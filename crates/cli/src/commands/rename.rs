//! `windlass rename`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::error::Result;
use crate::git::Repository;
use crate::session::Session;
use windlass_wire::{App, AppUpdate};

#[derive(Clone, Debug, clap::Args)]
pub struct Rename {
    /// The new name
    new_name: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Rename {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, name) = session.app_client(&self.app)?;
        let path = app_path(&name, "");
        let old: App = client.get(&path)?;
        let update = AppUpdate { name: Some(self.new_name.clone()), ..AppUpdate::default() };
        let message = format!("Renaming {} to {}", session.output.app(&name), self.new_name);
        let app: App =
            session.output.action(&message, || client.patch(&path, &update), |_, _| None)?;
        if self.json.json {
            session.output.json(&app)?;
        } else {
            session.output.line(format!("{} | {}", app.web_url, app.git_url))?;
        }
        let Some(repository) = Repository::here(&session.environment) else {
            return Ok(());
        };
        for (remote, url) in repository.remotes()? {
            if url == old.git_url {
                repository.set_remote(&remote, &app.git_url)?;
                let note = format!("Set git remote {remote} to {}", app.git_url);
                session.output.note(note)?;
            }
        }
        Ok(())
    }
}
