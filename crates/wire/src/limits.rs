use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /apps/:app/limits`: what one instance of a process type may take, and what is kept for it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Limits {
    pub process_type: String,
    pub limits: Vec<Limit>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Limit {
    /// `size`, `memory`, `cpu`, `processes`, `disk`, `reserve-memory` or `reserve-cpu`.
    pub name: String,
    /// As people write it: `Standard-1X`, `512M`, `0.5`, `256`; `null`: none.
    pub value: Option<String>,
    /// `app` (somebody set it), `size` or `server`.
    pub source: String,
}

/// `PATCH /apps/:app/limits/:type`: limits by name as people write them; `null` is the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct LimitsUpdate {
    pub limits: BTreeMap<String, Option<String>>,
}
