//! `windlass drains`, `drains:add`, `drains:remove`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::Table;
use crate::session::Session;
use windlass_wire::{LogDrain, LogDrainCreate};

/// Commands about where an app's log is sent to.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum DrainsCommand {
    /// List where an app's log is sent to
    #[command(name = "drains")]
    List(List),
    /// Send an app's log to a URL as well
    #[command(name = "drains:add")]
    Add(Add),
    /// Stop sending an app's log to a URL
    #[command(name = "drains:remove")]
    Remove(Remove),
}

impl DrainsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let drains: Vec<LogDrain> = client.list(&app_path(&app, "/log-drains"), Range::All)?;
        if self.json.json {
            return session.output.json(&drains);
        }
        if drains.is_empty() {
            let note = format!("{app} has no log drains. Add one with `windlass drains:add URL`.");
            return session.output.note(note);
        }
        let mut table = Table::new(&["URL", "Token"]);
        for drain in drains {
            table.row(vec![drain.url.into(), drain.token.into()]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// https://…, syslog+tls://HOST:PORT or syslog://HOST:PORT
    url: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/log-drains");
        let body = LogDrainCreate { url: self.url };
        let message = format!("Adding a log drain to {}", session.output.app(&app));
        let drain: LogDrain = session.output.action(
            &message,
            || client.post(&path, &body),
            |_, drain: &LogDrain| Some(drain.token.clone()),
        )?;
        if self.json.json { session.output.json(&drain) } else { Ok(()) }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// The drain's URL or token
    #[arg(value_name = "URL_OR_TOKEN")]
    drain: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/log-drains/{}", encoded(&self.drain)));
        let message = format!("Removing a log drain from {}", session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}
