//! The contract of the Platform API: every answer is checked against our own schema
//! (`crates/api/schema`) and, where it is at hand, against Heroku's published one.

mod forwarder;
mod links;
mod messages;
mod published;
mod validator;

pub use forwarder::CheckingForwarder;
pub use links::{Link, find, links, same_path};
pub use published::{DIFFERENCES, Difference, published};
pub use validator::{Objects, Validator};

use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One answer of the API, as the client got it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    pub method: &'a str,
    /// With its query, if it has one.
    pub path: &'a str,
    pub status: u16,
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
}

/// A schema and its links.
pub struct Contract {
    pub document: Value,
    pub links: Vec<Link>,
    objects: Objects,
}

impl Contract {
    fn new(document: Value, objects: Objects) -> Self {
        let links = links(&document);
        Self { document, links, objects }
    }

    /// Returns what is wrong with a body that one of `links` describes.
    fn faults<'a>(&'a self, links: &[&'a Link], body: &Value) -> Vec<String> {
        let validator = Validator { document: &self.document, objects: self.objects };
        let mut all = Vec::new();
        for link in links {
            // Where a path has several links, one of them must fit.
            let Some(target) = &link.target else { return Vec::new() };
            all.push(validator.faults(target, body));
        }
        all.into_iter().min_by_key(Vec::len).unwrap_or_default()
    }
}

/// Returns our own schema, read from `crates/api/schema`.
pub fn own() -> &'static Contract {
    static OWN: OnceLock<Contract> = OnceLock::new();
    OWN.get_or_init(|| Contract::new(read_own(), Objects::Closed))
}

fn read_own() -> Value {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../api/schema"));
    let mut definitions = Map::new();
    for family in ["platform", "windlass"] {
        let entries = std::fs::read_dir(folder.join(family)).unwrap();
        let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
            let text = std::fs::read_to_string(path).unwrap();
            let resource = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(
                definitions.insert(name, resource).is_none(),
                "{} is in both folders",
                path.display()
            );
        }
    }
    Value::Object([("definitions".to_owned(), Value::Object(definitions))].into_iter().collect())
}

/// Checks an answer.
///
/// # Panics
/// If it is not as the schemas say; the message has the request and every fault.
#[track_caller]
pub fn check(exchange: Exchange<'_>) {
    let faults = faults(exchange);
    assert!(
        faults.is_empty(),
        "{} {} answered {} not as its schema says:\n  {}\n{}",
        exchange.method,
        exchange.path,
        exchange.status,
        faults.join("\n  "),
        String::from_utf8_lossy(exchange.body)
    );
}

/// Returns what is wrong with an answer by our schema and by the published one.
#[must_use]
pub fn faults(exchange: Exchange<'_>) -> Vec<String> {
    let path = exchange.path.split('?').next().unwrap_or_default();
    let method = if exchange.method == "HEAD" { return Vec::new() } else { exchange.method };
    if is_another_protocol(path) || matches!(exchange.status, 100..=199 | 304) {
        return Vec::new();
    }
    let ours = find(&own().links, method, path);
    if exchange.status >= 400 {
        // Pages for people say in their own form what is wrong.
        let is_page = |link: &&Link| {
            let kinds = link.media_type.as_deref().zip(exchange.content_type);
            kinds.is_some_and(|(described, kind)| kind.starts_with(described))
        };
        return if ours.iter().any(is_page) { Vec::new() } else { error_faults(exchange) };
    }
    if ours.is_empty() {
        return vec!["no link of our schema describes it (crates/api/schema/README.md)".to_owned()];
    }
    let described = ours.iter().any(|link| link.media_type.is_none() && link.target.is_some());
    if !described {
        return Vec::new();
    }
    let Ok(body) = serde_json::from_slice(exchange.body) else {
        return vec!["it is not JSON".to_owned()];
    };
    let mut faults = Vec::new();
    if exchange.content_type.is_none_or(|kind| !kind.starts_with("application/json")) {
        faults.push(format!("its type is {:?}", exchange.content_type));
    }
    let by_ours = own().faults(&ours, &body).into_iter();
    faults.extend(by_ours.map(|fault| format!("our schema: {fault}")));
    if let Some(published) = published() {
        let theirs = find(&published.links, method, path);
        let by_theirs = published.faults(&theirs, &body).into_iter();
        faults.extend(by_theirs.map(|fault| format!("the published schema: {fault}")));
    }
    faults
}

/// Whether a path is git's or the registry's, whose answers have their own forms.
fn is_another_protocol(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/") || path.contains(".git/")
}

/// An error is `{"id", "message"}`, and for some `resource`, `url` and `app`.
fn error_faults(exchange: Exchange<'_>) -> Vec<String> {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(exchange.body) else {
        return vec!["an error is not a JSON object".to_owned()];
    };
    let mut faults = Vec::new();
    for name in ["id", "message"] {
        if body.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            faults.push(format!("an error has no {name:?}"));
        }
    }
    let known = ["id", "message", "resource", "url", "app"];
    let others = body.keys().filter(|name| !known.contains(&name.as_str()));
    faults.extend(others.map(|name| format!("an error has {name:?}")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer<'a>(method: &'a str, path: &'a str, status: u16, body: &'a str) -> Exchange<'a> {
        let content_type = Some("application/json");
        Exchange { method, path, status, content_type, body: body.as_bytes() }
    }

    #[test]
    fn answers_are_held_to_our_schema() {
        let good = r#"{"remaining": 4500}"#;
        assert_eq!(faults(answer("GET", "/account/rate-limits", 200, good)), Vec::<String>::new());
        let bad = [
            ("GET", "/account/rate-limits", 200, "{}"),
            ("GET", "/account/rate-limits", 200, "nothing"),
            ("GET", "/account/rate-limits", 200, r#"{"remaining": "many"}"#),
            ("GET", "/account/rate-limits", 200, r#"{"remaining": 1, "more": 1}"#),
            ("GET", "/nobody/knows/it", 200, "{}"),
            ("GET", "/apps/x", 404, "not found"),
            ("GET", "/apps/x", 404, r#"{"id": "not_found"}"#),
            ("GET", "/apps/x", 404, r#"{"id": "not_found", "message": "x", "stack": []}"#),
        ];
        for (method, path, status, body) in bad {
            assert_ne!(faults(answer(method, path, status, body)), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn the_published_schema_differs_only_where_we_know_it() {
        let Some(published) = published() else { return };
        assert!(published.links.len() >= 300, "{}", published.links.len());
    }
}
