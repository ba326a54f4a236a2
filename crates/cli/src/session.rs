//! What a running command works with: environment, input, output, and the way to the server.

use crate::arguments::{AppArguments, ServerArguments};
use crate::choice::choose;
use crate::client::{Client, Range, Warnings};
use crate::context::{Contexts, DEFAULT_URL, normalised_url};
use crate::environment::Environment;
use crate::error::{CliError, ErrorKind, Result};
use crate::git::{DEFAULT_REMOTE, Repository, app_of_url};
use crate::output::Output;
use crate::tls::Trust;
use std::io::{self, BufRead};
use windlass_wire::App;

/// One command's run.
pub struct Session {
    pub environment: Environment,
    pub input: Box<dyn BufRead>,
    pub output: Output,
    pub warnings: Warnings,
}

impl Session {
    /// That of the running process.
    pub fn of_process() -> Session {
        let environment = Environment::of_process();
        let output = Output::of_process(&environment);
        Session {
            environment,
            input: Box::new(io::BufReader::new(io::stdin())),
            output,
            warnings: Warnings::default(),
        }
    }

    /// The server's URL: `--server`, `--context`, `WINDLASS_URL`, `WINDLASS_CONTEXT`, the current
    /// login, this machine.
    pub fn server_url(&self, arguments: &ServerArguments) -> Result<String> {
        let variable = |name| self.environment.variable(name);
        if let Some(url) = &arguments.server {
            return normalised_url(url);
        }
        if let Some(name) = &arguments.context {
            return Contexts::load(&self.environment)?.find(name);
        }
        if let Some(url) = variable("WINDLASS_URL") {
            return normalised_url(url);
        }
        let contexts = Contexts::load(&self.environment)?;
        match variable("WINDLASS_CONTEXT") {
            Some(name) => contexts.find(name),
            None => Ok(contexts.current.unwrap_or_else(|| DEFAULT_URL.to_owned())),
        }
    }

    /// Whom to trust at a server.
    pub fn trust_for(&self, url: &str) -> Result<Trust> {
        Contexts::load(&self.environment)?.trust_for(url)
    }

    /// The token for a server: `WINDLASS_TOKEN`, the stored login, `HEROKU_API_KEY`.
    ///
    /// The last comes last because it may well be a key for Heroku itself.
    pub fn token_for(&self, url: &str) -> Result<Option<String>> {
        if let Some(token) = self.environment.variable("WINDLASS_TOKEN") {
            return Ok(Some(token.to_owned()));
        }
        let mut contexts = Contexts::load(&self.environment)?.contexts;
        let stored = contexts.remove(url).map(|login| login.token);
        let heroku = || self.environment.variable("HEROKU_API_KEY");
        Ok(stored.or_else(|| heroku().map(str::to_owned)))
    }

    /// A client with a token; without one the error says how to get it.
    pub fn client(&self, arguments: &ServerArguments) -> Result<Client> {
        let url = self.server_url(arguments)?;
        match self.token_for(&url)? {
            Some(token) => {
                let trust = self.trust_for(&url)?;
                Client::new(&url, trust, Some(token), self.warnings.clone())
            }
            None => Err(self.not_logged_in(&url)),
        }
    }

    /// The client and the app's name for a command that works on one app. A person at a terminal
    /// who named none may choose one of theirs.
    pub fn app_client(&mut self, arguments: &AppArguments) -> Result<(Client, String)> {
        let app = match self.app_name(arguments) {
            Err(error) if error.kind == ErrorKind::Usage && self.environment.is_person() => {
                let client = self.client(&arguments.server)?;
                let apps: Vec<App> = client.list("/users/~/apps", Range::All)?;
                let names: Vec<String> = apps.into_iter().map(|app| app.name).collect();
                let chosen = choose(self, &error.message, &names)?.ok_or(error)?;
                return Ok((client, chosen));
            }
            named => named?,
        };
        Ok((self.client(&arguments.server)?, app))
    }

    fn not_logged_in(&self, url: &str) -> CliError {
        let message = format!("You are not logged in to {url}.");
        let hint =
            "Run `windlass login`; the server printed the owner's token at its first start (lost? `windlass owner-token` there makes another)."
                .to_owned();
        CliError::new(ErrorKind::NotLoggedIn, message).hint(hint)
    }

    /// The app: `--app`, `WINDLASS_APP`, `HEROKU_APP`, or that of the git remote.
    ///
    /// An explicit `--remote` beats the variables.
    pub fn app_name(&self, arguments: &AppArguments) -> Result<String> {
        if let Some(app) = &arguments.app {
            return Ok(app.clone());
        }
        if arguments.remote.is_none() {
            for variable in ["WINDLASS_APP", "HEROKU_APP"] {
                if let Some(app) = self.environment.variable(variable) {
                    return Ok(app.to_owned());
                }
            }
        }
        let remote = arguments.remote.as_deref().unwrap_or(DEFAULT_REMOTE);
        let hint = "Pass --app NAME, set WINDLASS_APP, or run `windlass git:remote -a NAME` \
                    in the app's repository.";
        let Some(repository) = Repository::here(&self.environment) else {
            return Err(CliError::usage("No app given.").hint(hint));
        };
        let Some(url) = repository.remote_url(remote)? else {
            let message = format!("No app given, and this repository has no remote {remote}.");
            return Err(CliError::usage(message).hint(hint));
        };
        app_of_url(&url).ok_or_else(|| {
            CliError::usage(format!("The remote {remote} ({url}) names no app.")).hint(hint)
        })
    }

    /// Reads one line of input; empty at its end.
    pub fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.input
            .read_line(&mut line)
            .map_err(|error| CliError::file("Could not read standard input", &error))?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
