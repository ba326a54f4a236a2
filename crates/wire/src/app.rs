use crate::{Reference, UserReference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /apps/:app`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct App {
    pub id: String,
    pub name: String,
    pub acm: bool,
    pub archived_at: Option<String>,
    pub buildpack_provided_description: Option<String>,
    pub build_stack: Reference,
    pub stack: Reference,
    pub created_at: String,
    pub updated_at: String,
    pub released_at: Option<String>,
    pub git_url: String,
    pub generation: Reference,
    pub internal_routing: Option<bool>,
    pub maintenance: bool,
    pub owner: UserReference,
    pub organization: Option<Reference>,
    pub team: Option<Reference>,
    pub region: Reference,
    pub repo_size: Option<u64>,
    pub slug_size: Option<u64>,
    pub space: Option<Reference>,
    pub web_url: String,
    pub process_tier: String,
}

/// `POST /apps`; without a name the server makes one up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppCreate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// `PATCH /apps/:app`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(
        default,
        deserialize_with = "crate::switch::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub maintenance: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_stack: Option<String>,
}

/// `GET /apps/:app/config-vars`
pub type ConfigVars = BTreeMap<String, String>;

/// `PATCH /apps/:app/config-vars`: `null` removes.
pub type ConfigVarsUpdate = BTreeMap<String, Option<String>>;

/// `GET /apps/:app/domains`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Domain {
    pub id: String,
    pub hostname: String,
    /// `heroku` for the default one, else `custom`.
    pub kind: String,
    pub cname: Option<String>,
    /// `pending`, `succeeded`, `failed` or `none`.
    pub status: String,
    pub acm_status: Option<String>,
    pub acm_status_reason: Option<String>,
    pub app: Reference,
    pub sni_endpoint: Option<Reference>,
    /// The domain that requests are sent on to; an extension of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/domains`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DomainCreate {
    pub hostname: String,
    #[serde(default)]
    pub sni_endpoint: Option<String>,
}

/// `POST /apps/:app/log-sessions`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogSessionCreate {
    /// Only this instance or process type: `web.1`, `web`, `router`. Clients have three names for it.
    #[serde(default, alias = "dyno_name", alias = "type", skip_serializing_if = "Option::is_none")]
    pub dyno: Option<String>,
    /// Lines of history, at most 1500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// `app` or `heroku`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, deserialize_with = "crate::switch::boolean")]
    pub tail: bool,
}

/// The answer: a URL that needs no credentials and streams lines as plain text.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogSession {
    pub id: String,
    pub logplex_url: String,
    pub created_at: String,
    pub updated_at: String,
}
