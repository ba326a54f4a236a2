//! Logins to registries, and deploys of images from them. Not Heroku's: it has a registry of its own.

use super::build::Shaper;
use crate::convention::{
    ApiResult, AppOfCaller, BaseUrl, Caller, Control, JsonBody, RangeHeader, time, to_the_end,
};
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use windlass_control::{records, registry};
use windlass_wire::{Build, ImagePull, Registry, RegistryLogin};

pub(super) async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let registries = platform.registries(&caller.user)?;
    Ok(range.answer(registries.into_iter().map(shape).collect()))
}

/// Stores a login that the registry accepts.
pub(super) async fn log_in(
    caller: Caller,
    Control(platform): Control,
    Path(host): Path<String>,
    JsonBody(body): JsonBody<RegistryLogin>,
) -> ApiResult<Json<Registry>> {
    let login = registry::RegistryLogin {
        username: body.username,
        password: body.password.unwrap_or_default(),
        insecure: body.insecure,
    };
    let stored =
        to_the_end(async move { platform.log_in_to_registry(&caller.user, &host, login).await });
    Ok(Json(shape(stored.await?)))
}

pub(super) async fn log_out(
    caller: Caller,
    Control(platform): Control,
    Path(host): Path<String>,
) -> ApiResult<Json<serde_json::Value>> {
    platform.log_out_of_registry(&caller.user, &host)?;
    Ok(Json(serde_json::json!({})))
}

/// Starts to pull an image and to deploy it.
pub(super) async fn pull(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<ImagePull>,
) -> ApiResult<(StatusCode, Json<Build>)> {
    let build = state.platform.start_image_deploy(&user, &app, &body.reference)?;
    let shaped = Shaper::new(&state, &base, &app, user.id)?.shape(build)?;
    Ok((StatusCode::CREATED, Json(shaped)))
}

fn shape(registry: records::Registry) -> Registry {
    Registry {
        host: registry.host,
        username: registry.username,
        insecure: registry.insecure,
        updated_at: time(registry.updated_at),
    }
}
