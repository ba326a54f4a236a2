//! Events that webhooks are told of, and their deliveries.

use crate::{Result, Store, json, parsed, parsed_optional, to_json};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::ids::{AppId, UserId, WebhookDeliveryId, WebhookEventId, WebhookId};
use windlass_core::webhook::{KEPT_DELIVERIES, Level, Resource, WAITING_DELIVERIES};

/// Something that happened to an app.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookEvent {
    pub id: WebhookEventId,
    pub app: AppId,
    /// Rises from event to event; 0 before it is stored.
    pub number: u64,
    /// The entity: `api:release`.
    pub include: String,
    pub payload: Value,
    pub created_at: u64,
}

/// The telling of one event to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDelivery {
    pub id: WebhookDeliveryId,
    pub number: u64,
    pub app: AppId,
    /// Who owns the app, or stands for the team that does; `None`: the app is gone.
    pub app_owner: Option<UserId>,
    pub webhook: WebhookId,
    pub level: Level,
    pub event: WebhookEventId,
    pub event_include: String,
    pub status: DeliveryStatus,
    pub attempts: u32,
    /// `None`: it is over.
    pub next_attempt_at: Option<u64>,
    pub last_attempt: Option<DeliveryAttempt>,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    Pending,
    Retrying,
    Failed,
    Succeeded,
}

impl DeliveryStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
        }
    }
}

impl std::str::FromStr for DeliveryStatus {
    type Err = crate::StoreError;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Pending, Self::Retrying, Self::Failed, Self::Succeeded]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| crate::StoreError::Unreadable(format!("delivery status {text:?}")))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    pub id: uuid::Uuid,
    /// The status of the answer, if there was one.
    pub code: Option<u16>,
    /// What went wrong, in a word: `timeout`.
    pub error: Option<String>,
    pub succeeded: bool,
    pub started_at: u64,
    pub ended_at: u64,
}

impl Store {
    /// Stores what has happened to a watched app since `from`, with a delivery for each webhook
    /// that is told of it: all or nothing. `gone` ends the watch. Returns how many deliveries there
    /// are, or `None` if somebody else was faster.
    pub fn tell(
        &self,
        app: AppId,
        from: u64,
        resources: &[Resource],
        events: &[WebhookEvent],
        gone: bool,
    ) -> Result<Option<usize>> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let app = app.to_string();
        let told = transaction.execute(
            "UPDATE watched_apps SET resources = ?3, told = ?2 WHERE app = ?1 AND told <= ?2",
            params![app, from as i64, to_json(&resources)?],
        )?;
        if told == 0 {
            return Ok(None);
        }
        let mut deliveries = 0;
        for event in events {
            deliveries += insert(&transaction, event)?;
        }
        give_up_oldest(&transaction, &app)?;
        if gone {
            transaction.execute("DELETE FROM watched_apps WHERE app = ?1", [&app])?;
        }
        transaction.commit()?;
        Ok(Some(deliveries))
    }

    /// Returns the deliveries that are due, one of each webhook: its first where the order matters,
    /// else the first that is due.
    pub fn due_deliveries(&self, now: u64) -> Result<Vec<WebhookDelivery>> {
        self.deliveries_where(
            "JOIN app_webhooks AS w ON d.number = (
                 SELECT number FROM webhook_deliveries AS first WHERE first.webhook = w.id
                 AND first.next_attempt_at IS NOT NULL
                 AND (first.level = 'sync' OR first.next_attempt_at <= ?1)
                 ORDER BY number LIMIT 1)
             WHERE d.next_attempt_at <= ?1 ORDER BY d.number",
            &[&(now as i64)],
        )
    }

    /// Notes an attempt and what follows from it.
    pub fn note_attempt(
        &self,
        id: WebhookDeliveryId,
        attempt: &DeliveryAttempt,
        status: DeliveryStatus,
        next_attempt_at: Option<u64>,
    ) -> Result<()> {
        self.connection().execute(
            "UPDATE webhook_deliveries SET status = ?2, attempts = attempts + 1, next_attempt_at = ?3,
             last_attempt = ?4, updated_at = ?5 WHERE id = ?1",
            params![
                id.to_string(),
                status.as_str(),
                next_attempt_at.map(|at| at as i64),
                to_json(attempt)?,
                attempt.ended_at as i64
            ],
        )?;
        Ok(())
    }

    /// Returns the deliveries of an app, the newest first.
    pub fn webhook_deliveries(
        &self,
        app: AppId,
        status: Option<DeliveryStatus>,
    ) -> Result<Vec<WebhookDelivery>> {
        let status = status.map(DeliveryStatus::as_str);
        self.deliveries_where(
            "WHERE d.app = ?1 AND (?2 IS NULL OR status = ?2) ORDER BY d.number DESC",
            &[&app.to_string(), &status],
        )
    }

    fn deliveries_where(
        &self,
        condition: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<WebhookDelivery>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT d.*, e.include AS event_include,
             (SELECT owner FROM apps WHERE id = d.app) AS app_owner FROM webhook_deliveries AS d
             JOIN webhook_events AS e ON e.id = d.event {condition}"
        ))?;
        let rows = statement.query_map(parameters, delivery)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the events of an app, the newest first.
    pub fn webhook_events(&self, app: AppId) -> Result<Vec<WebhookEvent>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT * FROM webhook_events WHERE app = ?1 ORDER BY number DESC")?;
        let rows = statement.query_map([app.to_string()], event)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn webhook_event(&self, id: WebhookEventId) -> Result<Option<WebhookEvent>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM webhook_events WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], event).optional()?)
    }

    /// Deletes what is over for long or too much to keep, and the webhooks of apps that are gone
    /// once they have been told.
    pub fn prune_webhooks(&self, ended_before: u64) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "DELETE FROM webhook_deliveries WHERE next_attempt_at IS NULL AND (updated_at < ?1
             OR number <= (SELECT number FROM webhook_deliveries AS newer
                 WHERE newer.app = webhook_deliveries.app
                 ORDER BY number DESC LIMIT 1 OFFSET ?2))",
            params![ended_before as i64, KEPT_DELIVERIES],
        )?;
        transaction.execute(
            "DELETE FROM app_webhooks WHERE NOT EXISTS (SELECT 1 FROM apps WHERE id = app_webhooks.app)
             AND NOT EXISTS (SELECT 1 FROM watched_apps WHERE app = app_webhooks.app)
             AND NOT EXISTS (SELECT 1 FROM webhook_deliveries AS d
                 WHERE d.webhook = app_webhooks.id AND d.next_attempt_at IS NOT NULL)",
            [],
        )?;
        transaction.execute(
            "DELETE FROM webhook_deliveries WHERE NOT EXISTS (SELECT 1 FROM app_webhooks AS w WHERE w.app = webhook_deliveries.app)
             AND NOT EXISTS (SELECT 1 FROM apps WHERE id = webhook_deliveries.app)",
            [],
        )?;
        transaction.execute(
            "DELETE FROM webhook_events WHERE NOT EXISTS (SELECT 1 FROM webhook_deliveries WHERE event = webhook_events.id)",
            [],
        )?;
        Ok(transaction.commit()?)
    }
}

