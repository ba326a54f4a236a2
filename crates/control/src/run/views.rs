//! What people and clients see of formations and instances.

use super::app_task::{AppTask, Tracked};
use uuid::Uuid;
use windlass_core::ids::InstanceId;
use windlass_core::names::ProcessType;
use windlass_core::plan::{Crash, Phase, Slot};

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

impl AppTask {
    pub(super) fn view(&self) -> Vec<InstanceView> {
        let current = self.current.as_ref().map_or(0, |release| release.version);
        let mut views: Vec<InstanceView> = self
            .instances
            .values()
            .filter(|t| t.live.phase != Phase::Retiring && t.live.release == current)
            .map(tracked_view)
            .collect();
        let crashed = self.crashes.iter().filter(|(slot, crash)| {
            crash.release == current
                && self.quantities.get(&slot.process).is_some_and(|n| slot.index <= *n)
        });
        for (slot, crash) in crashed {
            if !views.iter().any(|view| view.name == slot.to_string()) {
                views.push(self.crashed_view(slot, crash));
            }
        }
        views
    }

    fn crashed_view(&self, slot: &Slot, crash: &Crash) -> InstanceView {
        let command =
            self.current.as_ref().and_then(|release| release.processes.get(&slot.process).cloned());
        InstanceView {
            id: instance_uuid(&InstanceId(format!("{}-{slot}", self.app.id))),
            name: slot.to_string(),
            process: slot.process.clone(),
            state: InstanceDisplayState::Crashed,
            command: command.unwrap_or_default(),
            release: crash.release,
            created_at: crash.status.at_ms,
            updated_at: crash.status.at_ms,
        }
    }
}

fn tracked_view(tracked: &Tracked) -> InstanceView {
    InstanceView {
        id: instance_uuid(&tracked.live.id),
        name: tracked.live.slot.to_string(),
        process: tracked.live.slot.process.clone(),
        state: if tracked.live.phase == Phase::Up {
            InstanceDisplayState::Up
        } else {
            InstanceDisplayState::Starting
        },
        command: tracked.command.clone(),
        release: tracked.live.release,
        created_at: tracked.started_at_ms,
        updated_at: tracked.changed_at_ms,
    }
}
