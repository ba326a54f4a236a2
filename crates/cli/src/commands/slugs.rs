//! `windlass slugs`, `slugs:info`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use crate::time::with_age;
use windlass_wire::{Release, Slug};

#[derive(Clone, Debug, clap::Subcommand)]
pub enum SlugsCommand {
    /// List the slugs of an app's releases
    #[command(name = "slugs")]
    List(List),
    /// Show a slug: what a build made, or what was sent as such
    #[command(name = "slugs:info")]
    Info(Info),
}

impl SlugsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Info(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// In how many of the newest releases to look
    #[arg(short, long, value_name = "NUMBER", default_value_t = 15)]
    num: u32,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut releases = releases(&client, &app, self.num)?;
        releases.retain(|release| release.slug.is_some());
        if self.json.json {
            return session.output.json(&releases);
        }
        if releases.is_empty() {
            return session.output.note(format!("{app} has no slugs: nothing was built for it."));
        }
        let mut table = Table::new(&["Release", "Slug", "Description", "Created"]);
        for release in releases {
            let slug = release.slug.map(|slug| slug.id).unwrap_or_default();
            table.row(vec![
                format!("v{}", release.version).into(),
                slug.into(),
                release.description.into(),
                with_age(&release.created_at, session.environment.now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

fn releases(client: &Client, app: &str, count: u32) -> Result<Vec<Release>> {
    client.list(&app_path(app, "/releases"), Range::NewestVersions(count))
}

#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    /// The slug as `windlass slugs` shows it [default: that of the current release]
    slug: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Info {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let id = match &self.slug {
            Some(id) => id.clone(),
            None => {
                let path = app_path(&app, "/releases/current");
                let release: Release = client.get(&path)?;
                let missing = || CliError::not_found(format!("What {app} runs has no slug."));
                release.slug.ok_or_else(missing)?.id
            }
        };
        let slug: Slug = client.get(&app_path(&app, &format!("/slugs/{}", encoded(&id))))?;
        if self.json.json {
            return session.output.json(&slug);
        }
        session.output.heading(&format!("Slug {} of {app}", slug.id))?;
        let types = slug.process_types.iter();
        let types: Vec<String> =
            types.map(|(name, command)| format!("{name}: {command}")).collect();
        let size = slug.size.map(|size| format!("{:.1} MiB", size as f64 / f64::from(1 << 20)));
        let mut properties = vec![
            ("Buildpack", slug.buildpack_provided_description.unwrap_or_default()),
            ("Checksum", slug.checksum.unwrap_or_default()),
            ("Commit", slug.commit.unwrap_or_default()),
            ("Size", size.unwrap_or_default()),
            ("Stack", slug.stack.name),
            ("Types", types.join("; ")),
            ("When", with_age(&slug.created_at, session.environment.now)),
        ];
        properties.retain(|(_, value)| !value.is_empty());
        session.output.properties(&properties)
    }
}
