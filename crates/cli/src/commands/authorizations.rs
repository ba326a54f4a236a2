//! `windlass authorizations` and its family

use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use crate::time::{with_age, with_wait};
use jiff::Timestamp;
use windlass_wire::{Authorization, AuthorizationCreate, AuthorizationUpdate};

const PATH: &str = "/oauth/authorizations";

/// Commands about your tokens.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum AuthorizationsCommand {
    /// List your tokens
    #[command(name = "authorizations")]
    List(List),
    /// Make a new token
    #[command(name = "authorizations:create")]
    Create(Create),
    /// Show a token, but not its secret
    #[command(name = "authorizations:info")]
    Info(Info),
    /// Say what a token is for
    #[command(name = "authorizations:update")]
    Update(Update),
    /// Give a token another secret; the old one is good for nothing from then on
    #[command(name = "authorizations:rotate")]
    Rotate(Rotate),
    /// Make a token unusable
    #[command(name = "authorizations:revoke", alias = "authorizations:destroy")]
    Revoke(Revoke),
}

impl AuthorizationsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Create(arguments) => arguments.run(session),
            Self::Info(arguments) => arguments.run(session),
            Self::Update(arguments) => arguments.run(session),
            Self::Rotate(arguments) => arguments.run(session),
            Self::Revoke(arguments) => arguments.run(session),
        }
    }
}

fn path_of(id: &str) -> String {
    format!("{PATH}/{}", encoded(id))
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
        let list: Vec<Authorization> = session.client(&self.server)?.list(PATH, Range::All)?;
        if self.json.json {
            return session.output.json(&list);
        }
        let now = session.environment.now;
        let mut table =
            Table::new(&["Description", "Id", "Scope", "Created", "Last used", "Expires"]);
        for entry in list {
            let used = entry.last_used_at.map(|at| with_age(&at, now));
            let expires = entry.expires_at.map(|at| with_wait(&at, now));
            table.row(vec![
                entry.description.into(),
                entry.id.into(),
                entry.scope.join(",").into(),
                with_age(&entry.created_at, now).into(),
                used.unwrap_or_else(|| "never".to_owned()).into(),
                expires.unwrap_or_else(|| "never".to_owned()).into(),
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
    /// What it may be used for, with commas between: global, read, write, read-protected,
    /// write-protected, identity [default: global]
    #[arg(short, long, value_delimiter = ',', value_name = "SCOPES")]
    scope: Vec<String>,
    /// Seconds after which it is good for nothing [default: it does not expire]
    #[arg(short, long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// The code that your authenticator app shows, if you have a second factor
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Create {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?.with_two_factor_code(self.code);
        let body = AuthorizationCreate {
            description: self.description,
            scope: (!self.scope.is_empty()).then_some(self.scope),
            expires_in: self.expires_in,
        };
        let made: Authorization =
            session.output.action("Creating a token", || client.post(PATH, &body), |_, _| None)?;
        if self.json.json {
            return session.output.json(&made);
        }
        show_new(session, made, self.short)
    }
}

/// Prints a token whose secret is shown this once.
fn show_new(session: &mut Session, made: Authorization, short: bool) -> Result<()> {
    let token = made.access_token.as_ref().map(|token| token.token.clone());
    let token = token
        .ok_or_else(|| CliError::general("The server made an authorization without a token."))?;
    if short {
        return session.output.line(token);
    }
    let mut properties = described(made, session.environment.now);
    properties.push(("Token", token));
    session.output.properties(&properties)?;
    session.output.note("The token is shown only this once.")
}

fn described(made: Authorization, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut properties =
        vec![("Description", made.description), ("Id", made.id), ("Scope", made.scope.join(","))];
    properties.extend(made.expires_at.map(|at| ("Expires", with_wait(&at, now))));
    properties
}

#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    /// The authorization's id; `~` is the one in use
    id: String,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Info {
    fn run(self, session: &mut Session) -> Result<()> {
        let mut found: Authorization = session.client(&self.server)?.get(&path_of(&self.id))?;
        if self.json.json {
            return session.output.json(&found);
        }
        let now = session.environment.now;
        let created = with_age(&found.created_at, now);
        let used =
            found.last_used_at.take().map_or_else(|| "never".to_owned(), |at| with_age(&at, now));
        let mut properties = described(found, now);
        properties.extend([("Created", created), ("Last used", used)]);
        session.output.properties(&properties)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// The authorization's id
    id: String,
    /// What the token is for
    #[arg(short, long, value_name = "TEXT")]
    description: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Update {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let body = AuthorizationUpdate { description: Some(self.description) };
        let path = path_of(&self.id);
        let message = format!("Updating {}", self.id);
        let update = || client.patch(&path, &body);
        session.output.action(&message, update, |_, _: &Authorization| None)?;
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Rotate {
    /// The authorization's id
    id: String,
    /// Print only the token
    #[arg(short = 'S', long)]
    short: bool,
    /// The code that your authenticator app shows, if you have a second factor
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Rotate {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?.with_two_factor_code(self.code);
        let path = format!("{}/actions/regenerate-tokens", path_of(&self.id));
        let message = format!("Rotating {}", self.id);
        let rotate = || client.post(&path, &serde_json::json!({}));
        let made: Authorization = session.output.action(&message, rotate, |_, _| None)?;
        show_new(session, made, self.short)
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
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = path_of(&self.id);
        let message = format!("Revoking {}", self.id);
        let revoke = || client.delete(&path);
        session.output.action(&message, revoke, |_, ()| None)
    }
}
