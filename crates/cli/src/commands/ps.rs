//! `windlass ps`, `ps:scale`, `ps:restart`, `ps:stop`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Style;
use crate::session::Session;
use crate::time::with_age;
use std::collections::BTreeMap;
use ureq::http::Method;
use windlass_wire::{Dyno, Formation, FormationBatchUpdate, FormationUpdate};

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut processes: Vec<Dyno> = client.list(&app_path(&app, "/dynos"), Range::All)?;
        if self.json.json {
            return session.output.json(&processes);
        }
        if processes.is_empty() {
            return session.output.note(format!(
                "No process of {app} runs. Deploy it, or see `windlass ps:scale -a {app}` for what can be started."
            ));
        }
        processes.sort_by_key(|process| number_of(&process.name));
        let mut groups: BTreeMap<(bool, String), Vec<Dyno>> = BTreeMap::new();
        for process in processes {
            // One-offs are listed together, after the formation.
            let one_off = process.process_type == "run";
            let group = (one_off, process.process_type.clone());
            groups.entry(group).or_default().push(process);
        }
        for (index, ((one_off, _), members)) in groups.iter().enumerate() {
            if index > 0 {
                session.output.line("")?;
            }
            show_group(session, *one_off, members)?;
        }
        Ok(())
    }
}

fn show_group(session: &mut Session, one_off: bool, members: &[Dyno]) -> Result<()> {
    let Some(first) = members.first() else {
        return Ok(());
    };
    let count = members.len();
    session.output.heading(&if one_off {
        format!("run: one-off processes ({count})")
    } else {
        let Dyno { process_type, size, command, .. } = first;
        format!("{process_type} ({size}): {command} ({count})")
    })?;
    for process in members {
        let style = match process.state.as_str() {
            "up" => Style::Green,
            "crashed" | "down" => Style::Red,
            _ => Style::Yellow,
        };
        let state = match &process.reason {
            Some(reason) => format!("{} ({reason})", process.state),
            None => process.state.clone(),
        };
        let state = session.output.paint(style, &state);
        let since = with_age(&process.updated_at, session.environment.now);
        let since = session.output.paint(Style::Dim, &since);
        let command = match one_off {
            true => format!(": {}", process.command),
            false => String::new(),
        };
        let name = &process.name;
        session.output.line(format!("{name}: {state} {since}{command}"))?;
    }
    Ok(())
}

/// The number behind the last dot, so that web.10 comes after web.9.
fn number_of(name: &str) -> u64 {
    let number = name.rsplit('.').next().and_then(|text| text.parse().ok());
    number.unwrap_or(u64::MAX)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Scale {
    /// TYPE=COUNT, TYPE+COUNT or TYPE-COUNT, also with a size: web=2:Standard-1X
    #[arg(value_name = "TYPE=COUNT")]
    changes: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Scale {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let updates = self.changes.iter().map(|text| parse_scale(text));
        let updates = updates.collect::<Result<Vec<FormationUpdate>>>()?;
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/formation");
        if updates.is_empty() {
            let formation: Vec<Formation> = client.list(&path, Range::All)?;
            if self.json.json {
                return session.output.json(&formation);
            }
            if formation.is_empty() {
                let note = format!("{app} has no process types yet; they come with a release.");
                return session.output.note(note);
            }
            let entries =
                formation.iter().map(|f| format!("{}={}:{}", f.process_type, f.quantity, f.size));
            return session.output.line(entries.collect::<Vec<_>>().join(" "));
        }
        let changed: Vec<_> = updates.iter().map(|u| u.process_type.clone()).collect();
        let body = FormationBatchUpdate { updates };
        let formation: Vec<Formation> = session.output.action(
            "Scaling processes",
            || client.patch(&path, &body),
            |output, formation: &Vec<Formation>| {
                let changed = formation.iter().filter(|f| changed.contains(&f.process_type));
                let running = changed.map(|f| {
                    let process_type = output.paint_error(Style::Green, &f.process_type);
                    format!("{process_type} at {}:{}", f.quantity, f.size)
                });
                let running: Vec<_> = running.collect();
                Some(format!("now running {}", running.join(", ")))
            },
        )?;
        if self.json.json {
            return session.output.json(&formation);
        }
        Ok(())
    }
}

/// `web=2`, `web+1`, `web-1`, `web=2:size`; types may hold hyphens themselves.
fn parse_scale(text: &str) -> Result<FormationUpdate> {
    let invalid = || {
        CliError::usage(format!("{text} is no change of scale."))
            .hint("Write it like web=2, worker+1 or worker-1.")
    };
    let (change, size) = match text.split_once(':') {
        Some((change, size)) if !size.is_empty() => (change, Some(size.to_owned())),
        Some(_) => return Err(invalid()),
        None => (text, None),
    };
    let at = change.rfind(['=', '+', '-']).ok_or_else(invalid)?;
    let (process_type, amount) = change.split_at(at);
    let digits = &amount[1..];
    let valid_type = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let valid = !process_type.is_empty()
        && process_type.chars().all(valid_type)
        && digits.parse::<u32>().is_ok()
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return Err(invalid());
    }
    let quantity = amount.strip_prefix('=').unwrap_or(amount);
    Ok(FormationUpdate {
        process_type: process_type.to_owned(),
        quantity: Some(quantity.into()),
        size,
    })
}

