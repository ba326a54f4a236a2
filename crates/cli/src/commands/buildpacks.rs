//! `windlass buildpacks`, `buildpacks:set`, `:add`, `:remove`, `:clear`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range};
use crate::error::{CliError, Result};
use crate::session::Session;
use ureq::http::Method;
use windlass_wire::{BuildpackInstallation, BuildpackInstallations, BuildpackUpdate, ConfigVars};

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
        let installed: Vec<BuildpackInstallation> = client.list(&path(&app), Range::All)?;
        if self.json.json {
            return session.output.json(&installed);
        }
        match names(installed).as_slice() {
            [] => session.output.note(format!("{app} has no buildpacks: they are detected.")),
            [one] => {
                session.output.heading(&format!("{app} Buildpack"))?;
                session.output.line(one)
            }
            several => {
                session.output.heading(&format!("{app} Buildpacks"))?;
                let mut lines = (1..).zip(several);
                lines.try_for_each(|(n, name)| session.output.line(format!("{n}. {name}")))
            }
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// A name (heroku/python), a git or .tgz URL, or ./FOLDER in the app
    buildpack: String,
    /// Which one to replace, counted from 1 [default: the first]
    #[arg(short, long, value_name = "NUMBER")]
    index: Option<usize>,
    #[command(flatten)]
    app: AppArguments,
}

impl Set {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut buildpacks = installed(&client, &app)?;
        let at = position(self.index.unwrap_or(1))?;
        check_is_new(&buildpacks, &self.buildpack)?;
        match buildpacks.get_mut(at) {
            Some(replaced) => *replaced = self.buildpack,
            None => buildpacks.push(self.buildpack),
        }
        change(session, &client, &app, "set", buildpacks)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// A name (heroku/python), a git or .tgz URL, or ./FOLDER in the app
    buildpack: String,
    /// Where to put it, counted from 1 [default: last]
    #[arg(short, long, value_name = "NUMBER")]
    index: Option<usize>,
    #[command(flatten)]
    app: AppArguments,
}

impl Add {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut buildpacks = installed(&client, &app)?;
        let at = self.index.map_or(Ok(buildpacks.len()), position)?;
        check_is_new(&buildpacks, &self.buildpack)?;
        buildpacks.insert(at.min(buildpacks.len()), self.buildpack);
        change(session, &client, &app, "added", buildpacks)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// The buildpack as `windlass buildpacks` shows it
    #[arg(required_unless_present = "index", conflicts_with = "index")]
    buildpack: Option<String>,
    /// Its number instead, counted from 1
    #[arg(short, long, value_name = "NUMBER")]
    index: Option<usize>,
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut buildpacks = installed(&client, &app)?;
        let found = match (self.index, &self.buildpack) {
            (Some(number), _) => Some(position(number)?).filter(|at| *at < buildpacks.len()),
            (None, Some(name)) => buildpacks.iter().position(|set| shown(set) == shown(name)),
            (None, None) => None,
        };
        let Some(at) = found else {
            let error = CliError::not_found("Buildpack not found. Nothing was removed.");
            return Err(error.hint(format!("`windlass buildpacks -a {app}` lists them.")));
        };
        buildpacks.remove(at);
        change(session, &client, &app, "removed", buildpacks)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Clear {
    #[command(flatten)]
    app: AppArguments,
}

impl Clear {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        put(&client, &app, Vec::new())?;
        session.output.line(format!("Buildpacks cleared. {}", detected(&client, &app)?))
    }
}

fn path(app: &str) -> String {
    app_path(app, "/buildpack-installations")
}

fn installed(client: &Client, app: &str) -> Result<Vec<String>> {
    client.list(&path(app), Range::All).map(names)
}

fn names(installed: Vec<BuildpackInstallation>) -> Vec<String> {
    installed.into_iter().map(|one| shown(&one.buildpack.url).to_owned()).collect()
}

/// Names are shown without the URN's beginning.
fn shown(buildpack: &str) -> &str {
    buildpack.strip_prefix("urn:buildpack:").unwrap_or(buildpack)
}

fn position(number: usize) -> Result<usize> {
    number.checked_sub(1).ok_or_else(|| CliError::usage("Invalid index. Must be greater than 0."))
}

fn check_is_new(buildpacks: &[String], buildpack: &str) -> Result<()> {
    if buildpacks.iter().any(|set| shown(set) == shown(buildpack)) {
        let message = format!("The buildpack {} is already set on your app.", shown(buildpack));
        return Err(CliError::refused(message));
    }
    Ok(())
}

fn put(client: &Client, app: &str, buildpacks: Vec<String>) -> Result<Vec<String>> {
    let updates = buildpacks.into_iter().map(|buildpack| BuildpackUpdate { buildpack }).collect();
    let body = BuildpackInstallations { updates };
    client.send(Method::PUT, &path(app), &body).map(names)
}

/// Sends the list and says what the next release will use.
fn change(
    session: &mut Session,
    client: &Client,
    app: &str,
    done: &str,
    buildpacks: Vec<String>,
) -> Result<()> {
    let buildpacks = put(client, app, buildpacks)?;
    let done = format!("Buildpack {done}.");
    let these = match buildpacks.as_slice() {
        [] => return session.output.line(format!("{done} {}", detected(client, app)?)),
        [one] => {
            session.output.line(format!("{done} Next release on {app} will use {one}."))?;
            "this buildpack"
        }
        several => {
            session.output.line(format!("{done} Next release on {app} will use:"))?;
            for (number, name) in (1..).zip(several) {
                session.output.line(format!("  {number}. {name}"))?;
            }
            "these buildpacks"
        }
    };
    session
        .output
        .line(format!("Run git push windlass main to create a new release using {these}."))
}

/// What happens when no buildpack is set.
fn detected(client: &Client, app: &str) -> Result<String> {
    let vars: ConfigVars = client.get(&app_path(app, "/config-vars"))?;
    Ok(match vars.get("BUILDPACK_URL") {
        Some(url) => format!("Next release on {app} will use the config var BUILDPACK_URL: {url}."),
        None => format!("Next release on {app} will detect buildpacks normally."),
    })
}
