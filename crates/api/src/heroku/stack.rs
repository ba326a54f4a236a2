//! Stacks: the one that buildpacks build for, and that of apps which bring their own images.

use super::fixed::SINCE;
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Caller, Endpoints, Needs, RangeHeader, VIEW,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use windlass_control::release::{BUILDPACK_STACK, CONTAINER_STACK};
use windlass_wire::Reference;

/// Names and identifiers, the default first.
const STACKS: &[(&str, &str)] = &[
    (BUILDPACK_STACK, "6f1b6b1e-94c5-4c43-9c0a-0d7f3c2f5a12"),
    (CONTAINER_STACK, "b7c5a0d2-4e1f-4a3b-8d6c-5f2e1a9b7c34"),
];

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/stacks", Needs::Anybody, list)
        .get("/stacks/{stack}", Needs::Anybody, info)
        .get("/apps/{app}/available-stacks", VIEW, list_for_app)
}

/// Returns the reference to a stack by its name.
pub(super) fn reference(name: &str) -> Reference {
    let id = STACKS.iter().find(|(known, _)| *known == name).map_or("", |(_, id)| id);
    Reference { id: id.to_owned(), name: name.to_owned() }
}

/// Returns the name of a stack that comes as name or identifier; refuses one that is not here.
pub(super) fn named(wanted: Option<&str>) -> ApiResult<Option<&'static str>> {
    let Some(wanted) = wanted else { return Ok(None) };
    let found = STACKS.iter().find(|(name, id)| wanted.eq_ignore_ascii_case(name) || wanted == *id);
    found.map(|(name, _)| Some(*name)).ok_or_else(|| {
        ApiError::invalid(format!(
            "There is no stack {wanted:?} here: use {BUILDPACK_STACK} or {CONTAINER_STACK}."
        ))
    })
}

fn shape((name, id): &(&str, &str)) -> Value {
    json!({
        "id": id, "name": name, "state": "public", "default": *name == BUILDPACK_STACK,
        "created_at": SINCE, "updated_at": SINCE,
    })
}

async fn list(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(STACKS.iter().map(shape).collect())
}

async fn list_for_app(_app: AppOfCaller, range: RangeHeader) -> Response {
    range.answer(STACKS.iter().map(shape).collect())
}

async fn info(_caller: Caller, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let found = STACKS.iter().find(|(known, id)| name.eq_ignore_ascii_case(known) || name == *id);
    found.map(|stack| Json(shape(stack))).ok_or_else(|| ApiError::not_found("stack"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_named_by_name_or_identifier() {
        assert_eq!(named(None).unwrap(), None);
        assert_eq!(named(Some("Container")).unwrap(), Some("container"));
        assert_eq!(named(Some(STACKS[0].1)).unwrap(), Some("debian-12"));
        let refused = named(Some("heroku-24")).unwrap_err();
        assert_eq!(refused.status.as_u16(), 422);
        assert!(refused.body.message.contains("debian-12 or container"));
    }
}
