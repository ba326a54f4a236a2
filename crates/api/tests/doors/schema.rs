//! Our own schema: it describes every endpoint and nothing else, and what is made of it is whole.

use super::support::Server;
use serde_json::Value;
use std::collections::BTreeSet;
use windlass_api::{Needs, REFUSALS, endpoints};
use windlass_testkit::schema::{own, published, same_path};

/// What is not JSON over HTTP has its own description elsewhere: git's protocol and the registry's.
fn is_another_protocol(path: &str) -> bool {
    path.starts_with("/{repository}/") || path == "/v2" || path.starts_with("/v2/")
}

fn is_refused(method: &str, path: &str) -> bool {
    let refused = REFUSALS.iter().flat_map(|refusal| refusal.endpoints());
    refused.into_iter().any(|(m, p)| m == method && same_path(p, path))
}

#[test]
fn every_endpoint_has_a_link_and_every_link_an_endpoint() {
    let served: BTreeSet<(String, String)> = endpoints()
        .into_iter()
        .map(|endpoint| (endpoint.method.to_string(), endpoint.path))
        .filter(|(method, path)| !is_another_protocol(path) && !is_refused(method, path))
        .collect();
    let linked: BTreeSet<(String, String)> =
        own().links.iter().map(|link| (link.method.clone(), link.path.clone())).collect();
    let show = |calls: Vec<&(String, String)>| {
        calls.iter().map(|(method, path)| format!("\n  {method} {path}")).collect::<String>()
    };
    let without_link = show(served.difference(&linked).collect());
    let without_endpoint = show(linked.difference(&served).collect());
    assert!(
        without_link.is_empty() && without_endpoint.is_empty(),
        "(crates/api/schema/README.md says what to do)\nendpoints without a link:{without_link}\n\
         links without an endpoint:{without_endpoint}"
    );
    assert_eq!(linked.len(), own().links.len(), "a call is described twice");
}

#[test]
fn nothing_that_is_served_is_refused() {
    for (method, path) in REFUSALS.iter().flat_map(|refusal| refusal.endpoints()) {
        let served =
            own().links.iter().find(|link| link.method == method && same_path(&link.path, path));
        assert!(
            served.is_none(),
            "{method} {path} is in our schema and in refusals.rs: take it out of there"
        );
    }
}

#[test]
fn whatever_has_a_name_in_a_path_is_described() {
    let text = include_str!("../../schema/parameters.json");
    let described: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    for link in &own().links {
        for name in parameters(&link.path) {
            assert!(
                described.contains_key(name),
                "{name} of {} is not in parameters.json",
                link.path
            );
        }
    }
}

fn parameters(path: &str) -> Vec<&str> {
    let name = |part| str::strip_prefix(part, '{').and_then(|part| part.strip_suffix('}'));
    path.split('/').filter_map(name).collect()
}

/// Every property, resource and link has words of its own.
#[test]
fn everything_has_a_description() {
    fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            if property["description"].as_str().is_none_or(str::is_empty) {
                found.push(at.clone());
            }
            undescribed(property, &at, found);
            undescribed(&property["items"], &at, found);
        }
    }
    let mut found = Vec::new();
    for (name, resource) in own().document["definitions"].as_object().unwrap() {
        for part in [&resource["title"], &resource["description"]] {
            if part.as_str().is_none_or(str::is_empty) {
                found.push(name.clone());
            }
        }
        undescribed(resource, name, &mut found);
        for link in resource["links"].as_array().into_iter().flatten() {
            let at = format!("{name} {}", link["title"]);
            if link["description"].as_str().is_none_or(str::is_empty) {
                found.push(at.clone());
            }
            undescribed(&link["schema"], &at, &mut found);
        }
    }
    assert!(found.is_empty(), "these have no description: {found:#?}");
}

/// No sentence is Heroku's.
#[test]
fn descriptions_are_our_own() {
    let Some(published) = published() else { return };
    let theirs = descriptions(&published.document);
    let long = |text: &&String| text.split_whitespace().count() > 5;
    let copied: Vec<_> =
        descriptions(&own().document).intersection(&theirs).filter(long).cloned().collect();
    assert!(copied.is_empty(), "copied: {copied:#?}");
}

fn descriptions(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("description").and_then(Value::as_str).map(str::to_lowercase);
            own.into_iter().chain(map.values().flat_map(descriptions)).collect()
        }
        Value::Array(values) => values.iter().flat_map(descriptions).collect(),
        _ => BTreeSet::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_served() {
    let server = Server::start().await;
    let answer = server.send_as_is(http::Method::GET, "/schema", &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/schema+json");
    let schema = answer.json();
    assert_eq!(schema, windlass_api::schema_document().unwrap());
    let read = windlass_testkit::schema::links(&schema);
    assert_eq!(read.len(), own().links.len());
    for reference in references(&schema) {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_api_description_is_served_and_whole() {
    let server = Server::start().await;
    let answer = server.send_as_is(http::Method::GET, "/openapi.json", &[], b"").await;
    assert_eq!(answer.status, 200);
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    for reference in references(&document) {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let (mut ids, mut operations) = (BTreeSet::new(), 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        let described: Vec<&str> = item["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(described, parameters(path), "{path}");
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters")
        {
            operations += 1;
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is not unique");
            assert!(operation["responses"].get("default").is_some(), "{method} {path}");
        }
    }
    assert_eq!(operations, own().links.len(), "every link is an operation");
    let open: Vec<_> = endpoints()
        .into_iter()
        .filter(|e| e.needs == Needs::Nobody && e.path == "/health")
        .collect();
    assert_eq!(open.len(), 1);
    assert_eq!(document["paths"]["/health"]["get"]["security"], serde_json::json!([]));
    assert!(document["paths"]["/apps"]["get"].get("security").is_none(), "the general rule holds");
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
