//! `windlass releases`, `releases:info` and `releases:output`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::time::with_age;
use std::io::Read;
use windlass_wire::Release;

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// How many to show, the newest first
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
        let releases: Vec<Release> =
            client.list(&releases_path(&app), Range::NewestVersions(self.num))?;
        if self.json.json {
            return session.output.json(&releases);
        }
        if releases.is_empty() {
            return session.output.note(format!("{app} has no releases."));
        }
        let current = releases.iter().find(|release| release.current);
        session.output.heading(&match current {
            Some(current) => format!("{app} Releases - Current: v{}", current.version),
            None => format!("{app} Releases"),
        })?;
        let mut table = Table::new(&["Release", "Status", "Description", "By", "Created"]);
        for release in releases {
            table.row(vec![
                format!("v{}", release.version).into(),
                status(&release),
                release.description.into(),
                release.user.email.into(),
                with_age(&release.created_at, session.environment.now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    /// The release: v12 or 12 [default: the newest]
    release: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Info {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let release = match &self.release {
            Some(release) => named(&client, &app, release)?,
            None => newest(&client, &app)?
                .ok_or_else(|| CliError::not_found(format!("{app} has no releases.")))?,
        };
        if self.json.json {
            return session.output.json(&release);
        }
        let image = release.oci_image.as_ref().map(|image| image.id.clone());
        let mut properties = vec![
            ("Status", plain_status(&release).to_owned()),
            ("By", release.user.email.clone()),
            ("Change", release.description.clone()),
            ("When", with_age(&release.created_at, session.environment.now)),
            ("Image", image.unwrap_or_default()),
        ];
        properties.retain(|(_, value)| !value.is_empty());
        let heading = format!("Release v{} of {app}", release.version);
        session.output.heading(&heading)?;
        session.output.properties(&properties)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Output {
    /// The release: v12 or 12 [default: the newest]
    release: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Output {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let release = match &self.release {
            Some(release) => named(&client, &app, release)?,
            None => newest(&client, &app)?
                .ok_or_else(|| CliError::not_found(format!("{app} has no releases.")))?,
        };
        let Some(url) = &release.output_stream_url else {
            let message = format!("Release v{} has no release output.", release.version);
            return session.output.note(message);
        };
        let mut output = client.stream(url)?;
        let mut piece = vec![0; 8 << 10];
        loop {
            let read = output
                .read(&mut piece)
                .map_err(|error| CliError::file("The output broke off", &error))?;
            if read == 0 {
                return Ok(());
            }
            session.output.said(&piece[..read])?;
        }
    }
}

fn plain_status(release: &Release) -> &str {
    match (release.current, release.status.as_str()) {
        (true, "succeeded") => "current",
        (_, status) => status,
    }
}

fn status(release: &Release) -> Cell {
    let text = plain_status(release).to_owned();
    match text.as_str() {
        "current" => Cell::styled(text, Style::Green),
        "failed" => Cell::styled(text, Style::Red),
        "pending" => Cell::styled(text, Style::Yellow),
        _ => Cell::styled(text, Style::Dim),
    }
}

pub fn releases_path(app: &str) -> String {
    app_path(app, "/releases")
}

/// The release with a version given as `v12` or `12`.
pub fn named(client: &Client, app: &str, text: &str) -> Result<Release> {
    let version = text.strip_prefix('v').unwrap_or(text);
    client.get(&format!("{}/{}", releases_path(app), encoded(version)))
}

/// The newest release, if there is one.
pub fn newest(client: &Client, app: &str) -> Result<Option<Release>> {
    let mut releases: Vec<Release> = client.list(&releases_path(app), Range::NewestVersions(1))?;
    Ok((!releases.is_empty()).then(|| releases.swap_remove(0)))
}

/// The release itself, or an error if it has failed.
pub fn succeeded(release: Release) -> Result<Release> {
    if release.status != "failed" {
        return Ok(release);
    }
    let message = format!("Release v{} failed: {}", release.version, release.description);
    Err(CliError::refused(message)
        .hint("The release before it goes on serving. `windlass logs` tells what happened."))
}
