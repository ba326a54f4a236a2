//! `windlass rollback`

use super::releases::{named, releases_path, succeeded};
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range};
use crate::error::{CliError, Result};
use crate::session::Session;
use windlass_wire::{Release, ReleaseCreate};

/// Among so many of the newest releases the one to go back to is looked for.
const LOOKED_AT: u32 = 10;

#[derive(Clone, Debug, clap::Args)]
pub struct Rollback {
    /// The release: v12 or 12 [default: the one before the current one]
    release: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Rollback {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let (target, current) = match &self.release {
            Some(release) => (named(&client, &app, release)?, None),
            None => previous(&client, &app)?,
        };
        let body = ReleaseCreate { release: Some(target.id), ..ReleaseCreate::default() };
        let message = format!("Rolling back {} to v{}", session.output.app(&app), target.version);
        let path = releases_path(&app);
        let release: Release = session.output.action(
            &message,
            || client.post(&path, &body).and_then(succeeded),
            |_, release: &Release| Some(format!("v{}", release.version)),
        )?;
        let reach = "Rollback affects code and config vars; it does not change data or domains.";
        session.output.warning(reach)?;
        if let Some(current) = current {
            let undo = format!("To undo, run: windlass rollback v{current}");
            session.output.warning(&undo)?;
        }
        if self.json.json {
            return session.output.json(&release);
        }
        Ok(())
    }
}

/// The second newest release that can be gone back to, and the version of the first.
fn previous(client: &Client, app: &str) -> Result<(Release, Option<u32>)> {
    let releases: Vec<Release> =
        client.list(&releases_path(app), Range::NewestVersions(LOOKED_AT))?;
    let mut eligible = releases.into_iter().filter(|release| release.eligible_for_rollback);
    let current = eligible.next().map(|release| release.version);
    match eligible.next() {
        Some(release) => Ok((release, current)),
        None => Err(CliError::not_found(format!("{app} has no earlier release to go back to."))
            .hint(format!("`windlass releases -a {app}` lists them."))),
    }
}
