//! Deliveries: attempts at what is due, one at a time for each webhook.

use super::Webhook;
use crate::outgoing::HttpConnection;
use crate::platform::now_ms;
use crate::records::{DeliveryAttempt, DeliveryStatus, WebhookDelivery, WebhookEvent};
use crate::{Platform, PlatformError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use ring::hmac;
use serde_json::json;
use std::time::Duration;
use windlass_core::outgoing::OutgoingUrl;
use windlass_core::webhook::{Call, KEPT_MS, Next, after_attempt, calls_to_begin};

/// How long an attempt may take, from the look-up of the name to the answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest pause between looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);
/// What is over is looked through once in so many milliseconds.
const PRUNE_MS: u64 = 10 * 60 * 1_000;
const SIGNATURE: HeaderName = HeaderName::from_static("heroku-webhook-hmac-sha256");

impl Platform {
    pub(super) fn spawn_deliveries(&self) {
        let weak = self.downgrade();
        tokio::spawn(async move {
            let mut pruned_at = 0;
            loop {
                let Some(platform) = Platform::upgrade(&weak) else { return };
                if let Err(error) = platform.deliver_due() {
                    tracing::warn!(%error, "webhooks could not be called");
                }
                if pruned_at + PRUNE_MS < now_ms() {
                    pruned_at = now_ms();
                    let before = pruned_at.saturating_sub(KEPT_MS);
                    if let Err(error) = platform.store().prune_webhooks(before) {
                        tracing::warn!(%error, "old deliveries of webhooks could not be removed");
                    }
                }
                let woken = platform.webhook_state().wake.notified();
                let _ = tokio::time::timeout(PAUSE, woken).await;
            }
        });
    }

    /// Starts an attempt at each delivery that is due and whose turn it is.
    fn deliver_due(&self) -> Result<()> {
        // Before the look at what is due: an attempt that ends in between is not in it as over yet.
        let under_way = self.webhook_state().under_way().clone();
        let due = self.store().due_deliveries(now_ms())?;
        let calls: Vec<Call> = due.iter().map(call_of).collect();
        for index in calls_to_begin(&calls, &under_way) {
            let (call, delivery) = (calls[index], due[index].clone());
            self.webhook_state().under_way().insert(call);
            let platform = self.clone();
            tokio::spawn(async move {
                if let Err(error) = platform.deliver(&delivery).await {
                    tracing::warn!(%error, delivery = %delivery.id, "a webhook could not be called");
                }
                platform.webhook_state().under_way().remove(&call);
                platform.webhook_state().wake.notify_one();
            });
        }
        Ok(())
    }

    async fn deliver(&self, delivery: &WebhookDelivery) -> Result<()> {
        let missing = PlatformError::NotFound { resource: "webhook" };
        let webhook = self.store().webhook(delivery.webhook)?.ok_or(missing)?;
        let missing = PlatformError::NotFound { resource: "webhook event" };
        let event = self.store().webhook_event(delivery.event)?.ok_or(missing)?;
        let attempt_id = uuid::Uuid::new_v4();
        let body = body(&webhook, delivery, &event, attempt_id);
        let started_at = now_ms();
        let called = tokio::time::timeout(LIMIT, self.call(&webhook, body)).await;
        let (code, error) = match called {
            Ok(Ok(status)) if (300..400).contains(&status) => (Some(status), Some("redirect")),
            Ok(Ok(status)) => (Some(status), None),
            Ok(Err(class)) => (None, Some(class)),
            Err(_) => (None, Some("timeout")),
        };
        let succeeded = code.is_some_and(|code| (200..300).contains(&code));
        let ended_at = now_ms();
        let attempt = DeliveryAttempt {
            id: attempt_id,
            code,
            error: error.map(str::to_owned),
            succeeded,
            started_at,
            ended_at,
        };
        let attempts = delivery.attempts + 1;
        let next =
            after_attempt(delivery.level, succeeded, attempts, delivery.created_at, ended_at);
        let (status, next_at) = match next {
            Next::Succeeded => (DeliveryStatus::Succeeded, None),
            Next::Failed => (DeliveryStatus::Failed, None),
            Next::RetryAt(at) => (DeliveryStatus::Retrying, Some(at)),
        };
        Ok(self.store().note_attempt(delivery.id, &attempt, status, next_at)?)
    }

    /// Returns the status of the answer, or a word for why there is none.
    async fn call(
        &self,
        webhook: &Webhook,
        body: String,
    ) -> std::result::Result<u16, &'static str> {
        let url: OutgoingUrl = webhook.target.url.parse().map_err(|_| "url")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, webhook.target.secret.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, body.as_bytes()));
        let mut headers =
            vec![(CONTENT_TYPE, "application/json".to_owned()), (SIGNATURE, signature)];
        headers.extend(webhook.target.authorization.clone().map(|text| (AUTHORIZATION, text)));
        let called = async {
            let mut connection = HttpConnection::open(self.outgoing(), &url).await?;
            connection.post(&url, &headers, Bytes::from(body), LIMIT).await
        };
        called.await.map_err(|error: crate::outgoing::SendError| {
            tracing::debug!(%error, %url, webhook = %webhook.id, "a webhook was not reached");
            error.class()
        })
    }
}

fn call_of(delivery: &WebhookDelivery) -> Call {
    Call { webhook: delivery.webhook, app: delivery.app, owner: delivery.app_owner }
}

/// The event as Heroku sends it.
fn body(
    webhook: &Webhook,
    delivery: &WebhookDelivery,
    event: &WebhookEvent,
    attempt: uuid::Uuid,
) -> String {
    let at = time(event.created_at);
    let mut body = event.payload.clone();
    body["id"] = event.id.to_string().into();
    body["created_at"] = at.clone().into();
    body["updated_at"] = at.clone().into();
    body["published_at"] = at.into();
    body["sequence"] = event.number.into();
    body["webhook_metadata"] = json!({
        "attempt": {"id": attempt},
        "delivery": {"id": delivery.id},
        "event": {"id": event.id, "include": event.include},
        "webhook": {"id": webhook.id},
    });
    body.to_string()
}

/// Returns milliseconds since the Unix epoch as `2026-01-02T03:04:05Z`.
fn time(milliseconds: u64) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
