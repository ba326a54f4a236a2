//! Webhooks, and the apps that they watch. Targets are sealed.

use crate::{Result, Store, StoreError, json, parsed, to_json};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use windlass_core::ids::{AppId, WebhookId};
use windlass_core::webhook::{Level, Resource};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub app: AppId,
    /// What it is told of.
    pub include: Vec<String>,
    pub level: Level,
    pub target: WebhookTarget,
    pub created_at: u64,
    pub updated_at: u64,
}

/// Where deliveries go, and by what the receiver knows that they are ours.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTarget {
    pub url: String,
    /// The key of the signature.
    pub secret: String,
    /// The value of the header `Authorization`.
    pub authorization: Option<String>,
}

/// Nothing of it is shown: URLs may be secrets, too.
impl std::fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookTarget").finish_non_exhaustive()
    }
}

/// An app that has webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedApp {
    pub app: AppId,
    /// As webhooks were last told of it.
    pub resources: Vec<Resource>,
    /// Changes that had been counted when this was read.
    pub changes: u64,
}

impl Store {
    /// Inserts a webhook or replaces the one with its id. The app is watched from now on; as what
    /// it is now, unless it already was.
    pub fn save_webhook(&self, webhook: &Webhook, now: &[Resource]) -> Result<()> {
        let target = self.key.seal(to_json(&webhook.target)?.as_bytes())?;
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO app_webhooks (id, app, include, level, target, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET include = ?3, level = ?4, target = ?5, updated_at = ?7",
            params![
                webhook.id.to_string(),
                webhook.app.to_string(),
                to_json(&webhook.include)?,
                webhook.level.as_str(),
                target,
                webhook.created_at as i64,
                webhook.updated_at as i64
            ],
        )?;
        // A change between the look and now is seen at the first round, which always comes.
        transaction.execute(
            "INSERT INTO watched_apps (app, resources, changes) VALUES (?1, ?2, 1) ON CONFLICT (app) DO NOTHING",
            params![webhook.app.to_string(), to_json(&now)?],
        )?;
        Ok(transaction.commit()?)
    }

    /// Returns the webhooks of an app, the oldest first.
    pub fn webhooks(&self, app: AppId) -> Result<Vec<Webhook>> {
        let rows = {
            let connection = self.connection();
            let mut statement = connection.prepare_cached(
                "SELECT * FROM app_webhooks WHERE app = ?1 ORDER BY created_at, rowid",
            )?;
            let rows = statement.query_map([app.to_string()], sealed_webhook)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        rows.into_iter().map(|row| self.opened(row)).collect()
    }

    /// Returns a webhook, of whichever app.
    pub fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>> {
        let row = self
            .connection()
            .prepare_cached("SELECT * FROM app_webhooks WHERE id = ?1")?
            .query_row([id.to_string()], sealed_webhook)
            .optional()?;
        row.map(|row| self.opened(row)).transpose()
    }

    fn opened(&self, (mut webhook, sealed): (Webhook, Vec<u8>)) -> Result<Webhook> {
        webhook.target = serde_json::from_slice(&self.key.open(&sealed)?)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(webhook)
    }

    /// Deletes a webhook with what waits for it. Without one the app is not watched any more.
    /// Returns whether it had such a webhook.
    pub fn delete_webhook(&self, app: AppId, id: WebhookId) -> Result<bool> {
        let (app, id) = (app.to_string(), id.to_string());
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let deleted = transaction
            .execute("DELETE FROM app_webhooks WHERE app = ?1 AND id = ?2", [&app, &id])?;
        transaction.execute(
            "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL
             WHERE webhook = ?1 AND next_attempt_at IS NOT NULL",
            [&id],
        )?;
        transaction.execute(
            "DELETE FROM watched_apps WHERE app = ?1 AND NOT EXISTS (SELECT 1 FROM app_webhooks WHERE app = ?1)",
            [&app],
        )?;
        transaction.commit()?;
        Ok(deleted > 0)
    }

    /// Returns the watched apps of which something has changed that was not told yet.
    pub fn changed_apps(&self) -> Result<Vec<WatchedApp>> {
        self.watched("WHERE changes != told", &[])
    }

    /// Returns a watched app.
    pub fn watched_app(&self, app: AppId) -> Result<Option<WatchedApp>> {
        Ok(self.watched("WHERE app = ?1", &[&app.to_string()])?.pop())
    }

    fn watched(
        &self,
        condition: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<WatchedApp>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached(&format!("SELECT * FROM watched_apps {condition}"))?;
        let rows = statement.query_map(parameters, |row| {
            Ok(WatchedApp {
                app: parsed(row, "app")?,
                resources: json(row, "resources")?,
                changes: row.get::<_, i64>("changes")? as u64,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the apps with a webhook that is told of one of these entities.
    pub fn apps_that_tell(&self, entities: &[&str]) -> Result<Vec<AppId>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT app FROM app_webhooks WHERE EXISTS (
                 SELECT 1 FROM json_each(include) AS own JOIN json_each(?1) AS wanted
                 ON own.value = wanted.value)",
        )?;
        let rows = statement.query_map([to_json(&entities)?], |row| parsed(row, "app"))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn sealed_webhook(row: &Row<'_>) -> rusqlite::Result<(Webhook, Vec<u8>)> {
    let webhook = Webhook {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        include: json(row, "include")?,
        level: parsed(row, "level")?,
        target: WebhookTarget { url: String::new(), secret: String::new(), authorization: None },
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    };
    Ok((webhook, row.get("target")?))
}
