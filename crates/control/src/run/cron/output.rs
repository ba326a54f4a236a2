//! What runs said: in the app's log while they go on, then in a file each.

use super::RUNS_KEPT;
use crate::observe::LogStore;
use crate::platform::make_directory;
use crate::records::{App, CronRun};
use crate::{Platform, PlatformError, Result};
use std::io;
use std::path::{Path, PathBuf};
use windlass_core::ids::AppId;
use windlass_core::names::CronName;

/// How much of a run's output is kept, in bytes: the end of it.
const OUTPUT_BYTES: usize = 256 << 10;
/// The clocks of writers differ by what a line takes to be written, in microseconds.
const MARGIN_US: u64 = 1_000_000;

impl Platform {
    /// Returns what a run has said, at most the last 256 KiB.
    pub async fn cron_output(&self, app: &App, run: &CronRun) -> Result<String> {
        if run.instance.is_none() {
            return Ok(String::new());
        }
        let file = self.cron_output_file(app.id, run.number);
        let (logs, app, number) = (self.logs().clone(), app.id, run.number);
        let (started_at, goes_on) = (run.started_at, run.ended_at.is_none());
        let read = tokio::task::spawn_blocking(move || match std::fs::read(&file) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && goes_on => {
                Ok(said(&logs, app, number, started_at))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        });
        let failed = "the output of a cron run could not be read";
        match read.await {
            Ok(read) => read.map_err(|error| PlatformError::internal(failed, error)),
            Err(error) => Err(PlatformError::internal(failed, error)),
        }
    }

    /// Takes the output of a run that has ended out of the app's log, which is cut off in time.
    pub(super) async fn keep_cron_output(&self, run: &CronRun) {
        let file = self.cron_output_file(run.app, run.number);
        let (logs, app) = (self.logs().clone(), run.app);
        let (number, started_at) = (run.number, run.started_at);
        let written = tokio::task::spawn_blocking(move || {
            let text = said(&logs, app, number, started_at);
            if let Some(directory) = file.parent() {
                make_directory(directory)?;
            }
            let failed = |error| PlatformError::internal("it could not be written", error);
            std::fs::write(&file, text).map_err(failed)
        });
        let failed = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(job = %run.job, run = run.number, error = failed, "the output of a cron run is not kept");
    }

    /// Forgets all but the last runs of a job.
    pub(super) fn prune_cron_runs(&self, app: AppId, job: &CronName) {
        let gone = match self.store().prune_cron_runs(app, job, RUNS_KEPT) {
            Ok(gone) => gone,
            Err(error) => return tracing::warn!(%job, %error, "old cron runs could not be deleted"),
        };
        for number in gone {
            let file = self.cron_output_file(app, number);
            if let Err(error) = std::fs::remove_file(&file)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.display(), %error, "left behind by an old cron run");
            }
        }
    }

    fn cron_output_file(&self, app: AppId, number: u32) -> PathBuf {
        cron_output_directory(&self.settings().data_directory, app).join(format!("{number}.log"))
    }
}

/// Returns the directory with the outputs of an app's runs.
pub(crate) fn cron_output_directory(data: &Path, app: AppId) -> PathBuf {
    data.join("cron").join(app.to_string())
}

fn said(logs: &LogStore, app: AppId, number: u32, started_at_ms: u64) -> String {
    let since = (started_at_ms * 1_000).saturating_sub(MARGIN_US);
    logs.said_by(app, &format!("cron.{number}"), since, OUTPUT_BYTES)
}
