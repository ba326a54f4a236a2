//! `windlass registries`, `registry:login`, `registry:logout`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use crate::terminal;
use crate::time::with_age;
use ureq::http::Method;
use windlass_wire::{Registry, RegistryLogin};

const PATH: &str = "/registries";

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let registries: Vec<Registry> = session.client(&self.server)?.list(PATH, Range::All)?;
        if self.json.json {
            return session.output.json(&registries);
        }
        if registries.is_empty() {
            let note = "The server is logged in to no registry. Log in with `windlass registry:login HOST`.";
            return session.output.note(note);
        }
        let mut table = Table::new(&["Registry", "User", "Insecure", "Updated"]);
        for registry in registries {
            table.row(vec![
                registry.host.into(),
                registry.username.unwrap_or_else(|| "–".to_owned()).into(),
                if registry.insecure { "yes" } else { "no" }.to_owned().into(),
                with_age(&registry.updated_at, session.environment.now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

/// Logs the server in to a registry, for image:deploy and for base images of Dockerfiles.
#[derive(Clone, Debug, clap::Args)]
pub struct Login {
    /// The registry's host, and its port if it has one: registry.example.com:5000
    host: String,
    /// The user name [default: asked for]
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Read the password from standard input [default: asked for]
    #[arg(long)]
    password_stdin: bool,
    /// Take plain HTTP and certificates that cannot be checked; needs no user name
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Login {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let username = self.username(session)?;
        let password = match &username {
            Some(username) => Some(self.password(username, session)?),
            None => None,
        };
        let body = RegistryLogin { username, password, insecure: self.insecure };
        let path = format!("{PATH}/{}", encoded(&self.host));
        let message = format!("Logging the server in to {}", self.host);
        let registry: Registry = session.output.action(
            &message,
            || client.send(Method::PUT, &path, &body),
            |_, registry: &Registry| registry.username.clone(),
        )?;
        if self.json.json { session.output.json(&registry) } else { Ok(()) }
    }

    fn username(&self, session: &mut Session) -> Result<Option<String>> {
        if self.username.is_some() {
            return Ok(self.username.clone());
        }
        if self.insecure && !self.password_stdin {
            return Ok(None);
        }
        if self.password_stdin || !session.environment.stdin_terminal {
            return Err(CliError::usage("No user name given.").hint(format!(
                "For example: windlass registry:login {} --username NAME --password-stdin < FILE",
                self.host
            )));
        }
        session.output.error_bytes(format!("User name at {}: ", self.host).as_bytes())?;
        session.read_line().map(|name| Some(name.trim().to_owned()))
    }

    fn password(&self, username: &str, session: &mut Session) -> Result<String> {
        let password = if self.password_stdin {
            session.read_line()?
        } else if session.environment.stdin_terminal {
            let question = format!("Password of {username} at {}: ", self.host);
            terminal::ask_hidden(&mut session.output, &question)?
        } else {
            return Err(CliError::usage("No password given, and no terminal to ask on.")
                .hint("Pass it on standard input with --password-stdin."));
        };
        if password.is_empty() {
            return Err(CliError::usage("The password is empty."));
        }
        Ok(password)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Logout {
    /// The registry as `windlass registries` shows it
    host: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Logout {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = format!("{PATH}/{}", encoded(&self.host));
        let message = format!("Logging the server out of {}", self.host);
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}
