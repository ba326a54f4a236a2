//! Sizes of instances.

use super::fixed::{generation_reference, size_id};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Caller, Control, Endpoints, Needs, RangeHeader, VIEW,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use windlass_control::{Platform, architecture};
use windlass_core::process_limits::{ProcessSize, SIZES};

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/dyno-sizes", Needs::Anybody, list)
        .get("/dyno-sizes/{size}", Needs::Anybody, info)
        .get("/apps/{app}/available-dyno-sizes", VIEW, list_for_app)
}

async fn list(_caller: Caller, Control(platform): Control, range: RangeHeader) -> Response {
    range.answer(all(&platform))
}

/// Every app can have every size.
async fn list_for_app(
    _app: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> Response {
    range.answer(all(&platform))
}

async fn info(
    _caller: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let is_meant =
        |size: &&ProcessSize| size.name.eq_ignore_ascii_case(&name) || size_id(size.name) == name;
    let size = SIZES.iter().find(is_meant).ok_or_else(|| ApiError::not_found("dyno_size"))?;
    Ok(Json(shape(&platform, size)))
}

fn all(platform: &Platform) -> Vec<Value> {
    SIZES.iter().map(|size| shape(platform, size)).collect()
}

fn shape(platform: &Platform, size: &ProcessSize) -> Value {
    let default_bytes = platform.settings().instance.memory_bytes;
    #[allow(clippy::cast_precision_loss)]
    let gibibytes = size.memory_bytes.unwrap_or(default_bytes) as f64 / (1u64 << 30) as f64;
    json!({
        "id": size_id(size.name), "name": size.name, "memory": gibibytes,
        "compute": size.cpu_shares.unwrap_or(1_024) / 1_024, "dedicated": false, "dyno_units": 1,
        "precise_dyno_units": 1.0, "cost": null, "private_space_only": false,
        "architecture": architecture(), "generation": generation_reference(),
    })
}
