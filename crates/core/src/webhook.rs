//! Webhooks: which changes of an app are told, and when an attempt to tell one is repeated.

mod turns;

pub use turns::{AT_ONCE, AT_ONCE_PER_APP, AT_ONCE_PER_OWNER, Call, calls_to_begin};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Webhooks of one app (Heroku's limit).
pub const WEBHOOKS_PER_APP: usize = 10;
/// Deliveries of one webhook that wait; the oldest beyond it are given up.
pub const WAITING_DELIVERIES: u32 = 1_000;
/// Deliveries and events of one app that are kept once they are over.
pub const KEPT_DELIVERIES: u32 = 1_000;
/// How long they are kept, in milliseconds: 30 days.
pub const KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// How long ordered deliveries are tried, in milliseconds: 72 hours (Heroku's limit).
const SYNC_MS: u64 = 72 * 60 * 60 * 1_000;
/// The longest secret and the longest `Authorization` value, in bytes.
pub const SECRET_BYTES: usize = 1_000;

/// What a subscription names: every one that Heroku has. Of add-ons and their attachments there
/// is nothing to tell yet.
pub const ENTITIES: [&str; 12] = [
    "api:addon",
    "api:addon-attachment",
    "api:app",
    "api:app-feature",
    "api:build",
    "api:collaborator",
    "api:domain",
    "api:dyno",
    "api:formation",
    "api:release",
    "api:sni-endpoint",
    "dyno",
];

/// What is wrong with a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("`include` must name at least one of: {known}.", known = ENTITIES.join(", "))]
    NothingIncluded,
    #[error("There are no events of {0:?}: `include` may name {known}.", known = ENTITIES.join(", "))]
    UnknownEntity(String),
    #[error("`level` must be notify or sync, not {0:?}.")]
    Level(String),
    #[error("`{0}` must be printable ASCII of 1 to {SECRET_BYTES} bytes.")]
    Text(&'static str),
}

/// Checks what a webhook subscribes to; returns it sorted and without repetition.
pub fn checked_include(mut include: Vec<String>) -> Result<Vec<String>, WebhookError> {
    include.sort();
    include.dedup();
    if include.is_empty() {
        return Err(WebhookError::NothingIncluded);
    }
    match include.iter().find(|name| !ENTITIES.contains(&name.as_str())) {
        Some(unknown) => Err(WebhookError::UnknownEntity(unknown.clone())),
        None => Ok(include),
    }
}

/// Checks a secret or an `Authorization` value, which stands in a header as it is.
pub fn checked_text(name: &'static str, text: &str) -> Result<(), WebhookError> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let fits = (1..=SECRET_BYTES).contains(&text.len());
    if fits && printable { Ok(()) } else { Err(WebhookError::Text(name)) }
}

/// How much care a delivery takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A few attempts, in no particular order.
    Notify,
    /// In order, until it is taken or 72 hours are over.
    Sync,
}

impl Level {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Sync => "sync",
        }
    }
}

impl std::str::FromStr for Level {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self, WebhookError> {
        [Self::Notify, Self::Sync]
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| WebhookError::Level(text.to_owned()))
    }
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Succeeded,
    Failed,
    /// Again at this time, in milliseconds since the Unix epoch.
    RetryAt(u64),
}

/// Decides after the `attempts`th attempt at a delivery that was made at `created_ms`. `notify` is
/// tried four times within six minutes, `sync` after 5 s doubling to one hour.
#[must_use]
pub fn after_attempt(
    level: Level,
    succeeded: bool,
    attempts: u32,
    created_ms: u64,
    now_ms: u64,
) -> Next {
    if succeeded {
        return Next::Succeeded;
    }
    match level {
        Level::Notify => match attempts {
            0 | 1 => Next::RetryAt(now_ms + 10_000),
            2 => Next::RetryAt(now_ms + 60_000),
            3 => Next::RetryAt(now_ms + 300_000),
            _ => Next::Failed,
        },
        Level::Sync => {
            let seconds = (5u64 << attempts.saturating_sub(1).min(10)).min(3_600);
            let at = now_ms + seconds * 1_000;
            if at > created_ms + SYNC_MS { Next::Failed } else { Next::RetryAt(at) }
        }
    }
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    App,
    Build,
    Collaborator,
    Domain,
    Dyno,
    Formation,
    Release,
    SniEndpoint,
}

