//! `windlass apps`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::Range;
use crate::error::Result;
use crate::output::Table;
use crate::session::Session;
use crate::time::with_age;
use windlass_wire::App;

#[derive(Clone, Debug, clap::Args)]
pub struct Apps {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Apps {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let mut apps: Vec<App> = client.list("/apps", Range::All)?;
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        if self.json.json {
            return session.output.json(&apps);
        }
        if apps.is_empty() {
            let note = "You have no apps. Make one with `windlass create`.";
            return session.output.note(note);
        }
        let mut table = Table::new(&["App", "URL", "Last release"]);
        for app in apps {
            let released = app.released_at.as_deref();
            let released = released.map(|time| with_age(time, session.environment.now));
            table.row(vec![
                app.name.into(),
                app.web_url.into(),
                released.unwrap_or_else(|| "none".to_owned()).into(),
            ]);
        }
        session.output.table(&table)
    }
}
