//! `windlass dns`, `dns:check`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::error::{CliError, ErrorKind, Result};
use crate::output::{Style, Table};
use crate::session::Session;
use windlass_wire::{DnsCheck, DnsZone};

const PATH: &str = "/dns-zone";

/// What to do where there is no zone.
const NO_ZONE: &str = "This server answers for no zone. Its owner sets dns.zone and public_addresses: see docs/guides/dns.md.";

/// Commands about the zone that the server answers for.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum DnsCommand {
    /// Show the server's zone, and what to set in the zone above
    #[command(name = "dns")]
    Show(Show),
    /// Look whether the world asks the server about its zone
    #[command(name = "dns:check")]
    Check(Check),
}

impl DnsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Show(arguments) => arguments.run(session),
            Self::Check(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let zone: DnsZone = match session.client(&self.server)?.get(PATH) {
            Err(error) => return Err(explained(error)),
            Ok(zone) => zone,
        };
        if self.json.json {
            return session.output.json(&zone);
        }
        session.output.heading(&zone.name)?;
        let line = format!("Every host name in it leads to {}.", zone.addresses.join(" and "));
        session.output.line(line)?;
        session.output.line(format!("It is answered at {}.", zone.listen))?;
        session.output.line("")?;
        session.output.line(format!("Set in the zone above {}:", zone.name))?;
        session.output.line("")?;
        let mut table = Table::new(&["Name", "Type", "Value"]);
        for record in zone.parent_records {
            table.row(vec![record.name.into(), record.kind.into(), record.value.into()]);
        }
        session.output.table(&table)?;
        session.output.note("Then look at it with `windlass dns:check`.")
    }
}

fn explained(error: CliError) -> CliError {
    match error.kind {
        ErrorKind::NotFound => CliError::not_found(NO_ZONE),
        _ => error,
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Check {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let path = format!("{PATH}/actions/check");
        let checks: Vec<DnsCheck> =
            match session.client(&self.server)?.post(&path, &serde_json::json!({})) {
                Err(error) => return Err(explained(error)),
                Ok(checks) => checks,
            };
        if self.json.json {
            session.output.json(&checks)?;
        } else {
            for check in &checks {
                let (word, style) =
                    if check.ok { ("ok", Style::Green) } else { ("no", Style::Red) };
                let word = session.output.paint(style, word);
                session.output.line(format!("{word}  {}: {}", check.name, check.detail))?;
            }
        }
        match checks.iter().filter(|check| !check.ok).count() {
            0 => Ok(()),
            _ => Err(CliError::general("The zone does not work yet.")),
        }
    }
}