#[derive(Clone, Debug, clap::Args)]
pub struct Restart {
    /// A process (web.1) or a type (web) [default: all]
    name: Option<String>,
    /// A type, as Heroku has it
    #[arg(short, long, value_name = "TYPE", conflicts_with = "name")]
    process_type: Option<String>,
    /// A process, as Heroku has it
    #[arg(short, long, value_name = "NAME", conflicts_with_all = ["name", "process_type"])]
    dyno_name: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Restart {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let name = self.name.or(self.process_type).or(self.dyno_name);
        let (what, path) = match &name {
            Some(name) => (named(name), one_path(&app, name)),
            None => ("all processes".to_owned(), app_path(&app, "/dynos")),
        };
        let message = format!("Restarting {what} on {}", session.output.app(&app));
        let restart = || client.delete(&path);
        session.output.action(&message, restart, |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Stop {
    /// A process (web.1, run.1234) or a type (web): it comes back. Without it: the app as a whole,
    /// until ps:start
    name: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Stop {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let (what, path) = match &self.name {
            Some(name) => (named(name), format!("{}/actions/stop", one_path(&app, name))),
            None => ("all processes".to_owned(), app_path(&app, "/actions/stop")),
        };
        let message = format!("Stopping {what} on {}", session.output.app(&app));
        let stop = || client.command(Method::POST, &path);
        session.output.action(&message, stop, |_, ()| None)
    }
}

fn named(name: &str) -> String {
    match name.contains('.') {
        true => name.to_owned(),
        false => format!("all {name} processes"),
    }
}

/// The path of one process, or of a type; a process's name has a dot.
fn one_path(app: &str, name: &str) -> String {
    let collection = if name.contains('.') { "dynos" } else { "formations" };
    app_path(app, &format!("/{collection}/{}", encoded(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_arguments_are_absolute_or_relative() {
        let parsed = |text| {
            let update = parse_scale(text).ok()?;
            let quantity = update.quantity?.as_str()?.to_owned();
            Some((update.process_type, quantity, update.size))
        };
        let is = |t: &str, q: &str, size: Option<&str>| {
            Some((t.to_owned(), q.to_owned(), size.map(str::to_owned)))
        };
        assert_eq!(parsed("web=2"), is("web", "2", None));
        assert_eq!(parsed("worker+1"), is("worker", "+1", None));
        assert_eq!(parsed("worker-1"), is("worker", "-1", None));
        assert_eq!(parsed("web-api=0"), is("web-api", "0", None));
        assert_eq!(parsed("web-api-10"), is("web-api", "-10", None));
        assert_eq!(parsed("web=2:Standard-1X"), is("web", "2", Some("Standard-1X")));
        for text in ["web", "web=", "=2", "web=two", "web=-1", "web=2:", "we b=1", "web=+1"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
