//! Limits and reservations of process types. Heroku has only sizes; shapes follow its conventions.

use crate::convention::{ApiError, ApiResult, AppOfCaller, Control, ExactJsonBody, to_the_end};
use axum::Json;
use axum::extract::Path;
use windlass_control::run::LimitsView;
use windlass_core::names::ProcessType;
use windlass_core::process_limits::{Origin, show_cores};
use windlass_core::volume::Size;
use windlass_wire::{Limit, Limits, LimitsUpdate};

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Vec<Limits>>> {
    Ok(Json(platform.limits(&app)?.into_iter().map(shape).collect()))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    ExactJsonBody(update): ExactJsonBody<LimitsUpdate>,
) -> ApiResult<Json<Vec<Limits>>> {
    let process = process_type(&name)?;
    let change = async move { platform.set_limits(&user, &app, &process, &update.limits).await };
    Ok(Json(to_the_end(change).await?.into_iter().map(shape).collect()))
}

pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Vec<Limits>>> {
    let process = process_type(&name)?;
    let change = async move { platform.unset_limits(&user, &app, &process).await };
    Ok(Json(to_the_end(change).await?.into_iter().map(shape).collect()))
}

fn process_type(name: &str) -> ApiResult<ProcessType> {
    name.parse().map_err(|_| ApiError::not_found("formation"))
}

fn shape(view: LimitsView) -> Limits {
    let of = &view.limits;
    let bytes =
        |(bytes, origin): (u64, Origin)| ((bytes > 0).then(|| Size(bytes).to_string()), origin);
    let cores =
        |(millis, origin): (u32, Origin)| ((millis > 0).then(|| show_cores(millis)), origin);
    let limits = [
        ("size", (Some(of.size.0.name.to_owned()), of.size.1)),
        ("memory", bytes(of.memory_bytes)),
        ("cpu", cores(of.cpu_millis)),
        ("processes", (Some(of.processes.0.to_string()), of.processes.1)),
        ("disk", bytes(of.disk_bytes)),
        ("reserve-memory", bytes(of.reserve_memory_bytes)),
        ("reserve-cpu", cores(of.reserve_cpu_millis)),
    ];
    let limit = |(name, (value, origin)): (&str, (Option<String>, Origin))| Limit {
        name: name.to_owned(),
        value,
        source: origin.as_str().to_owned(),
    };
    Limits {
        process_type: view.process.to_string(),
        limits: limits.into_iter().map(limit).collect(),
    }
}
