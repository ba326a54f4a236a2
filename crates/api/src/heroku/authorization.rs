//! Access tokens.

use crate::convention::{ApiError, ApiResult, Caller, Control, JsonBody, RangeHeader, time};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::Platform;
use windlass_control::records::{Token, User};
use windlass_wire::{AccessToken, Authorization, AuthorizationCreate, AuthorizationUser};

pub(super) async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let tokens = platform.authorizations(&caller.user)?;
    Ok(range.answer(tokens.into_iter().map(|token| shape_for(&caller, token)).collect()))
}

pub(super) async fn create(
    caller: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<AuthorizationCreate>,
) -> ApiResult<(StatusCode, Json<Authorization>)> {
    let description = body.description.as_deref().unwrap_or("Long-lived user authorization");
    let (token, secret) = platform.create_authorization(&caller.user, description)?;
    Ok((StatusCode::CREATED, Json(shape(&caller.user, token, Some(secret)))))
}

pub(super) async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<Authorization>> {
    let token = find(&platform, &caller, &id)?;
    Ok(Json(shape_for(&caller, token)))
}

pub(super) async fn revoke(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<Authorization>> {
    let token = find(&platform, &caller, &id)?;
    let revoked = platform.revoke_authorization(&caller.user, token.id)?;
    Ok(Json(shape(&caller.user, revoked, None)))
}

/// There are no browser sessions; clients that log out ask for theirs and expect this.
pub(super) async fn no_session(_caller: Caller) -> ApiError {
    ApiError::not_found("session")
}

/// Finds a token by id; `~` is the one in use.
fn find(platform: &Platform, caller: &Caller, id: &str) -> ApiResult<Token> {
    if id == "~" {
        return Ok(caller.token.clone());
    }
    let tokens = platform.authorizations(&caller.user)?;
    tokens
        .into_iter()
        .find(|token| token.id.to_string() == id)
        .ok_or_else(|| ApiError::not_found("authorization"))
}

/// Only hashes of secrets are kept, but the caller's own came with the request.
fn shape_for(caller: &Caller, token: Token) -> Authorization {
    let secret = (token.id == caller.token.id).then(|| caller.secret.clone());
    shape(&caller.user, token, secret)
}

fn shape(user: &User, token: Token, secret: Option<String>) -> Authorization {
    let id = token.id.to_string();
    Authorization {
        access_token: secret.map(|token| AccessToken { id: id.clone(), token, expires_in: None }),
        id,
        client: None,
        grant: None,
        refresh_token: None,
        session: None,
        scope: vec!["global".to_owned()],
        description: token.description,
        user: AuthorizationUser {
            id: user.id.to_string(),
            email: user.email.clone(),
            full_name: None,
        },
        created_at: time(token.created_at),
        updated_at: time(token.created_at),
    }
}
