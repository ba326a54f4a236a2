//! `windlass maintenance`, `maintenance:on`, `maintenance:off`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::error::Result;
use crate::session::Session;
use windlass_wire::{App, AppUpdate};

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let app: App = client.get(&app_path(&app, ""))?;
        if self.json.json {
            return session.output.json(&app.maintenance);
        }
        session.output.line(if app.maintenance { "on" } else { "off" })
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct On {
    #[command(flatten)]
    app: AppArguments,
}

impl On {
    pub fn run(self, session: &mut Session) -> Result<()> {
        set(session, &self.app, true)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Off {
    #[command(flatten)]
    app: AppArguments,
}

impl Off {
    pub fn run(self, session: &mut Session) -> Result<()> {
        set(session, &self.app, false)
    }
}

fn set(session: &mut Session, arguments: &AppArguments, on: bool) -> Result<()> {
    let (client, app) = session.app_client(arguments)?;
    let update = AppUpdate { maintenance: Some(on), ..AppUpdate::default() };
    let verb = if on { "Enabling" } else { "Disabling" };
    let message = format!("{verb} maintenance mode for {}", session.output.app(&app));
    let path = app_path(&app, "");
    let change = || client.patch::<_, App>(&path, &update);
    session.output.action(&message, change, |_, _| None)?;
    Ok(())
}
