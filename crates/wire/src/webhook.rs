use crate::IdReference;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /apps/:app/webhooks`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Webhook {
    pub id: String,
    pub app: crate::Reference,
    /// What it is told of: `api:release`, `dyno` …
    pub include: Vec<String>,
    /// `notify` or `sync`.
    pub level: String,
    pub url: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/webhooks`
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookCreate {
    pub include: Vec<String>,
    pub level: String,
    pub url: String,
    /// The key of signatures; without one the server makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Sent along as the header `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
}

/// `PATCH /apps/:app/webhooks/:webhook`: what is absent stays. `Some(None)` is `null`: another
/// secret is made, and no `Authorization` is sent any more.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub secret: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Option<String>>,
}

/// Reads a value that is there, `null` included.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// `GET /apps/:app/webhook-events`: something that happened to an app.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WebhookEvent {
    pub id: String,
    pub include: String,
    pub payload: WebhookPayload,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WebhookPayload {
    /// `create`, `update` or `destroy`.
    pub action: String,
    pub actor: WebhookActor,
    /// The resource as the API shows it.
    pub data: Value,
    /// Of an update: what was otherwise before.
    pub previous_data: Value,
    /// `release`, `dyno` …
    pub resource: String,
    pub version: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookActor {
    pub email: String,
    pub id: String,
}

/// `GET /apps/:app/webhook-deliveries`: the telling of an event to a webhook.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookDelivery {
    pub id: String,
    pub event: WebhookDeliveryEvent,
    pub webhook: WebhookDeliveryWebhook,
    /// `pending`, `retrying`, `failed` or `succeeded`.
    pub status: String,
    pub num_attempts: u32,
    /// `None`: it is over.
    pub next_attempt_at: Option<String>,
    pub last_attempt: Option<WebhookAttempt>,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookDeliveryEvent {
    pub id: String,
    pub include: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookDeliveryWebhook {
    pub id: String,
    pub level: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct WebhookAttempt {
    pub id: String,
    /// The status of the answer, if there was one.
    pub code: Option<u16>,
    /// Why there was none, or none that counts: `timeout`, `connection`, `tls` …
    pub error_class: Option<String>,
    /// `succeeded` or `failed`.
    pub status: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `GET /apps/:app/log-drains`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogDrain {
    pub id: String,
    /// By it the target tells apps apart: `d.<uuid>`.
    pub token: String,
    pub url: String,
    pub addon: Option<IdReference>,
    pub app: Option<crate::Reference>,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/log-drains`
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogDrainCreate {
    pub url: String,
}

/// `GET /apps/:app/features`, `GET /account/features`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Feature {
    pub id: String,
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub doc_url: String,
    pub feedback_email: String,
    pub enabled: bool,
    /// `general` or `beta`.
    pub state: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `PATCH /apps/:app/features/:feature`
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FeatureUpdate {
    #[serde(deserialize_with = "crate::switch::boolean")]
    pub enabled: bool,
}
