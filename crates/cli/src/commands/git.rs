//! `windlass git:remote` and `windlass git:credentials`

use super::app_path;
use crate::arguments::{AppArguments, ServerArguments};
use crate::context::{Contexts, DEFAULT_URL};
use crate::environment::Environment;
use crate::error::{CliError, Result};
use crate::git::{DEFAULT_REMOTE, Repository, origin_of_url};
use crate::session::Session;
use windlass_wire::App;

#[derive(Clone, Debug, clap::Args)]
pub struct Remote {
    #[command(flatten)]
    app: AppArguments,
}

impl Remote {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let remote = self.app.remote.clone();
        // The remote names what is to be set here, not where the app is read from.
        let mut named = self.app;
        if named.app.is_some() {
            named.remote = None;
        }
        let (client, app) = session.app_client(&named)?;
        let app: App = client.get(&app_path(&app, ""))?;
        if Repository::here(&session.environment).is_none() {
            return Err(CliError::usage("This folder is not in a git repository.")
                .hint("Run `git init` first."));
        }
        let remote = remote.as_deref().unwrap_or(DEFAULT_REMOTE);
        connect_repository(session, client.base(), &app, remote)
    }
}

/// Sets the remote and, for HTTP, the credential helper; says what was done.
pub fn connect_repository(
    session: &mut Session,
    server: &str,
    app: &App,
    remote: &str,
) -> Result<()> {
    let Some(repository) = Repository::here(&session.environment) else {
        let name = &app.name;
        session.output.note(format!("Deploy this folder with: windlass deploy -a {name}"))?;
        let git = format!("To push with git: windlass git:remote -a {name} in its repository");
        return session.output.note(git);
    };
    repository.set_remote(remote, &app.git_url)?;
    let mut notes = vec![format!("Set git remote {remote} to {}", app.git_url)];
    if let Some(origin) = origin_of_url(&app.git_url) {
        let helper = helper_command(&session.environment, server, &origin);
        repository.set_credential_helper(&origin, &helper)?;
        notes.push(format!("Git uses your Windlass login for {origin}"));
    }
    notes.push(format!("Deploy with: git push {remote} main"));
    notes.iter().try_for_each(|note| session.output.note(note))
}

/// What git runs for credentials: `!windlass git:credentials`.
///
/// The program's full path is used if `PATH` does not lead to one, and the server is
/// named if git's URL does not already tell it.
pub(super) fn helper_command(environment: &Environment, server: &str, origin: &str) -> String {
    let program = match environment.find_program("windlass") {
        Some(_) => "windlass".to_owned(),
        None => match std::env::current_exe() {
            Ok(path) => shell_quoted(&path.to_string_lossy()),
            Err(_) => "windlass".to_owned(),
        },
    };
    let mut command = format!("!{program} git:credentials");
    if origin_of_url(server).as_deref() != Some(origin) {
        command.push_str(&format!(" --server {}", shell_quoted(server)));
    }
    command
}

/// Git hands the helper to a shell, so what is not plain is quoted.
fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Git's credential helper protocol: `get` answers, `store` and `erase` change nothing.
#[derive(Clone, Debug, clap::Args)]
pub struct Credentials {
    /// What git wants: get, store or erase
    action: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Credentials {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let mut protocol = String::new();
        let mut host = String::new();
        loop {
            let line = session.read_line()?;
            match line.split_once('=') {
                Some(("protocol", value)) => protocol = value.to_owned(),
                Some(("host", value)) => host = value.to_owned(),
                Some(_) => {}
                None if line.is_empty() => break,
                None => {}
            }
        }
        if self.action.as_deref().unwrap_or("get") != "get" {
            return Ok(());
        }
        let asked = origin_of_url(&format!("{protocol}://{host}"));
        let Some(token) = self.token(session, asked.as_deref())? else {
            // No answer lets git ask its other helpers and then the user.
            return Ok(());
        };
        session.output.line("username=windlass")?;
        session.output.line(format!("password={token}"))
    }

    /// The token of the server named, else of the one whose URL git asks about.
    fn token(&self, session: &Session, asked: Option<&str>) -> Result<Option<String>> {
        if self.server.server.is_some() {
            let url = session.server_url(&self.server)?;
            return session.token_for(&url);
        }
        let contexts = Contexts::load(&session.environment)?;
        let of_variable = session.environment.variable("WINDLASS_URL");
        let current = contexts.current.as_deref().unwrap_or(DEFAULT_URL);
        let mut known = std::iter::once(of_variable.unwrap_or(current))
            .chain(contexts.contexts.keys().map(String::as_str));
        match known.find(|url| asked.is_some() && origin_of_url(url).as_deref() == asked) {
            Some(url) => session.token_for(url),
            None => Ok(None),
        }
    }
}
