//! Log sessions: a URL that streams an app's log.

use crate::convention::{ApiResult, AppOfCaller, BaseUrl, Control, JsonBody, now};
use crate::stream::{event_stream, text_stream, wants_events};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use uuid::Uuid;
use windlass_control::observe::LogFilter;
use windlass_wire::{LogSession, LogSessionCreate};

const DEFAULT_LINES: u32 = 100;
const MAXIMUM_LINES: u32 = 1_500;

pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<LogSessionCreate>,
) -> ApiResult<(StatusCode, Json<LogSession>)> {
    let filter = LogFilter {
        process: body.dyno,
        source: body.source,
        lines: body.lines.unwrap_or(DEFAULT_LINES).min(MAXIMUM_LINES),
        tail: body.tail,
    };
    let secret = platform.create_log_session(&user, &app, filter)?;
    let created_at = now();
    let session = LogSession {
        id: Uuid::new_v4().to_string(),
        logplex_url: format!("{}/logs/{secret}", base.0),
        updated_at: created_at.clone(),
        created_at,
    };
    Ok((StatusCode::CREATED, Json(session)))
}

/// Streams the lines: as server-sent events to clients that ask for them, else as plain text.
pub(super) async fn stream(
    Control(platform): Control,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    if !wants_events(&headers) {
        return Ok(text_stream(platform.open_log_session(&secret, None)?));
    }
    // A client whose connection broke names the last event that it has seen.
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let history = seen.is_some().then_some(MAXIMUM_LINES);
    Ok(event_stream(platform.open_log_session(&secret, history)?, seen))
}
