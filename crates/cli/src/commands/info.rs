//! `windlass info`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Range;
use crate::error::Result;
use crate::session::Session;
use crate::time::with_age;
use windlass_wire::{App, Domain, Formation};

#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    /// The app, as with --app
    #[arg(conflicts_with = "app")]
    name: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Info {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let mut arguments = self.app;
        arguments.app = arguments.app.or(self.name);
        let (client, name) = session.app_client(&arguments)?;
        let app: App = client.get(&app_path(&name, ""))?;
        let formation: Vec<Formation> = client.list(&app_path(&name, "/formation"), Range::All)?;
        let domains: Vec<Domain> = client.list(&app_path(&name, "/domains"), Range::All)?;
        if self.json.json {
            let all = serde_json::json!({
                "app": app, "formation": formation, "domains": domains,
            });
            return session.output.json(&all);
        }
        let now = session.environment.now;
        let released = app.released_at.as_deref().map(|time| with_age(time, now));
        let mut properties = vec![
            ("Web URL", app.web_url),
            ("Git URL", app.git_url),
            ("Owner", app.owner.email),
            ("Processes", processes(&formation)),
            ("Domains", custom_domains(&domains)),
            ("Stack", app.stack.name),
            ("Repo size", app.repo_size.map(size).unwrap_or_default()),
            ("Image size", app.slug_size.map(size).unwrap_or_default()),
            ("Maintenance", if app.maintenance { "on" } else { "" }.to_owned()),
            ("Created", with_age(&app.created_at, now)),
            ("Last release", released.unwrap_or_else(|| "none".to_owned())),
        ];
        properties.retain(|(_, value)| !value.is_empty());
        session.output.heading(&app.name)?;
        session.output.properties(&properties)
    }
}

fn processes(formation: &[Formation]) -> String {
    let counts = formation.iter().map(|entry| format!("{}={}", entry.process_type, entry.quantity));
    counts.collect::<Vec<_>>().join(" ")
}

fn custom_domains(domains: &[Domain]) -> String {
    let custom = domains.iter().filter(|domain| domain.kind == "custom");
    let names: Vec<_> = custom.map(|domain| domain.hostname.as_str()).collect();
    names.join(" ")
}

/// Bytes in the largest unit that leaves at least one: `12 kB`, `3.4 MB`.
fn size(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let bytes = bytes as f64;
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}
