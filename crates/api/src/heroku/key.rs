//! SSH keys of the account.

use crate::convention::{ApiError, ApiResult, Caller, Control, JsonBody, RangeHeader, time};
use crate::key::parse_public_key;
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::records;
use windlass_wire::{Key, KeyCreate};

pub(super) async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let keys = platform.keys(&caller.user)?;
    Ok(range.answer(keys.into_iter().map(|key| shape(key, &caller.user.email)).collect()))
}

pub(super) async fn create(
    caller: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<KeyCreate>,
) -> ApiResult<(StatusCode, Json<Key>)> {
    let parsed =
        parse_public_key(&body.public_key).map_err(|error| ApiError::invalid(error.to_string()))?;
    let key = platform.add_key(
        &caller.user,
        &parsed.normalised,
        &parsed.fingerprint_sha256,
        &parsed.comment,
    )?;
    Ok((StatusCode::CREATED, Json(shape(key, &caller.user.email))))
}

pub(super) async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<Key>> {
    find(platform.keys(&caller.user)?, &name).map(|key| Json(shape(key, &caller.user.email)))
}

pub(super) async fn remove(
    caller: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<Key>> {
    let key = find(platform.keys(&caller.user)?, &name)?;
    platform.remove_key(&caller.user, key.id)?;
    Ok(Json(shape(key, &caller.user.email)))
}

/// Finds a key by id or by either form of its fingerprint.
fn find(keys: Vec<records::Key>, name: &str) -> ApiResult<records::Key> {
    let named = |key: &records::Key| {
        key.id.to_string() == name || key.fingerprint == name || md5(key) == name
    };
    keys.into_iter().find(named).ok_or_else(|| ApiError::not_found("key"))
}

fn md5(key: &records::Key) -> String {
    // Only keys that could be parsed are stored; should a later version refuse one, its other
    // fingerprint still names it.
    parse_public_key(&key.public_key)
        .map_or_else(|_| key.fingerprint.clone(), |parsed| parsed.fingerprint_md5)
}

fn shape(key: records::Key, email: &str) -> Key {
    Key {
        id: key.id.to_string(),
        fingerprint: md5(&key),
        public_key: key.public_key,
        comment: key.comment,
        email: email.to_owned(),
        created_at: time(key.created_at),
        updated_at: time(key.created_at),
    }
}
