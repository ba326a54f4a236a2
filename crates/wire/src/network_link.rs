use crate::Reference;
use serde::{Deserialize, Serialize};

/// `GET /apps/:app/network-links`: an app whose instances and those of this one reach each other.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NetworkLink {
    pub id: String,
    pub app: Reference,
    pub linked_app: Reference,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/network-links`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NetworkLinkCreate {
    /// The other app's name or id.
    pub linked_app: String,
}
