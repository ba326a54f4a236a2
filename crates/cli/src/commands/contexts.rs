//! `windlass contexts`, `contexts:use` and `auth:token`: the logins to several servers.

use crate::arguments::{JsonArguments, ServerArguments};
use crate::context::Contexts;
use crate::error::{CliError, ErrorKind, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::tls::Trust;
use serde::Serialize;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum ContextsCommand {
    /// List the servers that you are logged in to
    #[command(name = "contexts", alias = "contexts:list")]
    List(List),
    /// Have commands go to another of your servers from now on
    #[command(name = "contexts:use", alias = "contexts:switch")]
    Use(Use),
    /// Print your token for a server
    #[command(name = "auth:token")]
    Token(Token),
}

impl ContextsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            ContextsCommand::List(arguments) => arguments.run(session),
            ContextsCommand::Use(arguments) => arguments.run(session),
            ContextsCommand::Token(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    json: JsonArguments,
}

/// A login as it is shown.
#[derive(Serialize)]
struct Shown {
    name: Option<String>,
    url: String,
    email: String,
    current: bool,
    /// SHA-256 of the certificate that is trusted there; `None`: the system's store decides.
    fingerprint: Option<String>,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let contexts = Contexts::load(&session.environment)?;
        let shown: Result<Vec<Shown>> = contexts
            .contexts
            .iter()
            .map(|(url, login)| {
                Ok(Shown {
                    name: login.name.clone(),
                    url: url.clone(),
                    email: login.email.clone(),
                    current: contexts.current.as_ref() == Some(url),
                    fingerprint: match contexts.trust_for(url)? {
                        Trust::Pinned(certificate) => Some(certificate.fingerprint()),
                        Trust::System => None,
                    },
                })
            })
            .collect();
        let shown = shown?;
        if self.json.json {
            return session.output.json(&shown);
        }
        if shown.is_empty() {
            return session.output.note("You are not logged in to any server.");
        }
        let mut table = Table::new(&["", "Name", "Server", "Account", "Certificate"]);
        for login in &shown {
            let certificate = match &login.fingerprint {
                Some(fingerprint) => format!("pinned {}…", fingerprint.get(..11).unwrap_or("")),
                None => String::new(),
            };
            table.row(vec![
                Cell::styled(if login.current { "*" } else { "" }, Style::Green),
                login.name.as_deref().unwrap_or("").into(),
                login.url.as_str().into(),
                login.email.as_str().into(),
                Cell::styled(certificate, Style::Dim),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Use {
    /// The login: its name, its URL, or the host in it
    name: String,
}

impl Use {
    fn run(self, session: &mut Session) -> Result<()> {
        let mut contexts = Contexts::load(&session.environment)?;
        let url = contexts.find(&self.name)?;
        contexts.current = Some(url.clone());
        contexts.save(&session.environment)?;
        session.output.note(format!("Commands now go to {url}"))
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Token {
    #[command(flatten)]
    server: ServerArguments,
}

impl Token {
    fn run(self, session: &mut Session) -> Result<()> {
        let url = session.server_url(&self.server)?;
        match session.token_for(&url)? {
            Some(token) => session.output.line(token),
            None => {
                let message = format!("You are not logged in to {url}.");
                Err(CliError::new(ErrorKind::NotLoggedIn, message).hint("Run `windlass login`."))
            }
        }
    }
}
