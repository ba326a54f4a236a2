//! `windlass config`, `config:set`, `config:get`, `config:unset`

use super::app_path;
use super::releases::{newest, succeeded};
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::output::Style;
use crate::session::Session;
use windlass_wire::{ConfigVars, ConfigVarsUpdate, Release};

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    /// Print NAME=value lines that a shell can read
    #[arg(short, long)]
    shell: bool,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let vars: ConfigVars = client.get(&config_path(&app))?;
        if self.json.json {
            return session.output.json(&vars);
        }
        if self.shell {
            return vars.iter().try_for_each(|(name, value)| {
                session.output.line(format!("{name}={}", shell_quoted(value)))
            });
        }
        if vars.is_empty() {
            return session.output.note(format!("{app} has no config vars."));
        }
        session.output.heading(&format!("{app} Config Vars"))?;
        let properties: Vec<_> =
            vars.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        session.output.properties(&properties)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// NAME=value, one or more
    #[arg(required = true, value_name = "NAME=VALUE")]
    vars: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Set {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let vars = self.vars.iter().map(|text| parse_assignment(text));
        let vars = vars.collect::<Result<Vec<(String, String)>>>()?;
        let update: ConfigVarsUpdate =
            vars.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        change(session, &self.app, "Setting", &update)?;
        for (name, value) in vars {
            let name = session.output.paint(Style::Green, &name);
            session.output.line(format!("{name}: {value}"))?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Get {
    /// The config var's name
    name: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Get {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let vars: ConfigVars = client.get(&config_path(&app))?;
        let Some(value) = vars.get(&self.name) else {
            let message = format!("{app} has no config var {}.", self.name);
            let hint = format!("`windlass config -a {app}` lists them.");
            return Err(CliError::not_found(message).hint(hint));
        };
        if self.json.json {
            return session.output.json(value);
        }
        session.output.line(value)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Unset {
    /// Names of config vars, one or more
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Unset {
    pub fn run(self, session: &mut Session) -> Result<()> {
        if let Some(name) = self.names.iter().find(|name| name.contains('=')) {
            let message = format!("{name} is no name of a config var.");
            return Err(CliError::usage(message).hint("To set it use `windlass config:set`."));
        }
        let update = self.names.iter().map(|name| (name.clone(), None)).collect();
        change(session, &self.app, "Unsetting", &update)
    }
}

/// Sends the update and waits for the release that it makes.
fn change(
    session: &mut Session,
    arguments: &AppArguments,
    verb: &str,
    update: &ConfigVarsUpdate,
) -> Result<()> {
    let (client, app) = session.app_client(arguments)?;
    let names: Vec<_> =
        update.keys().map(|name| session.output.paint_error(Style::Green, name)).collect();
    let message =
        format!("{verb} {} and restarting {}", names.join(", "), session.output.app(&app));
    session.output.action(
        &message,
        || updated(&client, &app, update),
        |_, release| release.as_ref().map(|release| format!("v{}", release.version)),
    )?;
    Ok(())
}

fn updated(client: &Client, app: &str, update: &ConfigVarsUpdate) -> Result<Option<Release>> {
    let _: ConfigVars = client.patch(&config_path(app), update)?;
    newest(client, app)?.map(succeeded).transpose()
}

fn config_path(app: &str) -> String {
    app_path(app, "/config-vars")
}

fn parse_assignment(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(CliError::usage(format!("{text} is invalid."))
            .hint("Config vars are set as NAME=value.")),
    }
}

fn shell_quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_split_at_the_first_equals_sign() {
        let parsed = |text| parse_assignment(text).ok();
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(parsed("A=b"), pair("A", "b"));
        assert_eq!(parsed("A="), pair("A", ""));
        assert_eq!(parsed("URL=x://y?a=b c"), pair("URL", "x://y?a=b c"));
        assert_eq!(parsed("A"), None);
        assert_eq!(parsed("=b"), None);
    }

    #[test]
    fn shell_values_are_quoted_where_needed() {
        assert_eq!(shell_quoted("http://x:1/y"), "http://x:1/y");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_quoted(""), "''");
    }
}
