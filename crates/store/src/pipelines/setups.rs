//! Setups: apps that are made from a source with an app.json, in one step.

use crate::{Result, Status, Store, parsed, parsed_optional};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{AppId, AppSetupId, BuildId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSetup {
    pub id: AppSetupId,
    pub app: AppId,
    pub user: UserId,
    pub status: Status,
    /// Why it failed, when it did.
    pub failure: Option<String>,
    pub build: Option<BuildId>,
    /// What the script after the first deploy said, and its exit status.
    pub postdeploy: Option<(String, i32)>,
    pub created_at: u64,
    pub updated_at: u64,
}

fn setup(row: &Row<'_>) -> rusqlite::Result<AppSetup> {
    let output: Option<String> = row.get("postdeploy_output")?;
    let code: Option<i32> = row.get("postdeploy_exit")?;
    Ok(AppSetup {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        user: parsed(row, "user")?,
        status: Status::from_column(&row.get::<_, String>("status")?),
        failure: row.get("failure")?,
        build: parsed_optional(row, "build")?,
        postdeploy: output.zip(code),
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

impl Store {
    /// Stores a new setup, or how far one has come.
    pub fn save_app_setup(&self, setup: &AppSetup) -> Result<()> {
        let (output, code) = setup.postdeploy.clone().unzip();
        self.connection().execute(
            "INSERT INTO app_setups (id, app, user, status, failure, build, postdeploy_output, postdeploy_exit, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET status = ?4, failure = ?5, build = ?6,
                postdeploy_output = ?7, postdeploy_exit = ?8, updated_at = ?10",
            params![
                setup.id.to_string(),
                setup.app.to_string(),
                setup.user.to_string(),
                setup.status.as_str(),
                setup.failure,
                setup.build.map(|build| build.to_string()),
                output,
                code,
                setup.created_at as i64,
                setup.updated_at as i64
            ],
        )?;
        Ok(())
    }

    pub fn app_setup(&self, id: AppSetupId) -> Result<Option<AppSetup>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM app_setups WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], setup).optional()?)
    }

    /// Marks setups that a stopped server left pending as failed. Returns how many.
    pub fn fail_pending_app_setups(&self, reason: &str, now: u64) -> Result<usize> {
        Ok(self.connection().execute(
            "UPDATE app_setups SET status = 'failed', failure = ?1, updated_at = ?2
             WHERE status = 'pending'",
            params![reason, now as i64],
        )?)
    }
}
