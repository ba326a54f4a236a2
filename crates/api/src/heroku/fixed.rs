//! What there is one of, or none: stack, region, size, and lists that are empty here.

use crate::convention::{ApiError, ApiResult, AppOfCaller, Caller, RangeHeader};
use crate::state::ApiState;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use windlass_wire::Reference;

pub(super) const STACK: &str = "debian-12";
const STACK_ID: &str = "6f1b6b1e-94c5-4c43-9c0a-0d7f3c2f5a12";
/// Clients call other endpoints for other generations.
pub(super) const GENERATION: &str = "cedar";
const GENERATION_ID: &str = "b0a4b4a0-3f2a-4d62-8f4e-9a8b7d1c5e01";
const REGION: &str = "local";
const REGION_ID: &str = "c8d1f2b3-6a5e-4f70-8b9c-1e2d3f4a5b02";
/// The name under which clients know a dyno that may use what the server gives it.
pub(super) const SIZE: &str = "Standard-1X";
const SIZE_ID: &str = "d2e3f4a5-7b6c-4d81-9eaf-2b3c4d5e6f03";
/// When the things on this page came into being.
const SINCE: &str = "2026-01-01T00:00:00Z";

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/stacks", get(stacks))
        .route("/regions", get(regions))
        .route("/dyno-sizes", get(sizes))
        .route("/apps/{app}/available-stacks", get(stacks))
        .route("/account/features", get(nothing))
        .route("/addons", get(nothing))
        .route("/addon-attachments", get(nothing))
        .route("/teams", get(nothing))
        .route("/spaces", get(nothing))
        .route("/pipelines", get(nothing))
        .route("/apps/{app}/addons", get(nothing_of_app))
        .route("/apps/{app}/addon-attachments", get(nothing_of_app))
        .route("/apps/{app}/features", get(nothing_of_app))
        .route("/apps/{app}/sni-endpoints", get(nothing_of_app))
        .route("/apps/{app}/log-drains", get(nothing_of_app))
        .route("/apps/{app}/webhooks", get(nothing_of_app))
        .route("/apps/{app}/pipeline-couplings", get(no_pipeline))
}

pub(super) fn stack_reference() -> Reference {
    reference(STACK_ID, STACK)
}

pub(super) fn generation_reference() -> Reference {
    reference(GENERATION_ID, GENERATION)
}

pub(super) fn region_reference() -> Reference {
    reference(REGION_ID, REGION)
}

pub(super) fn size_reference() -> Reference {
    reference(SIZE_ID, SIZE)
}

fn reference(id: &str, name: &str) -> Reference {
    Reference { id: id.to_owned(), name: name.to_owned() }
}

/// Refuses a stack that is not here.
pub(super) fn check_stack(wanted: Option<&str>) -> ApiResult<()> {
    check("stack", wanted, STACK, STACK_ID)
}

/// Refuses a region that is not here.
pub(super) fn check_region(wanted: Option<&str>) -> ApiResult<()> {
    check("region", wanted, REGION, REGION_ID)
}

/// Refuses a size that is not here. Sizes come as text or as `{"name": …}` or `{"id": …}`.
pub(super) fn check_size(wanted: Option<&Value>) -> ApiResult<()> {
    let text = wanted.map(|wanted| match wanted {
        Value::Object(map) => {
            map.get("name").or_else(|| map.get("id")).and_then(Value::as_str).unwrap_or_default()
        }
        other => other.as_str().unwrap_or_default(),
    });
    check("dyno size", text, SIZE, SIZE_ID)
}

fn check(what: &str, wanted: Option<&str>, name: &str, id: &str) -> ApiResult<()> {
    match wanted {
        Some(wanted) if !wanted.eq_ignore_ascii_case(name) && wanted != id => {
            Err(ApiError::invalid(format!(
                "There is no {what} {wanted:?} here: the only one is {name}."
            )))
        }
        _ => Ok(()),
    }
}

async fn stacks(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(vec![json!({
        "id": STACK_ID, "name": STACK, "state": "public", "default": true, "created_at": SINCE, "updated_at": SINCE,
    })])
}

async fn regions(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(vec![json!({
        "id": REGION_ID, "name": REGION, "description": "This server", "country": "", "locale": "",
        "private_capable": false, "provider": {"name": "windlass", "region": REGION},
        "created_at": SINCE, "updated_at": SINCE,
    })])
}

async fn sizes(
    _caller: Caller,
    axum::extract::State(state): axum::extract::State<ApiState>,
    range: RangeHeader,
) -> Response {
    #[allow(clippy::cast_precision_loss)]
    let gibibytes = state.platform.settings().instance.memory_bytes as f64 / (1u64 << 30) as f64;
    range.answer(vec![json!({
        "id": SIZE_ID, "name": SIZE, "memory": gibibytes, "compute": 1, "dedicated": false, "dyno_units": 1,
        "cost": null, "private_space_only": false, "generation": generation_reference(),
    })])
}

async fn nothing(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(Vec::<Value>::new())
}

async fn nothing_of_app(_app: AppOfCaller, range: RangeHeader) -> Response {
    range.answer(Vec::<Value>::new())
}

/// Clients take an empty list for a coupling without a pipeline; only 404 says that there is none.
async fn no_pipeline(_app: AppOfCaller) -> ApiError {
    ApiError::not_found("pipeline_coupling")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_text_or_references_in_any_case() {
        for good in [json!("standard-1x"), json!({"name": "Standard-1X"}), json!({"id": SIZE_ID})] {
            assert!(check_size(Some(&good)).is_ok(), "{good}");
        }
        assert!(check_size(None).is_ok());
        for bad in [json!("performance-l"), json!({"name": "eco"}), json!(1), json!({})] {
            assert!(check_size(Some(&bad)).is_err(), "{bad}");
        }
    }
}
