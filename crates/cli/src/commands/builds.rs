//! `windlass builds`, `windlass builds:output`, `windlass builds:cancel`, `windlass builds:cache:purge`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Range;
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::time::with_age;
use std::io::{BufRead, BufReader};
use windlass_wire::Build;

#[derive(Clone, Debug, clap::Args)]
pub struct Builds {
    /// How many to show, the newest first
    #[arg(short, long, value_name = "NUMBER", default_value_t = 15)]
    num: u32,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Builds {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/builds");
        let mut builds: Vec<Build> = client.list(&path, Range::NewestCreated(self.num))?;
        // The server keeps builds of the same second on one page.
        builds.truncate(self.num as usize);
        if self.json.json {
            return session.output.json(&builds);
        }
        if builds.is_empty() {
            return session.output.note(format!("{app} has no builds."));
        }
        let mut table = Table::new(&["Build", "Status", "Version", "Stack", "By", "Created"]);
        for build in builds {
            let style = match build.status.as_str() {
                "succeeded" => Style::Green,
                "failed" => Style::Red,
                _ => Style::Yellow,
            };
            let version = build.source_blob.version.unwrap_or_default();
            table.row(vec![
                build.id.into(),
                Cell::styled(build.status, style),
                version.chars().take(8).collect::<String>().into(),
                build.stack.into(),
                build.user.email.into(),
                with_age(&build.created_at, session.environment.now).into(),
            ]);
        }
        session.output.heading(&format!("{app} Builds"))?;
        session.output.table(&table)
    }
}

/// Shows what a build said.
#[derive(Clone, Debug, clap::Args)]
pub struct BuildsOutput {
    /// The build's id, or its first letters [default: the newest build]
    #[arg(value_name = "BUILD")]
    build: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl BuildsOutput {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let builds: Vec<Build> =
            client.list(&app_path(&app, "/builds"), Range::NewestCreated(200))?;
        let wanted = self.build.unwrap_or_default();
        let Some(build) = builds.iter().find(|build| build.id.starts_with(&wanted)) else {
            return Err(CliError::not_found(format!("{app} has no build {wanted}."))
                .hint(format!("`windlass builds -a {app}` lists them.")));
        };
        let mut lines = BufReader::new(client.stream(&build.output_stream_url)?);
        let mut line = String::new();
        while lines
            .read_line(&mut line)
            .map_err(|error| CliError::file("The output broke off", &error))?
            > 0
        {
            session.output.line(line.trim_end_matches('\n'))?;
            line.clear();
        }
        Ok(())
    }
}

/// Stops a build, or its release if that is not live yet.
#[derive(Clone, Debug, clap::Args)]
pub struct BuildsCancel {
    /// The build's id, or its first letters [default: the newest one under way]
    #[arg(value_name = "BUILD")]
    build: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl BuildsCancel {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let builds: Vec<Build> =
            client.list(&app_path(&app, "/builds"), Range::NewestCreated(200))?;
        let wanted = |build: &&Build| match &self.build {
            Some(start) => build.id.starts_with(start),
            None => build.status == "pending",
        };
        let Some(build) = builds.iter().find(wanted) else {
            let message = match &self.build {
                Some(start) => format!("{app} has no build {start}."),
                None => format!("No build of {app} is under way."),
            };
            return Err(CliError::not_found(message)
                .hint(format!("`windlass builds -a {app}` lists them.")));
        };
        let message = format!("Canceling build {} of {}", build.id, session.output.app(&app));
        let path = app_path(&app, &format!("/builds/{}", build.id));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

/// Empties an app's build cache.
#[derive(Clone, Debug, clap::Args)]
pub struct BuildsCachePurge {
    #[command(flatten)]
    app: AppArguments,
}

impl BuildsCachePurge {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let message = format!("Purging the build cache of {}", session.output.app(&app));
        let path = app_path(&app, "/build-cache");
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}
