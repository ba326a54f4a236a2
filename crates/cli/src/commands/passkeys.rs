//! `windlass passkeys`, `passkeys:add`, `passkeys:rename`, `passkeys:remove`

use super::browser_login;
use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use crate::time::with_age;
use windlass_wire::{Passkey, PasskeyLink, PasskeyUpdate};

const PATH: &str = "/account/passkeys";

/// Commands about your passkeys.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum PasskeysCommand {
    /// List your passkeys
    #[command(name = "passkeys")]
    List(List),
    /// Open the page on which your browser adds a passkey, or print its URL
    #[command(name = "passkeys:add")]
    Add(Add),
    /// Give a passkey another name
    #[command(name = "passkeys:rename")]
    Rename(Rename),
    /// Remove a passkey: it logs you in no more
    #[command(name = "passkeys:remove")]
    Remove(Remove),
}

impl PasskeysCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Rename(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let passkeys: Vec<Passkey> = session.client(&self.server)?.list(PATH, Range::All)?;
        if self.json.json {
            return session.output.json(&passkeys);
        }
        if passkeys.is_empty() {
            let note = "You have no passkeys. Add one with `windlass passkeys:add`.";
            return session.output.note(note);
        }
        let now = session.environment.now;
        let mut table = Table::new(&["Name", "Id", "Added", "Last used", "Synced"]);
        for passkey in passkeys {
            let synced = if passkey.synced { "yes" } else { "no" };
            let used =
                passkey.last_used_at.map_or_else(|| "never".to_owned(), |at| with_age(&at, now));
            table.row(vec![
                passkey.name.into(),
                passkey.id.into(),
                with_age(&passkey.created_at, now).into(),
                used.into(),
                synced.into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// Your two-factor code, if you have a second factor
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?.with_two_factor_code(self.code);
        let link: PasskeyLink = client.post(&format!("{PATH}/links"), &serde_json::json!({}))?;
        if self.json.json {
            return session.output.json(&link);
        }
        if browser_login::show(session, &link.url) {
            return session.output.note(format!("Opened {}", link.url));
        }
        session.output.line(&link.url)?;
        session.output.note(
            "Open this page on the device that is to log you in. It is good for a quarter of an \
             hour, in one browser.",
        )
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Rename {
    /// The passkey's name or id
    passkey: String,
    /// What it is to be called
    name: String,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Rename {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let passkey = find(&client, &self.passkey)?;
        let path = format!("{PATH}/{}", encoded(&passkey.id));
        let body = PasskeyUpdate { name: self.name };
        let message = format!("Renaming the passkey {}", passkey.name);
        let rename = || client.patch(&path, &body);
        let renamed = session
            .output
            .action(&message, rename, |_, renamed: &Passkey| Some(renamed.name.clone()))?;
        if self.json.json { session.output.json(&renamed) } else { Ok(()) }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// The passkey's name or id
    passkey: String,
    /// Your two-factor code, if you have a second factor
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Remove {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?.with_two_factor_code(self.code);
        let passkey = find(&client, &self.passkey)?;
        let path = format!("{PATH}/{}", encoded(&passkey.id));
        let message = format!("Removing the passkey {}", passkey.name);
        session.output.action(&message, || client.delete(&path), |_, ()| None)?;
        if self.json.json {
            return session.output.json(&passkey);
        }
        session.output.note("Delete it on your device too: it goes on offering it.")
    }
}

/// Finds one of one's own passkeys by name or id.
fn find(client: &Client, named: &str) -> Result<Passkey> {
    let mut passkeys: Vec<Passkey> = client.list(PATH, Range::All)?;
    passkeys.retain(|passkey| passkey.name == named || passkey.id == named);
    match passkeys.len() {
        0 => {
            let message = format!("You have no passkey {named}.");
            Err(CliError::not_found(message).hint("`windlass passkeys` lists them."))
        }
        1 => Ok(passkeys.remove(0)),
        several => {
            let message = format!("{several} passkeys are called {named}.");
            Err(CliError::usage(message).hint("Name the one by its id."))
        }
    }
}
