//! `windlass login`

use crate::arguments::ServerArguments;
use crate::client::Client;
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
    #[command(flatten)]
    server: ServerArguments,
}

impl Login {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let url = match &self.url {
            Some(url) => normalised_url(url)?,
            None => session.server_url(&self.server)?,
        };
        let token = token(self.token.as_deref(), &url, session)?;
        let client = Client::new(&url, Some(token.clone()), session.warnings.clone())?;
        let account: Account = client.get("/account").map_err(|error| refused(error, &url))?;
        let mut contexts = Contexts::load(&session.environment)?;
        let login = StoredLogin { email: account.email.clone(), token };
        contexts.contexts.insert(url.clone(), login);
        contexts.current = Some(url.clone());
        contexts.save(&session.environment)?;
        let email = session.output.paint_error(crate::output::Style::Green, &account.email);
        session.output.note(format!("Logged in to {url} as {email}"))
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
