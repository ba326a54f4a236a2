use crate::{IdReference, Reference, UserReference};
use serde::{Deserialize, Serialize};

/// `GET /apps/:app/releases`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Release {
    pub id: String,
    pub version: u32,
    /// `succeeded`, `pending`, `failed` or `expired`.
    pub status: String,
    pub current: bool,
    pub description: String,
    pub created_at: String,
    pub updated_at: String,
    pub app: Reference,
    pub user: UserReference,
    pub slug: Option<IdReference>,
    pub artifacts: Vec<Artifact>,
    pub addon_plan_names: Vec<String>,
    pub eligible_for_rollback: bool,
    pub output_stream_url: Option<String>,
    pub oci_image: Option<IdReference>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Artifact {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

/// `POST /apps/:app/releases` with `release` is a rollback to that release (id or version).
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReleaseCreate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `GET /apps/:app/builds`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Build {
    pub id: String,
    pub app: IdReference,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
    pub buildpacks: Option<Vec<BuildBuildpack>>,
    pub source_blob: SourceBlob,
    pub output_stream_url: String,
    pub release: Option<IdReference>,
    pub slug: Option<IdReference>,
    pub stack: String,
    pub generation: String,
    pub user: UserReference,
    /// Why it failed, in the words of its output's end. Not in Heroku's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/builds`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BuildCreate {
    #[serde(default)]
    pub source_blob: BuildSource,
}

/// What a build is to be made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BuildSource {
    /// A `get_url` of `POST /sources`, or any `http` or `https` URL of a tar archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `SHA256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `POST /sources`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Source {
    pub source_blob: SourceUrls,
}

/// Where to send an archive to, and how to name it afterwards. Good for an hour.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SourceUrls {
    pub put_url: String,
    pub get_url: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BuildBuildpack {
    pub url: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SourceBlob {
    pub url: String,
    pub checksum: Option<String>,
    pub version: Option<String>,
    pub version_description: Option<String>,
}
