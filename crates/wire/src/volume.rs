use crate::Reference;
use serde::{Deserialize, Serialize};

/// `GET /apps/:app/volumes` and `GET /volumes`: storage that outlives instances.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Volume {
    pub id: String,
    pub name: String,
    /// `None` once the app was destroyed.
    pub app: Option<Reference>,
    /// The name of the app that has it, or had it last.
    pub app_name: String,
    /// `mounted`, `unmounted` or `orphaned`.
    pub state: String,
    /// Bytes; `None` for a folder of the host.
    pub size: Option<u64>,
    /// Bytes in use.
    pub used: Option<u64>,
    pub mount_path: String,
    /// The process types that have it; empty for all.
    pub process_types: Vec<String>,
    /// Whether several instances may have it at the same time.
    pub shared: bool,
    pub host_folder: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/volumes`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeCreate {
    pub name: String,
    /// A number with its unit: `500M`, `1G`. Without it `1G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    pub mount_path: String,
    #[serde(default)]
    pub process_types: Vec<String>,
    #[serde(default)]
    pub shared: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_folder: Option<String>,
}

/// `PATCH /apps/:app/volumes/:volume`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounted: Option<bool>,
}

/// `POST /apps/:app/volumes/actions/attach`: gives the app a volume whose app was destroyed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeAttach {
    /// The volume's id.
    pub volume: String,
    /// Another name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
}

/// `GET /apps/:app/volumes/:volume/snapshots`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeSnapshot {
    pub id: String,
    /// `s1`, counted within the volume.
    pub name: String,
    /// Bytes that it took up when it was made.
    pub size: u64,
    pub volume: Reference,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/volumes/:volume/actions/restore`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeRestore {
    /// A snapshot's name or id.
    pub snapshot: String,
}
