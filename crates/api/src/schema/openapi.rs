//! The schema as an OpenAPI 3.1 description, whose schemas are JSON Schema 2020-12.

use super::{DESCRIPTION, close};
use crate::convention::Needs;
use crate::convention::endpoints::Endpoint;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Where schemas stand in the description.
const SCHEMAS: &str = "#/components/schemas/";
const REFUSED: &str = "It was refused, or it failed.";

pub(super) fn document(
    resources: &Map<String, Value>,
    parameters: &Map<String, Value>,
    endpoints: &[Endpoint],
) -> Value {
    let needs: HashMap<(&str, &str), Needs> = endpoints
        .iter()
        .map(|endpoint| ((endpoint.method.as_str(), endpoint.path.as_str()), endpoint.needs))
        .collect();
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    for (name, resource) in resources {
        let links: Vec<&Value> = resource["links"].as_array().into_iter().flatten().collect();
        if !links.is_empty() {
            tags.push(json!({"name": resource["title"], "description": resource["description"]}));
        }
        for link in links {
            let (path, method) = (text(link, "href"), text(link, "method"));
            // What is not served is not described.
            let Some(needs) = needs.get(&(method, path)) else { continue };
            let operation = operation(name, text(resource, "title"), link, *needs);
            let item = paths
                .entry(path)
                .or_insert_with(|| json!({"parameters": path_parameters(path, parameters)}));
            item[method.to_ascii_lowercase()] = operation;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Windlass Platform API", "description": DESCRIPTION, "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"basic": []}],
        "tags": tags,
        "paths": paths,
        "components": components(resources),
    })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Returns the parameters of a path, one for each `{name}`.
fn path_parameters(path: &str, descriptions: &Map<String, Value>) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')));
    let parameter = |name: &str| {
        json!({
            "name": name, "in": "path", "required": true, "schema": {"type": "string"},
            "description": descriptions.get(name).cloned().unwrap_or_else(|| name.into()),
        })
    };
    names.map(parameter).collect()
}

fn operation(resource: &str, tag: &str, link: &Value, needs: Needs) -> Value {
    let mut operation = json!({
        "operationId": format!("{resource}_{}", text(link, "title").to_lowercase().replace([' ', '-'], "_")),
        "tags": [tag], "summary": text(link, "title"), "description": text(link, "description"),
        "responses": responses(link),
    });
    if is_list(link) {
        operation["parameters"] = json!([{"$ref": "#/components/parameters/Range"}]);
    }
    if let Some(body) = request_body(link) {
        operation["requestBody"] = body;
    }
    if matches!(needs, Needs::Nobody | Needs::Itself) {
        operation["security"] = json!([]);
    }
    operation
}

fn is_list(link: &Value) -> bool {
    text(link, "rel") == "instances" && text(link, "method") == "GET"
}

fn request_body(link: &Value) -> Option<Value> {
    if let Some(kind) = link["encType"].as_str() {
        return Some(json!({"required": true, "content": {kind: {}}}));
    }
    let schema = link.get("schema")?;
    let required = schema.get("required").is_some();
    Some(json!({"required": required, "content": {"application/json": {"schema": modern(schema)}}}))
}

fn responses(link: &Value) -> Value {
    let content = match (link["mediaType"].as_str(), link.get("targetSchema")) {
        (Some(kind), _) => json!({kind: {}}),
        (None, Some(target)) => {
            let mut target = target.clone();
            close(&mut target);
            json!({"application/json": {"schema": modern(&target)}})
        }
        (None, None) => json!({}),
    };
    let headers = json!({"Request-Id": {"$ref": "#/components/headers/Request-Id"}});
    let mut done = json!({"description": "Done.", "headers": headers});
    if content.as_object().is_some_and(|content| !content.is_empty()) {
        done["content"] = content;
    }
    let error = match link["mediaType"].as_str() {
        // Pages for people say in their own form what is wrong.
        Some(kind) if kind == "text/html" => json!({
            "description": REFUSED,
            "content": {kind: {}, "application/json": {"schema": {"$ref": format!("{SCHEMAS}error")}}},
        }),
        _ => json!({"$ref": "#/components/responses/Error"}),
    };
    if !is_list(link) {
        return json!({"2XX": done, "default": error});
    }
    let mut part = done.clone();
    part["description"] = "A part of the list.".into();
    part["headers"]["Next-Range"] = json!({"$ref": "#/components/headers/Next-Range"});
    part["headers"]["Content-Range"] = json!({"$ref": "#/components/headers/Content-Range"});
    done["description"] = "The whole list, or its last part.".into();
    json!({"200": done, "206": part, "default": error})
}

