//! Webhooks of apps, their events and deliveries.

use super::{app_reference, webhook_resources};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Control, Endpoints, ExactJsonBody, JsonBody, OPERATE,
    RangeHeader, time,
};
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use windlass_control::records::{self, App, DeliveryStatus};
use windlass_control::webhooks::{NewWebhook, WebhookChange};
use windlass_wire::{
    Webhook, WebhookAttempt, WebhookCreate, WebhookDelivery, WebhookDeliveryEvent,
    WebhookDeliveryWebhook, WebhookEvent, WebhookUpdate,
};

/// What shows a secret, this once.
const SECRET: &str = "heroku-webhook-secret";

/// Who may see them may send requests from this server with them, and URLs may be secrets.
pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/apps/{app}/webhooks", OPERATE, list)
        .post("/apps/{app}/webhooks", OPERATE, create)
        .get("/apps/{app}/webhooks/{webhook}", OPERATE, info)
        .patch("/apps/{app}/webhooks/{webhook}", OPERATE, update)
        .delete("/apps/{app}/webhooks/{webhook}", OPERATE, remove)
        .get("/apps/{app}/webhook-events", OPERATE, events)
        .get("/apps/{app}/webhook-events/{event}", OPERATE, event)
        .get("/apps/{app}/webhook-deliveries", OPERATE, deliveries)
        .get("/apps/{app}/webhook-deliveries/{delivery}", OPERATE, delivery)
}

async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let webhooks = platform.app_webhooks(&app)?;
    Ok(range.answer(webhooks.into_iter().map(|webhook| shape(&app, webhook)).collect()))
}

async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    JsonBody(body): JsonBody<WebhookCreate>,
) -> ApiResult<(StatusCode, HeaderMap, Json<Webhook>)> {
    let now = webhook_resources::of(&state, &app).await?;
    let wanted = NewWebhook {
        include: body.include,
        level: body.level,
        url: body.url,
        secret: body.secret,
        authorization: body.authorization,
    };
    let webhook = state.platform.add_webhook(&user, &app, wanted, &now)?;
    let headers = secret_header(&webhook.target.secret)?;
    Ok((StatusCode::CREATED, headers, Json(shape(&app, webhook))))
}

async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<Webhook>> {
    Ok(Json(shape(&app, platform.app_webhook(&app, &id)?)))
}

async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    Path((_, id)): Path<(String, String)>,
    ExactJsonBody(body): ExactJsonBody<WebhookUpdate>,
) -> ApiResult<(HeaderMap, Json<Webhook>)> {
    let now = webhook_resources::of(&state, &app).await?;
    let has_secret = body.secret.is_some();
    let change = WebhookChange {
        include: body.include,
        level: body.level,
        url: body.url,
        secret: body.secret,
        authorization: body.authorization,
    };
    let webhook = state.platform.update_webhook(&user, &app, &id, change, &now)?;
    let headers =
        if has_secret { secret_header(&webhook.target.secret)? } else { HeaderMap::new() };
    Ok((headers, Json(shape(&app, webhook))))
}

async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<Webhook>> {
    Ok(Json(shape(&app, platform.remove_webhook(&user, &app, &id)?)))
}

async fn events(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let events = newest(&range, platform.webhook_events(&app)?);
    let shaped: ApiResult<Vec<WebhookEvent>> = events.into_iter().map(event_shape).collect();
    Ok(range.answer(shaped?))
}

