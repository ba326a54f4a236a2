//! `windlass logout`

use crate::arguments::ServerArguments;
use crate::context::{Contexts, normalised_url};
use crate::error::Result;
use crate::session::Session;

#[derive(Clone, Debug, clap::Args)]
pub struct Logout {
    /// The server's URL [default: that of your last login]
    url: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Logout {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let url = match &self.url {
            Some(url) => normalised_url(url)?,
            None => session.server_url(&self.server)?,
        };
        let mut contexts = Contexts::load(&session.environment)?;
        if contexts.contexts.remove(&url).is_none() {
            return session.output.note(format!("You were not logged in to {url}"));
        }
        if contexts.current.as_deref() == Some(url.as_str()) {
            contexts.current = contexts.contexts.keys().next().cloned();
        }
        contexts.save(&session.environment)?;
        session.output.note(format!("Logged out of {url}"))?;
        match &contexts.current {
            Some(next) => session.output.note(format!("Commands now go to {next}")),
            None => Ok(()),
        }
    }
}
