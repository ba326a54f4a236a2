//! `windlass deploys` and its family, and `windlass ps:start`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::error::{CliError, Result};
use crate::session::Session;
use ureq::http::Method;
use windlass_wire::{DeployLockCreate, Deploys, DeploysUpdate};

/// Commands about how an app's deploys go.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum DeploysCommand {
    /// Show how an app's deploys go, its lock and its canary
    #[command(name = "deploys")]
    Show(Show),
    /// Choose how an app's deploys go
    #[command(name = "deploys:set")]
    Set(Set),
    /// Give a canary the place of the current release
    #[command(name = "deploys:promote")]
    Promote(Act),
    /// Take a canary out of service
    #[command(name = "deploys:abort")]
    Abort(Act),
    /// Keep new code from an app
    #[command(name = "deploys:lock")]
    Lock(Lock),
    /// Let new code in again
    #[command(name = "deploys:unlock")]
    Unlock(Act),
    /// Start an app that was stopped as a whole
    #[command(name = "ps:start", alias = "start")]
    Start(Act),
}

impl DeploysCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Show(arguments) => arguments.run(session),
            Self::Set(arguments) => arguments.run(session),
            Self::Promote(arguments) => {
                arguments.run(session, "deploys/actions/promote", "Promoting the canary")
            }
            Self::Abort(arguments) => {
                arguments.run(session, "deploys/actions/abort", "Aborting the canary")
            }
            Self::Lock(arguments) => arguments.run(session),
            Self::Unlock(arguments) => {
                arguments.run(session, "deploys/actions/unlock", "Unlocking deploys")
            }
            Self::Start(arguments) => {
                arguments.run(session, "actions/start", "Starting all processes")
            }
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let deploys: Deploys = client.get(&app_path(&app, "/deploys"))?;
        if self.json.json {
            return session.output.json(&deploys);
        }
        show(session, &app, &deploys)
    }
}

fn show(session: &mut Session, app: &str, deploys: &Deploys) -> Result<()> {
    let seconds = |value: Option<u32>| {
        value.map_or_else(|| "the server's".to_owned(), |seconds| format!("{seconds} s"))
    };
    let strategy = match deploys.strategy.as_str() {
        "canary" => format!("canary, {} % of the requests", deploys.canary_percent),
        other => other.to_owned(),
    };
    let surge = deploys.surge.map_or_else(
        || "the whole formation at once".to_owned(),
        |number| format!("{number} at a time"),
    );
    let lock = deploys.lock.as_ref().map_or_else(
        || "none".to_owned(),
        |lock| {
            let reason = lock.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("by {} since {}{reason}", lock.by, lock.created_at)
        },
    );
    let canary = deploys.canary.as_ref().map_or_else(
        || "none".to_owned(),
        |canary| format!("v{} with {} % of the requests", canary.version, canary.percent),
    );
    session.output.heading(&format!("{app} deploys"))?;
    session.output.properties(&[
        ("Strategy", strategy),
        ("Surge", surge),
        ("Drain", seconds(deploys.drain_seconds)),
        ("Grace", seconds(deploys.grace_seconds)),
        ("Priority", deploys.priority.to_string()),
        ("Stopped", if deploys.stopped { "yes" } else { "no" }.to_owned()),
        ("Lock", lock),
        ("Canary", canary),
    ])
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// strategy=rolling|recreate|canary, surge=N, percent=N, drain=SECONDS, grace=SECONDS, priority=0-100, preboot=on|off; `default` undoes
    #[arg(value_name = "SETTING=VALUE", required = true)]
    settings: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Set {
    fn run(self, session: &mut Session) -> Result<()> {
        let mut update = DeploysUpdate::default();
        for text in &self.settings {
            put(&mut update, text)?;
        }
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/deploys");
        let message = format!("Setting how deploys of {} go", session.output.app(&app));
        let change = || client.patch::<_, Deploys>(&path, &update);
        let deploys = session.output.action(&message, change, |_, _| None)?;
        show(session, &app, &deploys)
    }
}

fn put(update: &mut DeploysUpdate, text: &str) -> Result<()> {
    let unknown = || {
        CliError::usage(format!("{text} is no setting of deploys."))
            .hint("Settings are strategy, surge, percent, drain, grace, priority and preboot: strategy=canary, drain=60.")
    };
    let (name, value) = text.split_once('=').ok_or_else(unknown)?;
    match (name, value) {
        ("strategy", "default") => update.strategy = Some(None),
        ("strategy", value) => update.strategy = Some(Some(value.to_owned())),
        // Heroku's word for it.
        ("preboot", "on" | "default") => update.strategy = Some(None),
        ("preboot", "off") => update.strategy = Some(Some("recreate".to_owned())),
        ("surge", value) => update.surge = Some(number(text, value)?),
        ("percent", value) => update.canary_percent = Some(number(text, value)?),
        ("drain", value) => update.drain_seconds = Some(number(text, value)?),
        ("grace", value) => update.grace_seconds = Some(number(text, value)?),
        ("priority", value) => update.priority = Some(number(text, value)?),
        _ => return Err(unknown()),
    }
    Ok(())
}

fn number<T: std::str::FromStr>(text: &str, value: &str) -> Result<Option<T>> {
    if value == "default" {
        return Ok(None);
    }
    let digits = value.strip_suffix(['s', '%']).unwrap_or(value);
    let wrong = || CliError::usage(format!("{text}: {value} is no number that fits here."));
    digits.parse().map(Some).map_err(|_| wrong())
}

#[derive(Clone, Debug, clap::Args)]
pub struct Lock {
    /// Why, for those who are kept out
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Lock {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/deploys/actions/lock");
        let body = DeployLockCreate { reason: self.reason };
        let message = format!("Locking deploys of {}", session.output.app(&app));
        let lock = || client.post::<_, Deploys>(&path, &body);
        session.output.action(&message, lock, |_, _| None)?;
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Act {
    #[command(flatten)]
    app: AppArguments,
}

impl Act {
    fn run(self, session: &mut Session, action: &str, verb: &str) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/{action}"));
        let message = format!("{verb} of {}", session.output.app(&app));
        let act = || client.command(Method::POST, &path);
        session.output.action(&message, act, |_, ()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(settings: &[&str]) -> Result<DeploysUpdate> {
        let mut update = DeploysUpdate::default();
        settings.iter().try_for_each(|text| put(&mut update, text))?;
        Ok(update)
    }

    #[test]
    fn settings_are_read() {
        let read = update(&[
            "strategy=canary",
            "percent=20%",
            "drain=60s",
            "surge=default",
            "priority=90",
        ])
        .unwrap();
        let expected = DeploysUpdate {
            strategy: Some(Some("canary".into())),
            canary_percent: Some(Some(20)),
            drain_seconds: Some(Some(60)),
            surge: Some(None),
            grace_seconds: None,
            priority: Some(Some(90)),
        };
        assert_eq!(read, expected);
        assert_eq!(update(&["preboot=off"]).unwrap().strategy, Some(Some("recreate".into())));
        for wrong in
            ["drain", "drain=soon", "percent=300", "priority=300", "colour=blue", "preboot=maybe"]
        {
            assert!(update(&[wrong]).is_err(), "{wrong}");
        }
    }
}
