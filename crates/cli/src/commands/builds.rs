//! `windlass builds`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Range;
use crate::error::Result;
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::time::with_age;
use windlass_wire::Build;

#[derive(Clone, Debug, clap::Args)]
pub struct Builds {
    /// How many to show, the newest first
    #[arg(short, long, value_name = "NUMBER", default_value_t = 15)]
    num: u32,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Builds {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/builds");
        let builds: Vec<Build> = client.list(&path, Range::NewestCreated(self.num))?;
        if self.json.json {
            return session.output.json(&builds);
        }
        if builds.is_empty() {
            return session.output.note(format!("{app} has no builds."));
        }
        let mut table = Table::new(&["Build", "Status", "Version", "Stack", "By", "Created"]);
        for build in builds {
            let style = match build.status.as_str() {
                "succeeded" => Style::Green,
                "failed" => Style::Red,
                _ => Style::Yellow,
            };
            let version = build.source_blob.version.unwrap_or_default();
            table.row(vec![
                build.id.into(),
                Cell::styled(build.status, style),
                version.chars().take(8).collect::<String>().into(),
                build.stack.into(),
                build.user.email.into(),
                with_age(&build.created_at, session.environment.now).into(),
            ]);
        }
        session.output.heading(&format!("{app} Builds"))?;
        session.output.table(&table)
    }
}
