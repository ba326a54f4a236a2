use serde::{Deserialize, Serialize};

/// `GET /apps/:app/checks`: one check of a process type. Times are in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Check {
    pub process_type: String,
    pub name: String,
    /// `startup`, `readiness` or `liveness`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What an attempt does, in words.
    pub description: String,
    /// `app` (somebody set it), `release` (app.json), `image` (HEALTHCHECK) or `default`.
    pub source: String,
    pub attempts: u32,
    pub wait: u32,
    pub timeout: u32,
    pub initial_delay: u32,
    /// Whether a failure is only written into the log.
    pub warn: bool,
}

/// A check as it is set; what is left out has its default. Names as in app.json.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckCreate {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<CheckHeader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub listening: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub warn: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CheckHeader {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

/// `PUT /apps/:app/checks/:type`: the checks of a process type in place of those of the release.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ChecksUpdate {
    pub checks: Vec<CheckCreate>,
    /// Whether they come beside those that are set already.
    #[serde(default)]
    pub add: bool,
}

/// `POST /apps/:app/checks/actions/run`: what came of one attempt at one instance.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CheckResult {
    /// `web.1`
    pub dyno: String,
    pub check: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub passed: bool,
    pub message: Option<String>,
}
