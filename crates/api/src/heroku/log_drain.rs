//! Log drains of apps.

use super::app_reference;
use crate::convention::{
    ApiResult, AppOfCaller, Control, Endpoints, JsonBody, OPERATE, RangeHeader, time,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::records::{self, App};
use windlass_wire::{LogDrain, LogDrainCreate};

/// Their URLs may hold a password.
pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/apps/{app}/log-drains", OPERATE, list)
        .post("/apps/{app}/log-drains", OPERATE, create)
        .get("/apps/{app}/log-drains/{drain}", OPERATE, info)
        .delete("/apps/{app}/log-drains/{drain}", OPERATE, remove)
}

async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let drains = platform.log_drains(&app)?;
    Ok(range.answer(drains.into_iter().map(|drain| shape(&app, drain)).collect()))
}

async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<LogDrainCreate>,
) -> ApiResult<(StatusCode, Json<LogDrain>)> {
    let drain = platform.add_log_drain(&user, &app, &body.url)?;
    Ok((StatusCode::CREATED, Json(shape(&app, drain))))
}

async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<LogDrain>> {
    Ok(Json(shape(&app, platform.log_drain(&app, &name)?)))
}

async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<LogDrain>> {
    Ok(Json(shape(&app, platform.remove_log_drain(&user, &app, &name)?)))
}

fn shape(app: &App, drain: records::LogDrain) -> LogDrain {
    LogDrain {
        id: drain.id.to_string(),
        token: drain.token,
        url: drain.url,
        addon: None,
        app: Some(app_reference(app)),
        created_at: time(drain.created_at),
        updated_at: time(drain.updated_at),
    }
}
