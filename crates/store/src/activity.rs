//! The audit trail: who did what, from where.

use crate::{Result, Store, parsed, parsed_optional};
use rusqlite::params;
use windlass_core::ids::{AppId, UserId};

/// So many entries are kept; the oldest go.
pub const ACTIVITY_KEPT: u64 = 100_000;

/// One change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    pub user: UserId,
    /// Their address then.
    pub email: String,
    /// What their token was for, or which SSH key it was.
    pub token: Option<String>,
    /// The app that was changed, and its name then.
    pub app: Option<(AppId, String)>,
    /// `PATCH /apps/{app}/config-vars`, `git push`.
    pub action: String,
    pub address: Option<String>,
    /// The request's id, under which the log has more.
    pub request: Option<String>,
}

impl Store {
    /// Appends to the trail and drops what is beyond [`ACTIVITY_KEPT`].
    pub fn insert_activity(&self, entries: &[Activity]) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for entry in entries {
            transaction.execute(
                "INSERT INTO activity (at, user, email, token, app, app_name, action, address, request)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    entry.at as i64,
                    entry.user.to_string(),
                    entry.email,
                    entry.token,
                    entry.app.as_ref().map(|(id, _)| id.to_string()),
                    entry.app.as_ref().map(|(_, name)| name),
                    entry.action,
                    entry.address,
                    entry.request,
                ],
            )?;
        }
        transaction.execute(
            "DELETE FROM activity WHERE number <= (SELECT max(number) FROM activity) - ?1",
            [ACTIVITY_KEPT as i64],
        )?;
        Ok(transaction.commit()?)
    }

    /// Returns the newest entries, the newest first: of one app, or of all.
    pub fn activity(&self, app: Option<AppId>, most: u32) -> Result<Vec<(u64, Activity)>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM activity WHERE ?1 IS NULL OR app = ?1 ORDER BY number DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![app.map(|app| app.to_string()), most], |row| {
            let app: Option<AppId> = parsed_optional(row, "app")?;
            let entry = Activity {
                at: row.get::<_, i64>("at")? as u64,
                user: parsed(row, "user")?,
                email: row.get("email")?,
                token: row.get("token")?,
                app: app.zip(row.get::<_, Option<String>>("app_name")?),
                action: row.get("action")?,
                address: row.get("address")?,
                request: row.get("request")?,
            };
            Ok((row.get::<_, i64>("number")? as u64, entry))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
