//! Passkeys of the account.

mod exchange;
mod html;
mod open_pages;
mod pages;

pub(crate) use open_pages::OpenPages;
pub(super) use {exchange::proof_of, exchange::request_options};

use super::two_factor::code;
use crate::convention::{
    ApiError, ApiResult, BaseUrl, Caller, Control, Endpoints, JsonBody, Needs, RangeHeader, time,
};
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use windlass_control::Platform;
use windlass_control::records::{self, Token, User};
use windlass_core::ids::PasskeyId;
use windlass_wire::{Passkey, PasskeyLink, PasskeyUpdate};

pub(super) fn endpoints() -> Endpoints {
    use Needs::Anybody;
    Endpoints::new()
        .get("/account/passkeys", Anybody, list)
        .post("/account/passkeys/links", Anybody, open_page)
        .get("/account/passkeys/{passkey}", Anybody, info)
        .patch("/account/passkeys/{passkey}", Anybody, rename)
        .delete("/account/passkeys/{passkey}", Anybody, remove)
        .merge(pages::endpoints())
}

async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let passkeys = platform.passkeys(&caller.user)?;
    Ok(range.answer(passkeys.into_iter().map(shape).collect()))
}

async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<Passkey>> {
    Ok(Json(shape(platform.passkey(&caller.user, parsed(&id)?)?)))
}

async fn rename(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<PasskeyUpdate>,
) -> ApiResult<Json<Passkey>> {
    Ok(Json(shape(platform.rename_passkey(&caller.user, parsed(&id)?, &body.name)?)))
}

/// Needs the second factor, as giving that up does: a token alone must not take a way in away.
async fn remove(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<Passkey>> {
    let passkey = platform.passkey(&caller.user, parsed(&id)?)?;
    platform.require_second_factor(&caller.user, code(&headers))?;
    Ok(Json(shape(platform.remove_passkey(&caller.user, passkey.id)?)))
}

/// Needs the second factor, as making tokens does: a passkey does without from then on.
async fn open_page(
    caller: Caller,
    State(state): State<ApiState>,
    headers: HeaderMap,
) -> ApiResult<(StatusCode, Json<PasskeyLink>)> {
    let party = state.platform.relying_party()?;
    state.platform.require_second_factor(&caller.user, code(&headers))?;
    let opened = state.passkey_pages.open(&caller.user, &caller.token);
    let url = format!("{}{}", party.origin(), opened.path);
    Ok((StatusCode::CREATED, Json(PasskeyLink { url, expires_at: time(opened.expires_at) })))
}

/// Opens a page for somebody who has just logged in by `token`, if passkeys are good where they
/// are. Returns its path.
pub(super) fn page_after_login(
    state: &ApiState,
    base: &BaseUrl,
    user: &User,
    token: &Token,
) -> Option<String> {
    is_at_home(&state.platform, base).then(|| state.passkey_pages.open(user, token).path)
}

/// Whether a browser that is at `base` can use passkeys of this server.
pub(super) fn is_at_home(platform: &Platform, base: &BaseUrl) -> bool {
    platform.relying_party().is_ok_and(|party| party.origin() == base.0.to_ascii_lowercase())
}

fn parsed(id: &str) -> ApiResult<PasskeyId> {
    id.parse().map_err(|_| ApiError::not_found("passkey"))
}

fn shape(passkey: records::Passkey) -> Passkey {
    Passkey {
        id: passkey.id.to_string(),
        name: passkey.name,
        relying_party: passkey.relying_party,
        synced: passkey.backed_up,
        transports: passkey.transports,
        created_at: time(passkey.created_at),
        last_used_at: passkey.last_used_at.map(time),
    }
}
