//! `windlass login`

use crate::arguments::ServerArguments;
use crate::client::Client;
use crate::commands::{browser_login, trust_on_first_use};
use crate::context::{Contexts, Login as StoredLogin, normalised_url};
use crate::error::{CliError, ErrorKind, Result};
use crate::session::Session;
use crate::terminal;
use windlass_wire::Account;

#[derive(Clone, Debug, clap::Args)]
pub struct Login {
    /// The server's URL [default: that of your last login, else http://localhost:8081]
    url: Option<String>,
    /// The token; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Log in by the browser: prove there who you are, with a passkey or a token that you have
    #[arg(long, conflicts_with = "token")]
    browser: bool,
    /// A short name for the server, for --context
    #[arg(long, value_name = "NAME", value_parser = short_name)]
    name: Option<String>,
    /// Trust the server's certificate, or its authority's, that has this fingerprint
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Login {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let url = match &self.url {
            Some(url) => normalised_url(url)?,
            None => session.server_url(&self.server)?,
        };
        let trust = trust_on_first_use::at(session, &url, self.fingerprint.as_deref())?;
        let certificate = trust_on_first_use::to_store(&trust);
        let token = match self.browser {
            true => {
                let client = Client::new(&url, trust.clone(), None, session.warnings.clone())?;
                browser_login::token(session, &client)?
            }
            false => token(self.token.as_deref(), &url, session)?,
        };
        let client = Client::new(&url, trust, Some(token.clone()), session.warnings.clone())?;
        let account: Account = client.get("/account").map_err(|error| refused(error, &url))?;
        let mut contexts = Contexts::load(&session.environment)?;
        let before = contexts.contexts.remove(&url).and_then(|login| login.name);
        let name = self.name.or(before);
        // A name is of one server.
        for login in contexts.contexts.values_mut().filter(|login| login.name == name) {
            login.name = None;
        }
        let login = StoredLogin { email: account.email.clone(), token, name, certificate };
        contexts.contexts.insert(url.clone(), login);
        contexts.current = Some(url.clone());
        contexts.save(&session.environment)?;
        let email = session.output.paint_error(crate::output::Style::Green, &account.email);
        session.output.note(format!("Logged in to {url} as {email}"))
    }
}

fn short_name(text: &str) -> std::result::Result<String, String> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.chars().all(usable) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and -_. make a name".to_owned()),
    }
}

fn token(given: Option<&str>, url: &str, session: &mut Session) -> Result<String> {
    let token = match given {
        Some("-") => session.read_line()?,
        Some(token) => token.to_owned(),
        None if session.environment.stdin_terminal => {
            terminal::ask_hidden(&mut session.output, &format!("Token for {url}: "))?
        }
        None => {
            return Err(CliError::usage("No token given, and no terminal to ask on.")
                .hint("Pass it on standard input: `windlass login --token - < FILE`."));
        }
    };
    let token = token.trim().to_owned();
    let usable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if usable {
        return Ok(token);
    }
    Err(CliError::usage("The token is empty or has characters that no token has."))
}

fn refused(error: CliError, url: &str) -> CliError {
    if error.kind != ErrorKind::NotLoggedIn {
        return error;
    }
    CliError::new(error.kind, format!("{url} does not accept this token.")).hint(
        "The server printed the owner's token at its first start; \
         others come from `windlass authorizations:create`.",
    )
}
