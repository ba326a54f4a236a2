use crate::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /apps/:app/slugs/:slug`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Slug {
    pub id: String,
    pub blob: SlugBlob,
    pub buildpack_provided_description: Option<String>,
    /// `SHA256:` and 64 hexadecimal digits: of the archive as it was sent, or of a build's files.
    pub checksum: Option<String>,
    pub commit: Option<String>,
    pub commit_description: Option<String>,
    pub process_types: BTreeMap<String, String>,
    /// Bytes: of the archive as it was sent, or of a build's files.
    pub size: Option<u64>,
    pub stack: Reference,
    pub created_at: String,
    pub updated_at: String,
    pub deleted_at: Option<String>,
}

/// Where a slug's archive is sent to or fetched from. The URL carries its own secret.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SlugBlob {
    /// `put` or `get`.
    pub method: String,
    pub url: String,
}

/// `POST /apps/:app/slugs`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct SlugCreate {
    #[serde(default)]
    pub process_types: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildpack_provided_description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}
