//! Cron jobs. When one runs next is part of its record, so that it is known after a crash.

use crate::{Result, Store, json, parsed, taken, to_json};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use windlass_core::cron::CronSettings;
use windlass_core::ids::{AppId, CronJobId};
use windlass_core::names::CronName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJob {
    pub id: CronJobId,
    pub app: AppId,
    pub name: CronName,
    pub settings: CronSettings,
    /// Whether it belongs to the current release, not to a person.
    pub from_app_json: bool,
    pub suspended: bool,
    /// `None` while it is suspended.
    pub next_at: Option<u64>,
    pub created_at: u64,
    pub updated_at: u64,
}

fn job(row: &Row<'_>) -> rusqlite::Result<CronJob> {
    Ok(CronJob {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        name: parsed(row, "name")?,
        settings: json(row, "settings")?,
        from_app_json: row.get("from_app_json")?,
        suspended: row.get("suspended")?,
        next_at: row.get::<_, Option<i64>>("next_at")?.map(|at| at as u64),
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

fn save(transaction: &Transaction<'_>, job: &CronJob) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO cron_jobs (id, app, name, settings, from_app_json, suspended, next_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET settings = ?4, suspended = ?6, next_at = ?7, updated_at = ?9",
            params![
                job.id.to_string(),
                job.app.to_string(),
                job.name.as_str(),
                to_json(&job.settings)?,
                job.from_app_json,
                job.suspended,
                job.next_at.map(|at| at as i64),
                job.created_at as i64,
                job.updated_at as i64,
            ],
        )
        .map_err(taken(&format!("The cron job's name {}", job.name)))?;
    Ok(())
}

impl Store {
    /// Inserts a job or replaces the one with its id.
    pub fn save_cron_job(&self, job: &CronJob) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        save(&transaction, job)?;
        Ok(transaction.commit()?)
    }

    /// Makes these the jobs of app.json, in place of those that were, and notes the release.
    pub fn replace_cron_jobs(&self, app: AppId, release: u32, jobs: &[CronJob]) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let kept: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
        let (app, kept) = (app.to_string(), to_json(&kept)?);
        transaction.execute(
            "DELETE FROM cron_jobs WHERE app = ?1 AND from_app_json
             AND id NOT IN (SELECT value FROM json_each(?2))",
            params![app, kept],
        )?;
        for job in jobs {
            save(&transaction, job)?;
        }
        transaction
            .execute("UPDATE apps SET cron_release = ?2 WHERE id = ?1", params![app, release])?;
        Ok(transaction.commit()?)
    }

    /// Returns the apps whose jobs are not those of their current release.
    pub fn apps_with_other_cron(&self) -> Result<Vec<AppId>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT id FROM apps WHERE cron_release != current_release")?;
        let rows = statement.query_map([], |row| parsed(row, "id"))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the jobs of an app by name.
    pub fn cron_jobs(&self, app: AppId) -> Result<Vec<CronJob>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM cron_jobs WHERE app = ?1 ORDER BY name")?;
        let rows = statement.query_map([app.to_string()], job)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn cron_job(&self, id: CronJobId) -> Result<Option<CronJob>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM cron_jobs WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], job).optional()?)
    }

    /// Returns the jobs that are due, the longest due first, and those that are due after `far`.
    pub fn due_cron_jobs(&self, now: u64, far: u64) -> Result<Vec<CronJob>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM cron_jobs WHERE NOT suspended
             AND (next_at IS NULL OR next_at <= ?1 OR next_at > ?2) ORDER BY next_at, id",
        )?;
        let rows = statement.query_map([now as i64, far.min(i64::MAX as u64) as i64], job)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn set_cron_next(&self, id: CronJobId, next_at: Option<u64>) -> Result<()> {
        self.connection().execute(
            "UPDATE cron_jobs SET next_at = ?2 WHERE id = ?1 AND NOT suspended",
            params![id.to_string(), next_at.map(|at| at as i64)],
        )?;
        Ok(())
    }

    /// Deletes a job; its history stays.
    pub fn delete_cron_job(&self, id: CronJobId) -> Result<()> {
        self.connection().execute("DELETE FROM cron_jobs WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Deletes all jobs of an app.
    pub fn delete_cron_jobs(&self, app: AppId) -> Result<()> {
        self.connection().execute("DELETE FROM cron_jobs WHERE app = ?1", [app.to_string()])?;
        Ok(())
    }
}
