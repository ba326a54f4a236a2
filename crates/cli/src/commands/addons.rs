//! `windlass addons`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Range;
use crate::error::Result;
use crate::output::Table;
use crate::session::Session;
use serde_json::Value;

/// Lists an app's add-ons.
#[derive(Clone, Debug, clap::Args)]
pub struct Addons {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Addons {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let addons: Vec<Value> = client.list(&app_path(&app, "/addons"), Range::All)?;
        if self.json.json {
            return session.output.json(&addons);
        }
        if addons.is_empty() {
            return session.output.note(format!(
                "{app} has no add-ons: this server has none to give yet. Run the service beside it and set its address: windlass config:set DATABASE_URL=…"
            ));
        }
        let mut table = Table::new(&["Add-on", "Plan", "State"]);
        for addon in addons {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            table.row(vec![
                text(&addon["name"]).into(),
                text(&addon["plan"]["name"]).into(),
                text(&addon["state"]).into(),
            ]);
        }
        session.output.table(&table)
    }
}