fn components(resources: &Map<String, Value>) -> Value {
    let mut schemas = Map::new();
    for (name, resource) in resources {
        let mut resource = resource.clone();
        close(&mut resource);
        let Value::Object(mut resource) = resource else { continue };
        resource.remove("links");
        if let Some(Value::Object(parts)) = resource.remove("definitions") {
            schemas.extend(
                parts.iter().map(|(part, schema)| (format!("{name}.{part}"), modern(schema))),
            );
        }
        if resource.contains_key("type") {
            schemas.insert(name.clone(), modern(&Value::Object(resource)));
        }
    }
    schemas.insert("error".into(), error_schema());
    let header =
        |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "schemas": schemas,
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of /oauth/authorizations."},
            "basic": {"type": "http", "scheme": "basic", "description": "Any user name, the token as password."},
        },
        "responses": {"Error": {
            "description": "It was refused, or it failed.",
            "content": {"application/json": {"schema": {"$ref": format!("{SCHEMAS}error")}}},
        }},
        "headers": {
            "Request-Id": header("The request's id in the server's log."),
            "Next-Range": header("The Range header that asks for what follows."),
            "Content-Range": header("The field, and its first and last value here."),
        },
        "parameters": {"Range": {
            "name": "Range", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "FIELD [FROM]..[TO]; order=asc|desc, max=N: sorted by a field, between two of its values \
                (]FROM starts after it), at most N of 1000; 200 if left out.",
        }},
    })
}

fn error_schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "title": "Error", "type": "object", "required": ["id", "message"],
        "description": "Why a request was refused or failed.",
        "properties": {
            "id": text("for programs: not_found, invalid_params, unauthorized, forbidden, conflict and others"),
            "message": text("for people"),
            "resource": text("what was not found"),
            "url": text("where to read more"),
        },
    })
}

/// Returns a schema in JSON Schema 2020-12: references lead into the components.
fn modern(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => keywords
            .iter()
            .filter(|(keyword, _)| !matches!(keyword.as_str(), "strictProperties" | "optional"))
            .map(|(keyword, value)| match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    (keyword.clone(), component(reference).into())
                }
                ("enum" | "const" | "required", _) => (keyword.clone(), value.clone()),
                ("properties", Value::Object(parts)) => {
                    let parts = parts.iter().map(|(name, part)| (name.clone(), modern(part)));
                    (keyword.clone(), Value::Object(parts.collect()))
                }
                _ => (keyword.clone(), modern(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(parts) => parts.iter().map(modern).collect(),
        plain => plain.clone(),
    }
}

/// Returns where `#/definitions/app` and `#/definitions/common/definitions/reference` are then.
fn component(reference: &str) -> String {
    match reference.split('/').collect::<Vec<_>>()[..] {
        ["#", "definitions", resource] => format!("{SCHEMAS}{resource}"),
        ["#", "definitions", resource, "definitions", part] => {
            format!("{SCHEMAS}{resource}.{part}")
        }
        _ => reference.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_refer_to_components() {
        let old = json!({
            "properties": {"optional": {"$ref": "#/definitions/common/definitions/reference"}},
            "items": {"$ref": "#/definitions/app"}, "strictProperties": true,
        });
        let new = json!({
            "properties": {"optional": {"$ref": "#/components/schemas/common.reference"}},
            "items": {"$ref": "#/components/schemas/app"},
        });
        assert_eq!(modern(&old), new);
    }
}
