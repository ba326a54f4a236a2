//! The API's own description: `GET /schema` (JSON hyper-schema, draft 4) and `GET /openapi.json`
//! (OpenAPI 3.1), both made of the files in `crates/api/schema`.

mod openapi;

use crate::convention::endpoints::Endpoint;
use crate::convention::{ApiError, ApiResult, Endpoints, Needs};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Resources by name, as their files have them.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/schema_files.rs"));
/// What the parameters in paths mean, by name.
const PARAMETERS: &str = include_str!("../../schema/parameters.json");

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new().get("/schema", Needs::Nobody, schema).get(
        "/openapi.json",
        Needs::Nobody,
        open_api,
    )
}

async fn schema() -> ApiResult<Response> {
    static TEXT: LazyLock<Option<Bytes>> = LazyLock::new(|| text(document()));
    answer(TEXT.as_ref(), "application/schema+json")
}

async fn open_api() -> ApiResult<Response> {
    static TEXT: LazyLock<Option<Bytes>> =
        LazyLock::new(|| text(open_api_document(&crate::endpoints())));
    answer(TEXT.as_ref(), "application/json")
}

fn text(document: serde_json::Result<Value>) -> Option<Bytes> {
    match document.and_then(|document| serde_json::to_vec(&document)) {
        Ok(text) => Some(text.into()),
        Err(error) => {
            tracing::error!(%error, "the API's schema cannot be read");
            None
        }
    }
}

fn answer(text: Option<&Bytes>, kind: &'static str) -> ApiResult<Response> {
    let text = text.cloned().ok_or_else(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// Returns the OpenAPI 3.1 description of `endpoints`.
///
/// # Errors
/// If a file of the schema is not JSON.
pub fn open_api_document(endpoints: &[Endpoint]) -> serde_json::Result<Value> {
    Ok(openapi::document(&read()?, &parameters()?, endpoints))
}

fn read() -> serde_json::Result<Map<String, Value>> {
    FILES.iter().map(|(name, text)| Ok(((*name).to_owned(), serde_json::from_str(text)?))).collect()
}

fn parameters() -> serde_json::Result<Map<String, Value>> {
    serde_json::from_str(PARAMETERS)
}

/// Returns the hyper-schema in the form that Heroku's has, so that tools that read that one read
/// this one too.
///
/// # Errors
/// If a file of the schema is not JSON.
pub fn document() -> serde_json::Result<Value> {
    let mut definitions = read()?;
    for (name, resource) in &mut definitions {
        close(resource);
        for link in links_of(resource) {
            if let Some(target) = link.get_mut("targetSchema") {
                close(target);
            }
            if let Some(Value::String(href)) = link.get_mut("href") {
                *href = referring(href);
            }
        }
        if let Value::Object(resource) = resource {
            resource.insert("$schema".into(), DIALECT.into());
            resource.insert("id".into(), format!("schemata/{name}").into());
        }
    }
    let parameters = parameters()?
        .into_iter()
        .map(|(name, description)| (name, json!({"description": description, "type": ["string"]})));
    definitions.insert(
        "parameter".into(),
        json!({
            "$schema": DIALECT, "id": "schemata/parameter", "title": "Parameter",
            "description": "What stands in paths.", "type": ["string"],
            "definitions": parameters.collect::<Map<_, _>>(),
        }),
    );
    let properties: Map<_, _> = definitions
        .keys()
        .map(|name| (name.clone(), json!({"$ref": format!("#/definitions/{name}")})))
        .collect();
    Ok(json!({
        "$schema": DIALECT, "id": "windlass", "type": ["object"], "title": "Windlass Platform API",
        "description": DESCRIPTION, "definitions": definitions, "properties": properties,
        "links": [{"href": "/", "rel": "self"}],
    }))
}

const DIALECT: &str = "http://json-schema.org/draft-04/hyper-schema";
const DESCRIPTION: &str = "Deploys and operates apps on this server. It is Heroku's Platform API v3 with what is this \
    server's own beside it; clients that know that one work.";

fn links_of(resource: &mut Value) -> &mut [Value] {
    resource.get_mut("links").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// Says in standard words that every property of an answer is there, except those under `optional`.
fn close(schema: &mut Value) {
    let Value::Object(schema) = schema else {
        if let Value::Array(schemas) = schema {
            schemas.iter_mut().for_each(close);
        }
        return;
    };
    let optional = schema.remove("optional");
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let optional: Vec<&Value> =
            optional.as_ref().and_then(Value::as_array).into_iter().flatten().collect();
        let needed = properties.keys().cloned().map(Value::String);
        let needed: Vec<Value> = needed.filter(|name| !optional.contains(&name)).collect();
        if !needed.is_empty() {
            schema.insert("required".into(), needed.into());
        }
        schema.insert("strictProperties".into(), optional.is_empty().into());
    }
    for (keyword, part) in schema.iter_mut() {
        match (keyword.as_str(), part) {
            ("properties" | "definitions", Value::Object(parts)) => {
                parts.values_mut().for_each(close);
            }
            ("items" | "anyOf" | "additionalProperties", part) => close(part),
            _ => {}
        }
    }
}

/// Returns a path in which every parameter refers to its description.
fn referring(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => format!("{{(%23%2Fdefinitions%2Fparameter%2Fdefinitions%2F{name})}}"),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_is_always_there() {
        let mut schema = json!({
            "properties": {"a": {"items": {"properties": {"b": {}}}}, "c": {}}, "optional": ["c"],
        });
        close(&mut schema);
        assert_eq!(schema["required"], json!(["a"]));
        assert_eq!(schema["strictProperties"], false);
        assert_eq!(schema["properties"]["a"]["items"]["required"], json!(["b"]));
        assert!(schema.get("optional").is_none());
    }

    #[test]
    fn paths_refer_to_their_parameters() {
        let app = "{(%23%2Fdefinitions%2Fparameter%2Fdefinitions%2Fapp)}";
        assert_eq!(referring("/apps/{app}/acm"), format!("/apps/{app}/acm"));
        let document = document().unwrap();
        assert!(document.pointer("/definitions/parameter/definitions/app/description").is_some());
        assert!(document.pointer("/definitions/app/properties/name").is_some());
    }
}
