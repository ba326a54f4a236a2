use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /apps/:app/routing`: how the app's requests are routed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Routing {
    /// Every setting, rules on headers last.
    pub settings: Vec<RoutingSetting>,
    pub redirects: Vec<RoutingRedirect>,
    pub pages: Vec<RoutingPage>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RoutingSetting {
    /// `https`, `max-body`, `response-header:x-frame-options` …
    pub name: String,
    /// As people write it: `redirect`, `10M`; `null`: none. Empty for a rule that removes a
    /// header; of `basic-auth` only the users' names.
    pub value: Option<String>,
    /// `app` (somebody set it), `server` (its default for all apps) or `built-in`.
    pub source: String,
}

/// A domain of the app that only leads to another one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RoutingRedirect {
    pub domain: String,
    pub to: String,
    /// 301 or 308.
    pub status: u16,
}

/// An own page in the place of the router's.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RoutingPage {
    /// `error`, `maintenance` or `blank`.
    pub kind: String,
    pub bytes: usize,
}

/// `PATCH /apps/:app/routing`: settings by name as people write them; `null` is the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct RoutingUpdate {
    pub settings: BTreeMap<String, Option<String>>,
}

/// `PUT /apps/:app/routing/pages/:kind`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct RoutingPageUpdate {
    pub html: String,
}

/// `PUT /apps/:app/domains/:domain/redirect`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DomainRedirectUpdate {
    pub to: String,
    /// 301 or 308; 301 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// `POST /apps/:app/domains/:domain/actions/check`: where its name leads in the DNS.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DomainCheck {
    /// The name that was looked up: for `*.example.com` one below it.
    pub hostname: String,
    pub addresses: Vec<String>,
    /// The app's own name on the platform.
    pub target: String,
    pub target_addresses: Vec<String>,
    /// Whether both have an address in common.
    pub points_here: bool,
}
