//! `windlass create`

use super::git::connect_repository;
use crate::arguments::{JsonArguments, ServerArguments};
use crate::error::Result;
use crate::git::DEFAULT_REMOTE;
use crate::session::Session;
use windlass_wire::{App, AppCreate, TeamAppCreate};

#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// The app's name; without one the server makes one up
    name: Option<String>,
    /// The app's name, as with other commands
    #[arg(short, long, value_name = "NAME", conflicts_with = "name")]
    app: Option<String>,
    /// The stack to build and run on
    #[arg(short, long)]
    stack: Option<String>,
    /// The team whose app it is to be
    #[arg(short, long, value_name = "TEAM")]
    team: Option<String>,
    /// The name of the git remote
    #[arg(short, long, value_name = "NAME", default_value = DEFAULT_REMOTE)]
    remote: String,
    /// Leave the git repository alone
    #[arg(short, long)]
    no_remote: bool,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Create {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let body = AppCreate { name: self.name.or(self.app), region: None, stack: self.stack };
        let message = match &body.name {
            Some(name) => format!("Creating {}", session.output.app(name)),
            None => "Creating app".to_owned(),
        };
        let named = body.name.is_some();
        let create = || match self.team {
            None => client.post("/apps", &body),
            team => {
                let AppCreate { name, stack, .. } = body;
                client.post(
                    "/teams/apps",
                    &TeamAppCreate { name, team, stack, ..TeamAppCreate::default() },
                )
            }
        };
        let app: App = session.output.action(&message, create, |output, app: &App| {
            (!named).then(|| output.app(&app.name))
        })?;
        if self.json.json {
            session.output.json(&app)?;
        } else {
            session.output.line(format!("{} | {}", app.web_url, app.git_url))?;
        }
        if self.no_remote {
            return Ok(());
        }
        connect_repository(session, client.base(), &app, &self.remote)
    }
}
