//! A value and where it is, so that every error can name the place.

use serde_json::{Map, Value};

/// Why an app.json cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppJsonError {
    #[error("app.json is not JSON: {0}")]
    NotJson(String),
    #[error("app.json: {path} must be {expected}, not {found}")]
    WrongType { path: String, expected: &'static str, found: &'static str },
    #[error("app.json: {path}: {problem}")]
    Invalid { path: String, problem: String },
}

impl From<serde_json::Error> for AppJsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson(error.to_string())
    }
}

/// A value at a path such as `env.KEY.value` or `buildpacks[0].url`.
pub(super) struct At<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn shown(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { self.path.clone() }
    }

    pub(super) fn wrong(&self, expected: &'static str) -> AppJsonError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        AppJsonError::WrongType { path: self.shown(), expected, found }
    }

    pub(super) fn invalid(&self, problem: impl Into<String>) -> AppJsonError {
        AppJsonError::Invalid { path: self.shown(), problem: problem.into() }
    }

    /// Returns what is under a key; `null` is as good as nothing.
    pub(super) fn field(&self, key: &str) -> Option<At<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.below(key, value))
    }

    fn below(&self, key: &str, value: &'a Value) -> At<'a> {
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        At { path, value }
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, AppJsonError> {
        self.value.as_object().ok_or_else(|| self.wrong("an object"))
    }

    /// Returns the entries of an object.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, At<'a>)>, AppJsonError> {
        let object = self.object()?;
        Ok(object.iter().map(|(key, value)| (key.as_str(), self.below(key, value))).collect())
    }

    /// Returns the items of a list.
    pub(super) fn items(&self) -> Result<Vec<At<'a>>, AppJsonError> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let item = |(index, value)| At { path: format!("{}[{index}]", self.path), value };
        Ok(list.iter().enumerate().map(item).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, AppJsonError> {
        self.value.as_str().ok_or_else(|| self.wrong("text"))
    }

    /// Returns text that is not empty.
    pub(super) fn some_text(&self) -> Result<&'a str, AppJsonError> {
        match self.text()?.trim() {
            "" => Err(self.invalid("must not be empty")),
            text => Ok(text),
        }
    }

    pub(super) fn truth(&self) -> Result<bool, AppJsonError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn whole_number(&self) -> Result<u64, AppJsonError> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number"))
    }

    /// Returns text under a key that must be there.
    pub(super) fn needed_text(&self, key: &str) -> Result<&'a str, AppJsonError> {
        let _ = self.object()?;
        self.field(key).ok_or_else(|| self.invalid(format!("`{key}` is missing")))?.some_text()
    }

    /// Adds a warning for each key that is not in `known`.
    pub(super) fn warn_of_others(
        &self,
        known: &[&str],
        warnings: &mut Vec<String>,
    ) -> Result<(), AppJsonError> {
        for (key, at) in self.entries()? {
            if !known.contains(&key) {
                warnings.push(format!("app.json: {} is not known here and is ignored", at.path));
            }
        }
        Ok(())
    }
}
