//! Runs of cron jobs: written down before they start, so that none starts twice.

use crate::{Result, Store, parsed};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::cron::{Cause, RunStatus};
use windlass_core::ids::{AppId, CronJobId, CronRunId, InstanceId};
use windlass_core::names::CronName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronRun {
    pub id: CronRunId,
    pub app: AppId,
    pub job: CronName,
    /// Counted from 1 within the app; people say `cron.1`.
    pub number: u32,
    pub cause: Cause,
    pub status: RunStatus,
    pub command: String,
    pub release: Option<u32>,
    /// `None` for one that was left out.
    pub instance: Option<InstanceId>,
    /// Seconds.
    pub timeout: u64,
    pub scheduled_at: Option<u64>,
    pub started_at: u64,
    pub ended_at: Option<u64>,
    pub exit_code: Option<i32>,
    /// Why it is as it is, in words, if that needs any.
    pub reason: Option<String>,
    /// Whether it is being stopped, or was.
    pub is_ending: bool,
}

/// A run to be written down; the store gives it its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCronRun {
    pub app: AppId,
    pub job: CronName,
    pub cause: Cause,
    /// [`RunStatus::Running`], or why it was left out.
    pub status: RunStatus,
    pub command: String,
    pub release: Option<u32>,
    pub timeout: u64,
    pub scheduled_at: Option<u64>,
    pub reason: Option<String>,
}

fn run(row: &Row<'_>) -> rusqlite::Result<CronRun> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(|at| at as u64));
    Ok(CronRun {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        job: parsed(row, "job")?,
        number: row.get("number")?,
        cause: parsed(row, "cause")?,
        status: parsed(row, "status")?,
        command: row.get("command")?,
        release: row.get("release")?,
        instance: row.get::<_, Option<String>>("instance")?.map(InstanceId),
        timeout: row.get::<_, i64>("timeout")? as u64,
        scheduled_at: time("scheduled_at")?,
        started_at: row.get::<_, i64>("started_at")? as u64,
        ended_at: time("ended_at")?,
        exit_code: row.get("exit_code")?,
        reason: row.get("reason")?,
        is_ending: row.get::<_, Option<String>>("ending")?.is_some(),
    })
}

impl Store {
    /// Writes down a run, and with it when its job runs next. One that was left out has ended.
    pub fn begin_cron_run(
        &self,
        new: &NewCronRun,
        next: Option<(CronJobId, Option<u64>)>,
        now: u64,
    ) -> Result<CronRun> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let (app, id) = (new.app.to_string(), CronRunId::random().to_string());
        let number: u32 = transaction.query_row(
            "UPDATE apps SET cron_runs = cron_runs + 1 WHERE id = ?1 RETURNING cron_runs",
            [&app],
            |row| row.get(0),
        )?;
        let runs = new.status == RunStatus::Running;
        let instance = runs.then(|| InstanceId::random("cron", number));
        transaction.execute(
            "INSERT INTO cron_runs (id, app, job, number, cause, status, command, release, instance, timeout, scheduled_at, started_at, ended_at, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                id,
                app,
                new.job.as_str(),
                number,
                new.cause.as_str(),
                new.status.as_str(),
                new.command,
                new.release,
                instance.as_ref().map(InstanceId::as_str),
                new.timeout as i64,
                new.scheduled_at.map(|at| at as i64),
                now as i64,
                (!runs).then_some(now as i64),
                new.reason,
            ],
        )?;
        if let Some((job, next_at)) = next {
            transaction.execute(
                "UPDATE cron_jobs SET next_at = ?2 WHERE id = ?1 AND NOT suspended",
                params![job.to_string(), next_at.map(|at| at as i64)],
            )?;
        }
        let begun = transaction.query_row("SELECT * FROM cron_runs WHERE id = ?1", [&id], run)?;
        transaction.commit()?;
        Ok(begun)
    }

    /// Says what a run will have been when it has ended: it is being stopped for that. False if that
    /// was said before, or it has ended.
    pub fn cron_run_is_ending(&self, id: CronRunId, status: RunStatus) -> Result<bool> {
        let said = self.connection().execute(
            "UPDATE cron_runs SET ending = ?2 WHERE id = ?1 AND ended_at IS NULL AND ending IS NULL",
            params![id.to_string(), status.as_str()],
        )?;
        Ok(said > 0)
    }

    /// Ends a run that goes on. What [`Store::cron_run_is_ending`] said wins over `status`.
    pub fn end_cron_run(
        &self,
        id: CronRunId,
        status: RunStatus,
        exit_code: Option<i32>,
        reason: Option<&str>,
        now: u64,
    ) -> Result<()> {
        self.connection().execute(
            "UPDATE cron_runs SET status = COALESCE(ending, ?2), exit_code = ?3, reason = ?4, ended_at = ?5
             WHERE id = ?1 AND ended_at IS NULL",
            params![id.to_string(), status.as_str(), exit_code, reason, now as i64],
        )?;
        Ok(())
    }

    /// Returns the run that an instance is of.
    pub fn cron_run_of(&self, instance: &InstanceId) -> Result<Option<CronRun>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM cron_runs WHERE instance = ?1")?;
        Ok(statement.query_row([instance.as_str()], run).optional()?)
    }

    /// Returns all runs that go on, oldest first.
    pub fn cron_runs_under_way(&self) -> Result<Vec<CronRun>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM cron_runs WHERE ended_at IS NULL ORDER BY started_at, number",
        )?;
        let rows = statement.query_map([], run)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the last runs of a job, newest first.
    pub fn cron_runs(&self, app: AppId, job: &CronName, limit: u32) -> Result<Vec<CronRun>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM cron_runs WHERE app = ?1 AND job = ?2 ORDER BY number DESC LIMIT ?3",
        )?;
        let rows = statement.query_map(params![app.to_string(), job.as_str(), limit], run)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Deletes all but the last `kept` runs of a job and returns the numbers of those that went.
    pub fn prune_cron_runs(&self, app: AppId, job: &CronName, kept: u32) -> Result<Vec<u32>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "DELETE FROM cron_runs WHERE app = ?1 AND job = ?2 AND ended_at IS NOT NULL AND number <=
                 (SELECT number FROM cron_runs WHERE app = ?1 AND job = ?2
                  ORDER BY number DESC LIMIT 1 OFFSET ?3)
             RETURNING number",
        )?;
        let numbers =
            statement.query_map(params![app.to_string(), job.as_str(), kept], |row| row.get(0))?;
        Ok(numbers.collect::<rusqlite::Result<_>>()?)
    }
}
