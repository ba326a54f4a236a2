//! Validates JSON against a JSON schema: the keywords that Heroku's published schema and ours use.

use regex::Regex;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex};

/// How an object that lists its properties is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// Every property must be there unless it is under `optional`, and no other may: our own
    /// schema.
    Closed,
    /// Where `strictProperties` is true every property must be there, and others may: Heroku's.
    Published,
    /// Only what is under `required` must be there: request bodies.
    Requests,
}

/// Keywords that say nothing about a value.
const SILENT: &[&str] = &[
    "$schema",
    "title",
    "description",
    "example",
    "definitions",
    "links",
    "readOnly",
    "default",
    "stability",
    "deprecated",
    "id",
];

/// A document whose parts values are validated against.
#[derive(Clone, Copy)]
pub struct Validator<'a> {
    pub document: &'a Value,
    pub objects: Objects,
}

impl<'a> Validator<'a> {
    /// Returns what is wrong with `value`, each with where it is; nothing if it is valid.
    #[must_use]
    pub fn faults(&self, schema: &'a Value, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(schema, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &'a Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(schema) = schema.as_object() else {
            return faults.push(fault(at, "its schema is no object"));
        };
        for (keyword, argument) in schema {
            match keyword.as_str() {
                "$ref" => match argument.as_str().and_then(|reference| self.resolve(reference)) {
                    Some(target) => self.check(target, value, at, faults),
                    None => faults.push(fault(at, format!("{argument} is not in the schema"))),
                },
                "type" => check_type(argument, value, at, faults),
                "enum" if !items(argument).contains(value) => {
                    faults.push(fault(at, format!("{value} is not one of {argument}")));
                }
                "const" if argument != value => {
                    faults.push(fault(at, format!("{value} is not {argument}")));
                }
                "anyOf" => self.check_any(items(argument), value, at, faults),
                "items" => {
                    for (index, item) in items(value).iter().enumerate() {
                        self.check(argument, item, &format!("{at}/{index}"), faults);
                    }
                }
                "format" => check_format(argument, value, at, faults),
                "pattern" => check_pattern(argument, value, at, faults),
                "minimum" | "maximum" | "minLength" | "maxLength" | "maxItems" => {
                    check_bound(keyword, argument, value, at, faults);
                }
                "enum"
                | "const"
                | "properties"
                | "optional"
                | "required"
                | "additionalProperties"
                | "patternProperties"
                | "strictProperties" => {}
                silent if SILENT.contains(&silent) => {}
                unknown => faults.push(fault(at, format!("{unknown:?} is not checked here"))),
            }
        }
        if let Some(object) = value.as_object() {
            self.check_object(schema, object, at, faults);
        }
    }

    fn check_any(&self, choices: &'a [Value], value: &Value, at: &str, faults: &mut Vec<String>) {
        let mut all = Vec::new();
        for choice in choices {
            let mut of_this = Vec::new();
            self.check(choice, value, at, &mut of_this);
            if of_this.is_empty() {
                return;
            }
            all.push(of_this.join("; "));
        }
        faults.push(fault(at, format!("none of these: {}", all.join(" | "))));
    }

    fn check_object(
        &self,
        schema: &'a Map<String, Value>,
        object: &Map<String, Value>,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        for name in self.needed(schema) {
            if !object.contains_key(name) {
                faults.push(fault(at, format!("{name:?} is missing")));
            }
        }
        for (name, value) in object {
            let at = format!("{at}/{name}");
            let by_name = properties.and_then(|properties| properties.get(name));
            let by_pattern =
                patterns.into_iter().flatten().find(|(pattern, _)| matches(pattern, name));
            if let Some(schema) = by_name.or(by_pattern.map(|(_, schema)| schema)) {
                self.check(schema, value, &at, faults);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => faults.push(fault(&at, "it is not in the schema")),
                Some(Value::Bool(true)) => {}
                Some(schema) => self.check(schema, value, &at, faults),
                None if self.objects == Objects::Closed && properties.is_some() => {
                    faults.push(fault(&at, "it is not in the schema"));
                }
                None => {}
            }
        }
    }

    /// Returns the properties that must be there.
    fn needed(&self, schema: &'a Map<String, Value>) -> Vec<&'a str> {
        let names = |keyword: &str| {
            items(schema.get(keyword).unwrap_or(&Value::Null)).iter().filter_map(Value::as_str)
        };
        let required: Vec<_> = names("required").collect();
        let strict = schema.get("strictProperties") == Some(&Value::Bool(true));
        let all = match self.objects {
            Objects::Closed => true,
            Objects::Published => strict,
            Objects::Requests => false,
        };
        match schema.get("properties").and_then(Value::as_object) {
            Some(properties) if all => {
                let optional: Vec<_> = names("optional").collect();
                properties
                    .keys()
                    .map(String::as_str)
                    .filter(|name| !optional.contains(name))
                    .collect()
            }
            _ => required,
        }
    }

    /// Returns the part of the document that a reference like `#/definitions/app` names.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Option<&'a Value> {
        self.document.pointer(reference.strip_prefix('#')?)
    }
}

