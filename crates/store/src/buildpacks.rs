//! The buildpacks that somebody chose for an app.

use crate::{Result, Store};
use rusqlite::params;
use windlass_core::ids::AppId;

impl Store {
    /// Returns names and URLs in order; empty when nobody chose any.
    pub fn buildpacks(&self, app: AppId) -> Result<Vec<String>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT buildpack FROM buildpacks WHERE app = ?1 ORDER BY position")?;
        let rows = statement.query_map([app.to_string()], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Replaces the whole list.
    pub fn set_buildpacks(&self, app: AppId, buildpacks: &[String]) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM buildpacks WHERE app = ?1", [app.to_string()])?;
        for (position, buildpack) in (0u32..).zip(buildpacks) {
            transaction.execute(
                "INSERT INTO buildpacks (app, position, buildpack) VALUES (?1, ?2, ?3)",
                params![app.to_string(), position, buildpack],
            )?;
        }
        Ok(transaction.commit()?)
    }
}