/// Inserts an event, if any webhook is told of it, and its deliveries; returns how many.
fn insert(transaction: &Transaction<'_>, event: &WebhookEvent) -> Result<usize> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, level FROM app_webhooks WHERE app = ?1
         AND EXISTS (SELECT 1 FROM json_each(include) WHERE value = ?2)",
    )?;
    let rows = statement.query_map(params![event.app.to_string(), event.include], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let webhooks: Vec<(String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    if webhooks.is_empty() {
        return Ok(0);
    }
    let at = event.created_at as i64;
    transaction.execute(
        "INSERT INTO webhook_events (id, app, include, payload, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![event.id.to_string(), event.app.to_string(), event.include, to_json(&event.payload)?, at],
    )?;
    for (webhook, level) in &webhooks {
        transaction.execute(
            "INSERT INTO webhook_deliveries (id, app, webhook, level, event, status, next_attempt_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6, ?6)",
            params![
                WebhookDeliveryId::random().to_string(),
                event.app.to_string(),
                webhook,
                level,
                event.id.to_string(),
                at
            ],
        )?;
    }
    Ok(webhooks.len())
}

/// A receiver that never answers must not fill the disk.
fn give_up_oldest(transaction: &Transaction<'_>, app: &str) -> Result<()> {
    transaction.execute(
        "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL
         WHERE app = ?1 AND next_attempt_at IS NOT NULL AND number <= (
             SELECT number FROM webhook_deliveries AS newer WHERE newer.webhook = webhook_deliveries.webhook
             AND newer.next_attempt_at IS NOT NULL ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        params![app, WAITING_DELIVERIES],
    )?;
    Ok(())
}

fn event(row: &Row<'_>) -> rusqlite::Result<WebhookEvent> {
    Ok(WebhookEvent {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        number: row.get::<_, i64>("number")? as u64,
        include: row.get("include")?,
        payload: json(row, "payload")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<WebhookDelivery> {
    let has_attempt = row.get::<_, Option<String>>("last_attempt")?.is_some();
    Ok(WebhookDelivery {
        id: parsed(row, "id")?,
        number: row.get::<_, i64>("number")? as u64,
        app: parsed(row, "app")?,
        app_owner: parsed_optional(row, "app_owner")?,
        webhook: parsed(row, "webhook")?,
        level: parsed(row, "level")?,
        event: parsed(row, "event")?,
        event_include: row.get("event_include")?,
        status: parsed(row, "status")?,
        attempts: row.get("attempts")?,
        next_attempt_at: row.get::<_, Option<i64>>("next_attempt_at")?.map(|at| at as u64),
        last_attempt: if has_attempt { Some(json(row, "last_attempt")?) } else { None },
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}
