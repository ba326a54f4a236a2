//! Sources that are fetched from elsewhere: what to fetch, how to get in, and who may start it.

use super::build::Shaper;
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, JsonBody, RangeHeader, to_the_end,
};
use crate::state::ApiState;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use std::time::Duration;
use windlass_control::receive::{SyncRequest, Webhook, WebhookAnswer};
use windlass_wire::{
    GitCredential, GitCredentialCreate, GitKey, GitSync, GitSyncCreate, GitWebhook,
    GitWebhookCreate,
};

/// The largest call of a webhook, in bytes.
const CALL_BYTES: usize = 5 << 20;
/// How long one may take to come in.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Starts a build of what is fetched; answers 200 if nothing has changed.
pub(super) async fn sync(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<GitSyncCreate>,
) -> ApiResult<(StatusCode, Json<GitSync>)> {
    let request =
        SyncRequest { url: body.url, reference: body.reference, if_changed: body.if_changed };
    let (control, its_user, its_app) = (state.platform.clone(), user.clone(), app.clone());
    let begun =
        to_the_end(async move { control.sync_git(&its_user, &its_app, request).await }).await?;
    let mut shaper = Shaper::new(&state, &base, &app, user.id)?;
    let build = begun.build.map(|build| shaper.shape(build)).transpose()?;
    let status = if build.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let (url, reference) = (begun.source.url, begun.source.reference);
    Ok((status, Json(GitSync { url, reference, commit: begun.commit, build })))
}

pub(super) async fn key(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<GitKey>> {
    Ok(Json(GitKey { public_key: platform.deploy_key_line(&app)? }))
}

pub(super) async fn webhook(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<GitWebhook>> {
    let webhook = platform.webhook(&app)?.ok_or_else(|| ApiError::not_found("webhook"))?;
    Ok(Json(shape(webhook)))
}

pub(super) async fn enable_webhook(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<GitWebhookCreate>,
) -> ApiResult<Json<GitWebhook>> {
    Ok(Json(shape(platform.enable_webhook(&user, &app, body.rotate)?)))
}

pub(super) async fn disable_webhook(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Value>> {
    platform.disable_webhook(&user, &app)?;
    Ok(Json(json!({})))
}

fn shape(webhook: Webhook) -> GitWebhook {
    GitWebhook { url: webhook.url, secret: webhook.secret }
}

pub(super) async fn credentials(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let hosts = platform.git_hosts(&user)?.into_iter();
    let shaped: Vec<GitCredential> =
        hosts.map(|(host, username)| GitCredential { host, username }).collect();
    Ok(range.answer(shaped))
}

pub(super) async fn set_credential(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<GitCredentialCreate>,
) -> ApiResult<Json<GitCredential>> {
    let username = body.username.as_deref();
    let host = platform.set_git_token(&user, &body.host, username, &body.token)?;
    let known = platform.git_hosts(&user)?.into_iter().find(|(known, _)| *known == host);
    let (host, username) = known.ok_or_else(|| ApiError::not_found("git_credential"))?;
    Ok(Json(GitCredential { host, username }))
}

pub(super) async fn remove_credential(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(host): Path<String>,
) -> ApiResult<Json<Value>> {
    platform.remove_git_token(&user, &host)?;
    Ok(Json(json!({})))
}

/// Takes the call of another git host. Its signature is its only credential.
pub(super) async fn call(
    Control(platform): Control,
    Path(app): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let body = call_body(body).await?;
    let header = |name: &str| Some(headers.get(name)?.to_str().unwrap_or_default().to_owned());
    call_answer(platform.take_webhook(&app, &header, &body)?)
}

/// Reads the body of a call of another git host.
pub(super) async fn call_body(body: Body) -> ApiResult<Bytes> {
    let collected = tokio::time::timeout(CALL_LIMIT, Limited::new(body, CALL_BYTES).collect());
    match collected.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("The webhook's body is larger than {} MiB.", CALL_BYTES >> 20);
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message))
        }
        Ok(Err(error)) => {
            let message = format!("The webhook's body ended early: {error}");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message))
        }
        Err(_) => {
            let message = "The webhook's body stopped coming in.";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))
        }
    }
}

/// Answers one.
pub(super) fn call_answer(answer: WebhookAnswer) -> ApiResult<(StatusCode, Json<Value>)> {
    let (status, message) = match answer {
        WebhookAnswer::Ignored(message) => (StatusCode::OK, message),
        WebhookAnswer::Started(message) => (StatusCode::ACCEPTED, message),
        WebhookAnswer::Refused => {
            let message = "The webhook's signature is missing or wrong: is its secret the one that was printed when it was enabled?";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
        }
    };
    Ok((status, Json(json!({ "message": message }))))
}
