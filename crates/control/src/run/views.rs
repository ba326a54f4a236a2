//! What people and clients see of formations and instances.

use uuid::Uuid;
use windlass_core::ids::InstanceId;
use windlass_core::names::ProcessType;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormationView {
    pub id: Uuid,
    pub process: ProcessType,
    pub quantity: u32,
    pub command: String,
    pub updated_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    pub id: Uuid,
    /// `web.1`
    pub name: String,
    pub process: ProcessType,
    pub state: InstanceDisplayState,
    pub command: String,
    pub release: u32,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceDisplayState {
    Starting,
    Up,
    Crashed,
    Down,
}

impl InstanceDisplayState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Crashed => "crashed",
            Self::Down => "down",
        }
    }
}

/// Returns the UUID by which the API knows an instance: always the same for the same one.
pub(crate) fn instance_uuid(id: &InstanceId) -> Uuid {
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_str().as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
