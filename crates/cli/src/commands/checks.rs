//! `windlass checks` and its family

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use windlass_wire::{Check, CheckCreate, CheckHeader, CheckResult, ChecksUpdate};

/// Commands about the checks of an app.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ChecksCommand {
    /// List the checks of an app's process types
    #[command(name = "checks")]
    List(List),
    /// Set the check of a process type, or `none`
    #[command(name = "checks:set")]
    Set(Set),
    /// Go back to the checks of app.json
    #[command(name = "checks:unset")]
    Unset(Unset),
    /// Run the checks of an app now
    #[command(name = "checks:run")]
    Run(Run),
}

impl ChecksCommand {
    pub fn run(self, session: &mut Session) -> Result<u8> {
        match self {
            Self::List(arguments) => arguments.run(session).map(|()| 0),
            Self::Set(arguments) => arguments.run(session).map(|()| 0),
            Self::Unset(arguments) => arguments.run(session).map(|()| 0),
            Self::Run(arguments) => arguments.run(session),
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
        let checks: Vec<Check> = client.list(&app_path(&app, "/checks"), Range::All)?;
        if self.json.json {
            return session.output.json(&checks);
        }
        if checks.is_empty() {
            return session.output.note(format!("{app} has no process types with checks yet."));
        }
        show(session, &checks)
    }
}

fn show(session: &mut Session, checks: &[Check]) -> Result<()> {
    let mut table = Table::new(&["Process", "Type", "Check", "Limits", "Set by"]);
    for check in checks {
        let limits = match check.source.as_str() {
            "default" => "boot timeout of the server".to_owned(),
            _ => format!(
                "{} attempts, every {} s, {} s each{}",
                check.attempts,
                check.wait,
                check.timeout,
                if check.warn { ", warns only" } else { "" }
            ),
        };
        table.row(vec![
            check.process_type.as_str().into(),
            check.kind.as_str().into(),
            check.name.as_str().into(),
            limits.as_str().into(),
            check.source.as_str().into(),
        ]);
    }
    session.output.table(&table)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// The process type, for example web
    process: String,
    /// type=startup|readiness|liveness, path=/up, content=TEXT, header=NAME:VALUE, port=N, listening, command=TEXT, uptime=S, attempts=N, wait=S, timeout=S, initialDelay=S, warn, name=TEXT; or none
    #[arg(value_name = "SETTING=VALUE", required = true)]
    settings: Vec<String>,
    /// Beside the checks that are there, in place of them
    #[arg(long)]
    add: bool,
    #[command(flatten)]
    app: AppArguments,
}

impl Set {
    fn run(self, session: &mut Session) -> Result<()> {
        let checks = match self.settings.as_slice() {
            [none] if none == "none" => Vec::new(),
            settings => vec![read(settings)?],
        };
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/checks/{}", encoded(&self.process)));
        let message = format!("Setting checks of {} on {}", self.process, session.output.app(&app));
        let body = ChecksUpdate { checks, add: self.add };
        let change = || client.put::<_, Vec<Check>>(&path, &body);
        let checks = session.output.action(&message, change, |_, _| None)?;
        show(session, &checks)
    }
}

fn read(settings: &[String]) -> Result<CheckCreate> {
    let mut check = CheckCreate::default();
    for text in settings {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let number = || {
            let wrong = || CliError::usage(format!("{text}: {value:?} is no number."));
            value.strip_suffix('s').unwrap_or(value).parse::<u64>().map(Some).map_err(|_| wrong())
        };
        let owned = || Some(value.to_owned());
        match name {
            "type" => check.kind = owned(),
            "name" => check.name = owned(),
            "path" => check.path = owned(),
            "content" => check.content = owned(),
            "header" => check.http_headers.push(header(value)?),
            "port" => check.port = number()?,
            "listening" => check.listening = true,
            "command" => check.command = ["/bin/sh", "-c", value].map(str::to_owned).to_vec(),
            "uptime" => check.uptime = number()?,
            "attempts" => check.attempts = number()?,
            "wait" => check.wait = number()?,
            "timeout" => check.timeout = number()?,
            "initialDelay" => check.initial_delay = number()?,
            "warn" => check.warn = true,
            _ => {
                return Err(CliError::usage(format!("{text} is no setting of a check."))
                    .hint("Write it like path=/up type=readiness attempts=3; see windlass help checks:set."));
            }
        }
    }
    Ok(check)
}

fn header(text: &str) -> Result<CheckHeader> {
    let wrong = || CliError::usage(format!("{text} is no header: write header=NAME:VALUE."));
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    Ok(CheckHeader { name: name.trim().to_owned(), value: value.trim().to_owned() })
}

#[derive(Clone, Debug, clap::Args)]
pub struct Unset {
    /// The process type, for example web
    process: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Unset {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/checks/{}", encoded(&self.process)));
        let message =
            format!("Unsetting checks of {} on {}", self.process, session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Run {
    /// Exits with 1 if a check failed.
    fn run(self, session: &mut Session) -> Result<u8> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/checks/actions/run");
        let results: Vec<CheckResult> = client.post(&path, &serde_json::json!({}))?;
        let code = u8::from(results.iter().any(|result| !result.passed));
        if self.json.json {
            session.output.json(&results)?;
            return Ok(code);
        }
        if results.is_empty() {
            session.output.note(format!("No instance of {app} is up: nothing was checked."))?;
            return Ok(code);
        }
        let mut table = Table::new(&["Process", "Type", "Check", "Result"]);
        for result in &results {
            let outcome = match &result.message {
                None => Cell::styled("passed", Style::Green),
                Some(message) => Cell::styled(message.as_str(), Style::Red),
            };
            let cells =
                [&result.dyno, &result.kind, &result.check].map(|text| text.as_str().into());
            table.row(cells.into_iter().chain([outcome]).collect());
        }
        session.output.table(&table)?;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &[&str]) -> Result<CheckCreate> {
        read(&settings.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn settings_make_a_check() {
        let read = check(&["type=readiness", "path=/up", "header=Accept: a/b", "wait=2s"]).unwrap();
        assert_eq!(read.kind.as_deref(), Some("readiness"));
        assert_eq!((read.path.as_deref(), read.wait), (Some("/up"), Some(2)));
        assert_eq!(read.http_headers[0].value, "a/b");
        assert_eq!(check(&["command=test -e /tmp/ok"]).unwrap().command[2], "test -e /tmp/ok");
        assert!(check(&["listening", "warn"]).unwrap().listening);
        for wrong in ["attempts=many", "colour=blue", "header=none"] {
            assert!(check(&[wrong]).is_err(), "{wrong}");
        }
    }
}