fn fault(at: &str, what: impl Display) -> String {
    if at.is_empty() { what.to_string() } else { format!("{at}: {what}") }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn check_type(argument: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match argument {
        Value::String(name) => is(name),
        names => items(names).iter().filter_map(Value::as_str).any(is),
    };
    if !fits {
        faults.push(fault(at, format!("{} is not of type {argument}", short(value))));
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

fn check_format(format: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Some(text) = value.as_str() else { return };
    let pattern = match format.as_str() {
        Some("uuid") => "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        Some("date-time") => r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
        Some("email") => r"^[^@\s]+@[^@\s]+$",
        Some("uri") => r"^[a-z][a-z0-9+.-]*://[^\s]+$",
        _ => return faults.push(fault(at, format!("the format {format} is not checked here"))),
    };
    if !matches(pattern, text) {
        faults.push(fault(at, format!("{text:?} does not have the format {format}")));
    }
}

fn check_pattern(pattern: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let (Some(pattern), Some(text)) = (pattern.as_str(), value.as_str())
        && !matches(pattern, text)
    {
        faults.push(fault(at, format!("{text:?} does not match {pattern}")));
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    static KNOWN: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap();
    let compile = || Regex::new(pattern).unwrap_or_else(|error| panic!("in a schema: {error}"));
    known.entry(pattern.to_owned()).or_insert_with(compile).is_match(text)
}

fn check_bound(keyword: &str, bound: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    #[allow(clippy::cast_precision_loss)]
    let measured = match keyword {
        "minimum" | "maximum" => value.as_f64(),
        "maxItems" => value.as_array().map(|items| items.len() as f64),
        _ => value.as_str().map(|text| text.chars().count() as f64),
    };
    let (Some(measured), Some(bound)) = (measured, bound.as_f64()) else { return };
    let fits = if keyword.starts_with("min") { measured >= bound } else { measured <= bound };
    if !fits {
        faults.push(fault(at, format!("{measured} is beyond the {keyword} {bound}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(schema: &Value, value: &Value, objects: Objects) -> Vec<String> {
        let document =
            json!({"definitions": {"name": {"type": ["string"], "pattern": "^[a-z]+$"}}});
        Validator { document: &document, objects }.faults(schema, value)
    }

    #[test]
    fn every_keyword_can_fail() {
        let cases = [
            (json!({"type": ["string", "null"]}), json!(null), json!(1)),
            (json!({"type": "integer"}), json!(1), json!(1.5)),
            (json!({"enum": ["a", null]}), json!(null), json!("b")),
            (json!({"const": 1}), json!(1), json!(2)),
            (json!({"anyOf": [{"type": ["null"]}, {"type": ["boolean"]}]}), json!(true), json!("")),
            (json!({"items": {"type": ["string"]}}), json!(["a"]), json!(["a", 1])),
            (json!({"$ref": "#/definitions/name"}), json!("abc"), json!("ABC")),
            (json!({"format": "uuid"}), json!("6f1b6b1e-94c5-4c43-9c0a-0d7f3c2f5a12"), json!("6f")),
            (json!({"format": "date-time"}), json!("2026-01-02T03:04:05Z"), json!("2026-01-02")),
            (json!({"format": "email"}), json!("a@example.com"), json!("a")),
            (json!({"format": "uri"}), json!("https://a/b"), json!("a/b")),
            (json!({"minimum": 0}), json!(0), json!(-1)),
            (json!({"maxLength": 2}), json!("äö"), json!("abc")),
            (json!({"maxItems": 0}), json!([]), json!([1])),
            (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1})),
            (
                json!({"additionalProperties": {"type": ["string"]}}),
                json!({"a": ""}),
                json!({"a": 1}),
            ),
            (
                json!({"patternProperties": {"^x": {"type": ["string"]}}, "additionalProperties": false}),
                json!({"xa": ""}),
                json!({"a": ""}),
            ),
        ];
        for (schema, good, bad) in cases {
            let of = |value| faults(&schema, value, Objects::Requests);
            assert_eq!(of(&good), Vec::<String>::new(), "{schema}");
            assert_ne!(of(&bad), Vec::<String>::new(), "{schema}");
        }
        for unknown in [json!({"oneOf": []}), json!({"format": "ipv4"}), json!({"$ref": "#/x"})] {
            assert_ne!(faults(&unknown, &json!("a"), Objects::Requests), Vec::<String>::new());
        }
    }

    #[test]
    fn objects_are_read_as_each_document_means_them() {
        let schema = json!({
            "properties": {"a": {"type": ["string"]}, "b": {}}, "optional": ["b"], "strictProperties": true,
        });
        let count = |value: &Value, objects| faults(&schema, value, objects).len();
        let (whole, open, more) =
            (json!({"a": "", "b": 1}), json!({"a": ""}), json!({"a": "", "c": 1}));
        assert_eq!(count(&whole, Objects::Closed), 0);
        assert_eq!(count(&open, Objects::Closed), 0);
        assert_eq!(count(&more, Objects::Closed), 1, "nothing else may be there");
        assert_eq!(count(&json!({"b": 1}), Objects::Closed), 1);
        assert_eq!(count(&json!({"b": 1, "c": 2}), Objects::Requests), 0);
        let schema = json!({"properties": {"a": {}}, "strictProperties": true});
        let published = |value: &Value| faults(&schema, value, Objects::Published).len();
        assert_eq!(
            published(&json!({"a": 1, "c": 1})),
            0,
            "Heroku's clients ignore what they do not know"
        );
        assert_eq!(published(&json!({})), 1);
    }

    #[test]
    fn a_fault_says_where() {
        let schema = json!({"properties": {"a": {"items": {"type": ["string"]}}}});
        let faults = faults(&schema, &json!({"a": ["x", 2]}), Objects::Requests);
        assert_eq!(faults, ["/a/1: 2 is not of type [\"string\"]"]);
    }
}