impl Kind {
    /// The payload's `resource`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Build => "build",
            Self::Collaborator => "collaborator",
            Self::Domain => "domain",
            Self::Dyno => "dyno",
            Self::Formation => "formation",
            Self::Release => "release",
            Self::SniEndpoint => "sni-endpoint",
        }
    }

    /// The subscriptions to which its changes are told.
    #[must_use]
    pub fn entities(self) -> &'static [&'static str] {
        match self {
            Self::App => &["api:app"],
            Self::Build => &["api:build"],
            Self::Collaborator => &["api:collaborator"],
            Self::Domain => &["api:domain"],
            Self::Dyno => &["api:dyno", "dyno"],
            Self::Formation => &["api:formation"],
            Self::Release => &["api:release"],
            Self::SniEndpoint => &["api:sni-endpoint"],
        }
    }

    /// Of these only the newest are looked at, and none goes away by itself.
    fn is_history(self) -> bool {
        matches!(self, Self::Build | Self::Release)
    }

    /// Returns what is the state of a new one for a moment, and the key that tells it: an observer
    /// who comes later finds it further.
    fn first_state(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Build | Self::Release => Some(("status", "pending")),
            Self::Dyno => Some(("state", "starting")),
            _ => None,
        }
    }
}

/// A resource of an app as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub kind: Kind,
    pub data: Value,
}

impl Resource {
    fn id(&self) -> &str {
        self.data["id"].as_str().unwrap_or_default()
    }

    fn created_at(&self) -> &str {
        self.data["created_at"].as_str().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Update,
    Destroy,
}

impl Action {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Destroy => "destroy",
        }
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: Kind,
    pub action: Action,
    pub data: Value,
    /// Of an update: what was otherwise before.
    pub previous: Value,
}

/// What changes with other resources and is not worth telling alone.
const INCIDENTAL: [&str; 3] = ["updated_at", "current", "eligible_for_rollback"];

/// Returns what has changed between two looks at an app, in the order of `after`. Of an app that is
/// gone only that is told.
#[must_use]
pub fn changes(before: &[Resource], after: &[Resource]) -> Vec<Change> {
    let app = |list: &[Resource]| list.iter().find(|r| r.kind == Kind::App).cloned();
    if let (Some(gone), None) = (app(before), app(after)) {
        return vec![change(&gone, Action::Destroy, empty())];
    }
    let known: HashMap<_, _> = before.iter().map(|r| ((r.kind, r.id()), r)).collect();
    let still: HashMap<_, _> = after.iter().map(|r| ((r.kind, r.id()), r)).collect();
    let gone = before
        .iter()
        .filter(|r| !r.kind.is_history() && !still.contains_key(&(r.kind, r.id())))
        .map(|r| change(r, Action::Destroy, empty()));
    let mut told: Vec<Change> = gone.collect();
    for resource in after {
        match known.get(&(resource.kind, resource.id())) {
            Some(earlier) => {
                let previous = previous(&earlier.data, &resource.data);
                if previous.keys().any(|key| !INCIDENTAL.contains(&key.as_str())) {
                    told.push(change(resource, Action::Update, Value::Object(previous)));
                }
            }
            None if is_new(resource, before) => told.extend(creation(resource)),
            None => {}
        }
    }
    told
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn change(resource: &Resource, action: Action, previous: Value) -> Change {
    Change { kind: resource.kind, action, data: resource.data.clone(), previous }
}

/// Whether it was made since, or is an old one that has only come into view.
fn is_new(resource: &Resource, before: &[Resource]) -> bool {
    let mut known = before.iter().filter(|r| r.kind == resource.kind);
    !resource.kind.is_history() || known.all(|r| r.created_at() <= resource.created_at())
}

/// A new resource, told as it began and then as it is.
fn creation(resource: &Resource) -> Vec<Change> {
    let first = resource.kind.first_state().filter(|(key, value)| resource.data[*key] != *value);
    let Some((key, value)) = first else {
        return vec![change(resource, Action::Create, empty())];
    };
    let mut began = resource.clone();
    began.data[key] = value.into();
    began.data["updated_at"] = resource.data["created_at"].clone();
    match resource.kind {
        Kind::Release => began.data["current"] = false.into(),
        Kind::Build => began.data["release"] = Value::Null,
        _ => {}
    }
    let previous = previous(&began.data, &resource.data);
    vec![
        change(&began, Action::Create, empty()),
        change(resource, Action::Update, Value::Object(previous)),
    ]
}

/// Returns the earlier values of all that is not as it was.
fn previous(before: &Value, after: &Value) -> Map<String, Value> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return Map::new();
    };
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    let value = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
    keys.filter(|key| value(before, key) != value(after, key))
        .map(|key| (key.clone(), value(before, key)))
        .collect()
}

#[cfg(test)]
mod tests;
