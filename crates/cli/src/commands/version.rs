//! `windlass version`

use crate::arguments::JsonArguments;
use crate::error::Result;
use crate::session::Session;
use std::env::consts::{ARCH, OS};

#[derive(Clone, Debug, clap::Args)]
pub struct Version {
    #[command(flatten)]
    json: JsonArguments,
}

impl Version {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        if self.json.json {
            let value = serde_json::json!({ "version": version, "architecture": ARCH, "os": OS });
            return session.output.json(&value);
        }
        session.output.line(format!("windlass/{version} {ARCH}-{OS}"))
    }
}
