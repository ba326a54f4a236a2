//! Log drains of apps. Their URLs are sealed, because they may hold a password.

use crate::{Result, Store, StoreError, parsed};
use rusqlite::params;
use windlass_core::ids::{AppId, LogDrainId};

#[derive(Clone, PartialEq, Eq)]
pub struct LogDrain {
    pub id: LogDrainId,
    pub app: AppId,
    /// `d.<uuid>`: by it the target tells apps apart.
    pub token: String,
    pub url: String,
    pub created_at: u64,
    pub updated_at: u64,
}

/// The URL is not shown.
impl std::fmt::Debug for LogDrain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogDrain")
            .field("id", &self.id)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Inserts a drain, or changes the URL of the one with its id.
    pub fn save_log_drain(&self, drain: &LogDrain) -> Result<()> {
        let url = self.key.seal(drain.url.as_bytes())?;
        self.connection().execute(
            "INSERT INTO log_drains (id, app, token, url, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET url = ?4, updated_at = ?6",
            params![
                drain.id.to_string(),
                drain.app.to_string(),
                drain.token,
                url,
                drain.created_at as i64,
                drain.updated_at as i64
            ],
        )?;
        Ok(())
    }

    /// Returns the drains of an app, the oldest first.
    pub fn log_drains(&self, app: AppId) -> Result<Vec<LogDrain>> {
        self.log_drains_where("WHERE app = ?1", &[&app.to_string()])
    }

    /// Returns the drains of all apps.
    pub fn all_log_drains(&self) -> Result<Vec<LogDrain>> {
        self.log_drains_where("", &[])
    }

    fn log_drains_where(
        &self,
        condition: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<LogDrain>> {
        let rows = {
            let connection = self.connection();
            let sql = format!("SELECT * FROM log_drains {condition} ORDER BY created_at, rowid");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(parameters, |row| {
                let drain = LogDrain {
                    id: parsed(row, "id")?,
                    app: parsed(row, "app")?,
                    token: row.get("token")?,
                    url: String::new(),
                    created_at: row.get::<_, i64>("created_at")? as u64,
                    updated_at: row.get::<_, i64>("updated_at")? as u64,
                };
                Ok((drain, row.get::<_, Vec<u8>>("url")?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        let opened = rows.into_iter().map(|(drain, sealed)| {
            let url = String::from_utf8(self.key.open(&sealed)?)
                .map_err(|_| StoreError::Unreadable("a drain's URL is not text".to_owned()))?;
            Ok(LogDrain { url, ..drain })
        });
        opened.collect()
    }

    /// Returns whether the app had such a drain.
    pub fn delete_log_drain(&self, app: AppId, id: LogDrainId) -> Result<bool> {
        let deleted = self.connection().execute(
            "DELETE FROM log_drains WHERE app = ?1 AND id = ?2",
            [app.to_string(), id.to_string()],
        )?;
        Ok(deleted > 0)
    }
}
