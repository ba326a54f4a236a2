use crate::Reference;
use serde::{Deserialize, Serialize};

/// `GET /apps/:app/formation`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Formation {
    pub id: String,
    #[serde(rename = "type")]
    pub process_type: String,
    pub quantity: u32,
    pub size: String,
    pub dyno_size: Reference,
    pub command: String,
    pub app: Reference,
    pub created_at: String,
    pub updated_at: String,
}

/// `PATCH /apps/:app/formation`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct FormationBatchUpdate {
    pub updates: Vec<FormationUpdate>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct FormationUpdate {
    #[serde(rename = "type")]
    pub process_type: String,
    /// A number, or text that may be relative: `"+1"`, `"-2"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}
