//! `windlass whoami`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::error::Result;
use crate::session::Session;
use windlass_wire::Account;

#[derive(Clone, Debug, clap::Args)]
pub struct Whoami {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Whoami {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let account: Account = session.client(&self.server)?.get("/account")?;
        if self.json.json {
            return session.output.json(&account);
        }
        session.output.line(account.email)
    }
}
