//! Access tokens.

use super::two_factor::code;
use crate::convention::{
    ApiError, ApiResult, Caller, Control, Endpoints, JsonBody, Needs, RangeHeader, time,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use windlass_control::Platform;
use windlass_control::access::NewToken;
use windlass_control::records::{Token, User};
use windlass_core::access::Scopes;
use windlass_wire::{
    AccessToken, Authorization, AuthorizationCreate, AuthorizationUpdate, AuthorizationUser,
};

pub(super) fn endpoints() -> Endpoints {
    use Needs::Anybody;
    const ONE: &str = "/oauth/authorizations/{authorization}";
    const REGENERATE: &str = "/oauth/authorizations/{authorization}/actions/regenerate-tokens";
    Endpoints::new()
        .get("/oauth/authorizations", Anybody, list)
        .post("/oauth/authorizations", Anybody, create)
        .get(ONE, Anybody, info)
        .patch(ONE, Anybody, update)
        .delete(ONE, Anybody, revoke)
        .post(REGENERATE, Anybody, regenerate)
        .get("/oauth/sessions", Anybody, sessions)
        .delete("/oauth/sessions/{session}", Anybody, no_session)
}

async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let tokens = platform.authorizations(&caller.user)?;
    Ok(range.answer(tokens.into_iter().map(|token| shape_for(&caller, token)).collect()))
}

async fn create(
    caller: Caller,
    Control(platform): Control,
    headers: HeaderMap,
    JsonBody(body): JsonBody<AuthorizationCreate>,
) -> ApiResult<(StatusCode, Json<Authorization>)> {
    let names = body.scope.unwrap_or_default();
    let scopes = Scopes::of_names(names.iter().map(String::as_str));
    let wanted = NewToken {
        description: body.description.unwrap_or_else(|| "Long-lived user authorization".to_owned()),
        scopes: scopes.map_err(|error| ApiError::invalid(error.to_string()))?,
        expires_in: body.expires_in,
    };
    let Caller { user, token, .. } = &caller;
    let (made, secret) = platform.create_authorization(user, token, wanted, code(&headers))?;
    Ok((StatusCode::CREATED, Json(shape(&caller.user, made, Some(secret)))))
}

async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<Authorization>> {
    let token = find(&platform, &caller, &id)?;
    Ok(Json(shape_for(&caller, token)))
}

async fn update(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<AuthorizationUpdate>,
) -> ApiResult<Json<Authorization>> {
    let mut token = find(&platform, &caller, &id)?;
    if let Some(text) = &body.description {
        token = platform.describe_authorization(&caller.user, token.id, text)?;
    }
    Ok(Json(shape_for(&caller, token)))
}

async fn regenerate(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<Authorization>> {
    let token = find(&platform, &caller, &id)?;
    let user = &caller.user;
    let (token, secret) = platform.regenerate_authorization(user, token.id, code(&headers))?;
    Ok(Json(shape(user, token, Some(secret))))
}

async fn revoke(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<Authorization>> {
    let token = find(&platform, &caller, &id)?;
    let revoked = platform.revoke_authorization(&caller.user, token.id)?;
    Ok(Json(shape(&caller.user, revoked, None)))
}

/// There are none: who logs in with a browser gets an authorization.
async fn sessions(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(Vec::<()>::new())
}

/// Clients that log out ask for theirs, `~`, and expect this.
async fn no_session(_caller: Caller) -> ApiError {
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

pub(super) fn shape(user: &User, token: Token, secret: Option<String>) -> Authorization {
    let id = token.id.to_string();
    let now = jiff::Timestamp::now().as_millisecond();
    let left = |at: u64| at.saturating_sub(u64::try_from(now).unwrap_or_default()).div_ceil(1_000);
    let expires_in = token.expires_at.map(left);
    Authorization {
        access_token: secret.map(|token| AccessToken { id: id.clone(), token, expires_in }),
        id,
        client: None,
        grant: None,
        refresh_token: None,
        session: None,
        scope: token.scopes.names().into_iter().map(str::to_owned).collect(),
        description: token.description,
        user: AuthorizationUser {
            id: user.id.to_string(),
            email: user.email.clone(),
            full_name: user.name.clone(),
        },
        created_at: time(token.created_at),
        updated_at: time(token.updated_at),
        expires_at: token.expires_at.map(time),
        last_used_at: token.last_used_at.map(time),
    }
}
