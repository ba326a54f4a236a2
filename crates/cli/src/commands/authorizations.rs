//! `windlass authorizations`, `authorizations:create`, `authorizations:revoke`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use crate::time::with_age;
use windlass_wire::{Authorization, AuthorizationCreate};

const PATH: &str = "/oauth/authorizations";

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let list: Vec<Authorization> = session.client(&self.server)?.list(PATH, Range::All)?;
        if self.json.json {
            return session.output.json(&list);
        }
        let mut table = Table::new(&["Description", "Id", "Scope", "Created"]);
        for entry in list {
            table.row(vec![
                entry.description.into(),
                entry.id.into(),
                entry.scope.join(",").into(),
                with_age(&entry.created_at, session.environment.now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// What the token is for
    #[arg(short, long, value_name = "TEXT")]
    description: Option<String>,
    /// Print only the token
    #[arg(short = 'S', long)]
    short: bool,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Create {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let body = AuthorizationCreate { description: self.description };
        let made: Authorization =
            session.output.action("Creating a token", || client.post(PATH, &body), |_, _| None)?;
        if self.json.json {
            return session.output.json(&made);
        }
        let token = made.access_token.map(|token| token.token);
        let token = token.ok_or_else(|| {
            CliError::general("The server made an authorization without a token.")
        })?;
        if self.short {
            return session.output.line(token);
        }
        session.output.properties(&[
            ("Description", made.description),
            ("Id", made.id),
            ("Scope", made.scope.join(",")),
            ("Token", token),
        ])?;
        session.output.note("The token is shown only this once.")
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Revoke {
    /// The authorization's id
    id: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Revoke {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = format!("{PATH}/{}", encoded(&self.id));
        let message = format!("Revoking {}", self.id);
        let revoke = || client.delete(&path);
        session.output.action(&message, revoke, |_, ()| None)
    }
}
