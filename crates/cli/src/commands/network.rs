//! `windlass network`, `network:link`, `network:unlink`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::{Style, Table};
use crate::session::Session;
use std::collections::BTreeMap;
use windlass_wire::{Dyno, NetworkLink, NetworkLinkCreate};

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let links: Vec<NetworkLink> = client.list(&app_path(&app, "/network-links"), Range::All)?;
        if self.json.json {
            return session.output.json(&links);
        }
        let dynos: Vec<Dyno> = client.list(&app_path(&app, "/dynos"), Range::All)?;
        let names = names(&app, &dynos);
        session.output.heading(&format!("{app} Private network"))?;
        if names.is_empty() {
            session.output.note(format!("No instance of {app} is up, so it has no names now."))?;
        } else {
            let mut table = Table::new(&["Name", "Instances"]);
            for (name, instances) in names {
                table.row(vec![name.into(), instances.join(", ").into()]);
            }
            session.output.table(&table)?;
        }
        session.output.line("")?;
        match links.is_empty() {
            true => {
                session.output.line("Linked with no other app: only its own instances see them.")
            }
            false => {
                let linked: Vec<&str> =
                    links.iter().map(|link| link.linked_app.name.as_str()).collect();
                session.output.line(format!("Linked with {}", linked.join(", ")))
            }
        }
    }
}

/// Returns the names of the app's process types, with the instances that are up now. Each of these
/// has a name of its own too: its number before its type's.
fn names(app: &str, dynos: &[Dyno]) -> Vec<(String, Vec<String>)> {
    let mut types: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for dyno in dynos.iter().filter(|dyno| dyno.state == "up" && dyno.process_type != "run") {
        types.entry(&dyno.process_type).or_default().push(dyno.name.clone());
    }
    let named = types.into_iter().map(|(kind, mut instances)| {
        instances.sort_by_key(|name| (name.len(), name.clone()));
        (format!("{kind}.{app}.internal"), instances)
    });
    named.collect()
}

#[derive(Clone, Debug, clap::Args)]
pub struct Link {
    /// The other app; instances of both reach each other
    #[arg(value_name = "OTHER_APP")]
    other: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Link {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/network-links");
        let other = session.output.paint_error(Style::Green, &self.other);
        let message = format!("Linking {} with {other}", session.output.app(&app));
        let body = NetworkLinkCreate { linked_app: self.other };
        let link: NetworkLink =
            session.output.action(&message, || client.post(&path, &body), |_, _| None)?;
        if self.json.json {
            return session.output.json(&link);
        }
        let other = &link.linked_app.name;
        session.output.note(format!(
            "Instances of {app} find {other} at web.{other}.internal, and the other way round at web.{app}.internal."
        ))
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Unlink {
    /// The other app
    #[arg(value_name = "OTHER_APP")]
    other: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Unlink {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/network-links/{}", encoded(&self.other)));
        let other = session.output.paint_error(Style::Green, &self.other);
        let message = format!("Unlinking {} from {other}", session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}
