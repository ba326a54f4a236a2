//! What is the same for all: region, sizes, and lists that are empty here.

use crate::convention::{ApiError, ApiResult, Caller, Endpoints, Needs, RangeHeader};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use windlass_control::PlatformError;
use windlass_core::process_limits::{ProcessSize, SIZES};
use windlass_wire::Reference;

/// Clients call other endpoints for other generations.
pub(super) const GENERATION: &str = "cedar";
const GENERATION_ID: &str = "b0a4b4a0-3f2a-4d62-8f4e-9a8b7d1c5e01";
const REGION: &str = "local";
const REGION_ID: &str = "c8d1f2b3-6a5e-4f70-8b9c-1e2d3f4a5b02";
/// The identifiers of sizes begin with it and end with their place in the list.
const SIZE_ID: &str = "d2e3f4a5-7b6c-4d81-9eaf-2b3c4d5e6f";
/// When the things on this page came into being.
pub(super) const SINCE: &str = "2026-01-01T00:00:00Z";

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/regions", Needs::Anybody, regions)
        .get("/regions/{region}", Needs::Anybody, region)
        .get("/spaces", Needs::Anybody, nothing)
}

pub(super) fn generation_reference() -> Reference {
    reference(GENERATION_ID, GENERATION)
}

pub(super) fn region_reference() -> Reference {
    reference(REGION_ID, REGION)
}

pub(super) fn size_reference(name: &str) -> Reference {
    reference(&size_id(name), name)
}

pub(super) fn size_id(name: &str) -> String {
    let place = SIZES.iter().position(|size| size.name == name).map_or(0, |index| index + 1);
    format!("{SIZE_ID}{place:02x}")
}

fn reference(id: &str, name: &str) -> Reference {
    Reference { id: id.to_owned(), name: name.to_owned() }
}

/// Refuses a region that is not here.
pub(super) fn check_region(wanted: Option<&str>) -> ApiResult<()> {
    check("region", wanted, REGION, REGION_ID)
}

/// Returns the name of a size that comes as text or as `{"name": …}` or `{"id": …}`.
pub(super) fn size_name(wanted: Option<&Value>) -> ApiResult<Option<String>> {
    let text = match wanted {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(map)) => {
            map.get("name").or_else(|| map.get("id")).and_then(Value::as_str).unwrap_or_default()
        }
        Some(other) => other.as_str().unwrap_or_default(),
    };
    if let Some(size) = SIZES.iter().find(|size| size_id(size.name) == text) {
        return Ok(Some(size.name.to_owned()));
    }
    let size = ProcessSize::named(text).map_err(PlatformError::from)?;
    Ok(Some(size.name.to_owned()))
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

async fn regions(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(vec![the_region()])
}

async fn region(_caller: Caller, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    if name.eq_ignore_ascii_case(REGION) || name == REGION_ID {
        return Ok(Json(the_region()));
    }
    Err(ApiError::not_found("region"))
}

fn the_region() -> Value {
    json!({
        "id": REGION_ID, "name": REGION, "description": "This server", "country": "", "locale": "",
        "private_capable": false, "provider": {"name": "windlass", "region": REGION},
        "created_at": SINCE, "updated_at": SINCE,
    })
}

async fn nothing(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(Vec::<Value>::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_text_or_references_in_any_case() {
        let id = size_id("Standard-2X");
        assert_eq!(size_id("Standard-1X"), "d2e3f4a5-7b6c-4d81-9eaf-2b3c4d5e6f03", "as ever");
        for good in [json!("standard-2x"), json!({"name": "Standard-2X"}), json!({"id": id})] {
            assert_eq!(size_name(Some(&good)).unwrap().as_deref(), Some("Standard-2X"), "{good}");
        }
        assert_eq!(size_name(None).unwrap(), None);
        for bad in [json!("huge"), json!({"name": "free"}), json!(1), json!({})] {
            assert!(size_name(Some(&bad)).is_err(), "{bad}");
        }
    }
}