async fn event(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<WebhookEvent>> {
    event_shape(platform.webhook_event(&app, &id)?).map(Json)
}

/// Lists deliveries, the newest first; `?eq[status]=failed` those of one status.
async fn deliveries(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    RawQuery(query): RawQuery,
    range: RangeHeader,
) -> ApiResult<Response> {
    let status = wanted_status(query.as_deref().unwrap_or_default())?;
    let deliveries = newest(&range, platform.webhook_deliveries(&app, status)?);
    Ok(range.answer(deliveries.into_iter().map(delivery_shape).collect()))
}

async fn delivery(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<WebhookDelivery>> {
    Ok(Json(delivery_shape(platform.webhook_delivery(&app, &id)?)))
}

/// Clients ask for the newest by `seq`, which no shape has: the list is in that order.
fn newest<T>(range: &RangeHeader, mut items: Vec<T>) -> Vec<T> {
    let wanted = range.newest(&["seq"]);
    if wanted != u32::MAX {
        items.truncate(wanted.saturating_sub(1) as usize);
    }
    items
}

fn wanted_status(query: &str) -> ApiResult<Option<DeliveryStatus>> {
    let names = ["eq[status]=", "eq%5Bstatus%5D=", "eq%5bstatus%5d="];
    let parameter = query
        .split('&')
        .find_map(|parameter| names.iter().find_map(|name| parameter.strip_prefix(name)));
    match parameter {
        None | Some("") => Ok(None),
        // Heroku's word for what waits for its next attempt.
        Some("scheduled") => Ok(Some(DeliveryStatus::Pending)),
        Some(text) => text.parse().map(Some).map_err(|_| {
            ApiError::invalid("The status must be pending, retrying, failed or succeeded.")
        }),
    }
}

fn secret_header(secret: &str) -> ApiResult<HeaderMap> {
    let mut value = HeaderValue::from_str(secret).map_err(|_| ApiError::internal())?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(http::HeaderName::from_static(SECRET), value)]))
}

fn shape(app: &App, webhook: records::Webhook) -> Webhook {
    Webhook {
        id: webhook.id.to_string(),
        app: app_reference(app),
        include: webhook.include,
        level: webhook.level.as_str().to_owned(),
        url: webhook.target.url,
        created_at: time(webhook.created_at),
        updated_at: time(webhook.updated_at),
    }
}

fn event_shape(event: records::WebhookEvent) -> ApiResult<WebhookEvent> {
    let payload = serde_json::from_value(event.payload).map_err(|error| {
        tracing::error!(%error, event = %event.id, "an event of webhooks cannot be read");
        ApiError::internal()
    })?;
    Ok(WebhookEvent {
        id: event.id.to_string(),
        include: event.include,
        payload,
        created_at: time(event.created_at),
        updated_at: time(event.created_at),
    })
}

fn delivery_shape(delivery: records::WebhookDelivery) -> WebhookDelivery {
    let attempt = |attempt: records::DeliveryAttempt| WebhookAttempt {
        id: attempt.id.to_string(),
        code: attempt.code,
        error_class: attempt.error,
        status: if attempt.succeeded { "succeeded" } else { "failed" }.to_owned(),
        created_at: time(attempt.started_at),
        updated_at: time(attempt.ended_at),
    };
    WebhookDelivery {
        id: delivery.id.to_string(),
        event: WebhookDeliveryEvent {
            id: delivery.event.to_string(),
            include: delivery.event_include,
        },
        webhook: WebhookDeliveryWebhook {
            id: delivery.webhook.to_string(),
            level: delivery.level.as_str().to_owned(),
        },
        status: delivery.status.as_str().to_owned(),
        num_attempts: delivery.attempts,
        next_attempt_at: delivery.next_attempt_at.map(time),
        last_attempt: delivery.last_attempt.map(attempt),
        created_at: time(delivery.created_at),
        updated_at: time(delivery.updated_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_filtered_as_clients_write_it() {
        let status = |query| wanted_status(query).map_err(|error| error.body.id);
        assert_eq!(status("eq[status]=failed"), Ok(Some(DeliveryStatus::Failed)));
        assert_eq!(status("a=b&eq%5Bstatus%5D=succeeded"), Ok(Some(DeliveryStatus::Succeeded)));
        assert_eq!(status("eq[status]="), Ok(None));
        assert_eq!(status(""), Ok(None));
        assert_eq!(status("eq[status]=lost"), Err("invalid_params".to_owned()));
    }
}
