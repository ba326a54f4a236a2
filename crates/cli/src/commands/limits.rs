//! `windlass limits` and its family, and `ps:type`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use std::collections::BTreeMap;
use windlass_wire::{Formation, FormationBatchUpdate, FormationUpdate, Limits, LimitsUpdate};

/// Commands about what an app's processes may take.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum LimitsCommand {
    /// Show the limits and reservations of an app's process types
    #[command(name = "limits")]
    List(List),
    /// Set limits and reservations of a process type
    #[command(name = "limits:set")]
    Set(Set),
    /// Go back to the defaults
    #[command(name = "limits:unset")]
    Unset(Unset),
    /// Show or change the size of process types
    #[command(name = "ps:type", aliases = ["ps:resize", "resize", "dyno:type", "dyno:resize"])]
    Type(Type),
}

impl LimitsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Set(arguments) => arguments.run(session),
            Self::Unset(arguments) => arguments.run(session),
            Self::Type(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let limits: Vec<Limits> = client.list(&app_path(&app, "/limits"), Range::All)?;
        if self.json.json {
            return session.output.json(&limits);
        }
        if limits.is_empty() {
            let note = format!("{app} has no process types yet; they come with a release.");
            return session.output.note(note);
        }
        show(session, &limits)
    }
}

/// One row a process type; what is not the server's default says who set it.
fn show(session: &mut Session, limits: &[Limits]) -> Result<()> {
    let Some(first) = limits.first() else { return Ok(()) };
    let names = first.limits.iter().map(|limit| limit.name.as_str());
    let header: Vec<&str> = std::iter::once("process").chain(names).collect();
    let mut table = Table::new(&header);
    for of in limits {
        let values = of.limits.iter().map(|limit| match (&limit.value, limit.source.as_str()) {
            (None, _) => Cell::styled("none", Style::Dim),
            (Some(value), "server") => Cell::from(value.as_str()),
            (Some(value), source) => Cell::from(format!("{value} ({source})")),
        });
        table.row(std::iter::once(Cell::from(of.process_type.as_str())).chain(values).collect());
    }
    session.output.table(&table)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// The process type, for example web; run for one-off processes
    process: String,
    /// memory=256M, cpu=0.5, processes=64, disk=1G, reserve-memory=128M, reserve-cpu=0.25, size=Standard-2X
    #[arg(value_name = "LIMIT=VALUE", required = true)]
    limits: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Set {
    fn run(self, session: &mut Session) -> Result<()> {
        let mut limits = BTreeMap::new();
        for text in &self.limits {
            let Some((name, value)) = text.split_once('=').filter(|(_, value)| !value.is_empty())
            else {
                return Err(CliError::usage(format!("{text} is no limit."))
                    .hint("Write it like memory=256M or cpu=0.5."));
            };
            limits.insert(name.to_owned(), Some(value.to_owned()));
        }
        change(session, &self.app, &self.process, &LimitsUpdate { limits })
    }
}

fn change(
    session: &mut Session,
    app: &AppArguments,
    process: &str,
    body: &LimitsUpdate,
) -> Result<()> {
    let (client, app) = session.app_client(app)?;
    let path = app_path(&app, &format!("/limits/{}", encoded(process)));
    let message = format!("Setting limits of {process} on {}", session.output.app(&app));
    let change = || client.patch(&path, body);
    let mut limits: Vec<Limits> = session.output.action(&message, change, |_, _| None)?;
    limits.retain(|of| of.process_type == process);
    show(session, &limits)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Unset {
    /// The process type, for example web
    process: String,
    /// Which of them, for example memory [default: all, and the size]
    limits: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Unset {
    fn run(self, session: &mut Session) -> Result<()> {
        if !self.limits.is_empty() {
            let limits = self.limits.iter().map(|name| (name.clone(), None)).collect();
            return change(session, &self.app, &self.process, &LimitsUpdate { limits });
        }
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/limits/{}", encoded(&self.process)));
        let message =
            format!("Unsetting limits of {} on {}", self.process, session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Type {
    /// TYPE=SIZE, or one size for all process types
    #[arg(value_name = "TYPE=SIZE")]
    sizes: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Type {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/formation");
        let mut formation: Vec<Formation> = client.list(&path, Range::All)?;
        let updates = updates(&self.sizes, &formation)?;
        if !updates.is_empty() {
            let message = format!("Changing sizes on {}", session.output.app(&app));
            let body = FormationBatchUpdate { updates };
            let change = || client.patch(&path, &body);
            formation = session.output.action(&message, change, |_, _| None)?;
        }
        if self.json.json {
            return session.output.json(&formation);
        }
        if formation.is_empty() {
            let note = format!("{app} has no process types yet; they come with a release.");
            return session.output.note(note);
        }
        let mut table = Table::new(&["Process", "Size", "Count"]);
        for of in &formation {
            let count = of.quantity.to_string();
            let cells = [of.process_type.as_str(), of.size.as_str(), count.as_str()];
            table.row(cells.into_iter().map(Cell::from).collect());
        }
        session.output.table(&table)
    }
}

/// `web=Standard-2X worker=Basic`, or `Standard-2X` for all.
fn updates(sizes: &[String], formation: &[Formation]) -> Result<Vec<FormationUpdate>> {
    let update = |process_type: &str, size: &str| FormationUpdate {
        process_type: process_type.to_owned(),
        quantity: None,
        size: Some(size.to_owned()),
    };
    if let [size] = sizes
        && !size.contains('=')
    {
        return Ok(formation.iter().map(|of| update(&of.process_type, size)).collect());
    }
    let parsed = sizes.iter().map(|text| match text.split_once('=') {
        Some((process, size)) if !process.is_empty() && !size.is_empty() => {
            Ok(update(process, size))
        }
        _ => Err(CliError::usage(format!("{text} is no size of a process type."))
            .hint("Write it like web=Standard-2X.")),
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_one_type_or_for_all() {
        let sizes = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let parsed = updates(&words, &[]).ok()?;
            let pairs = parsed.into_iter().map(|u| (u.process_type, u.size.unwrap_or_default()));
            Some(pairs.collect::<Vec<_>>())
        };
        let pair = |process: &str, size: &str| (process.to_owned(), size.to_owned());
        assert_eq!(
            sizes(&["web=Standard-2X", "worker=Basic"]),
            Some(vec![pair("web", "Standard-2X"), pair("worker", "Basic")])
        );
        assert_eq!(sizes(&[]), Some(Vec::new()));
        for wrong in [&["web="][..], &["=Basic"], &["Basic", "web=Basic"]] {
            assert_eq!(sizes(wrong), None, "{wrong:?}");
        }
    }
}
