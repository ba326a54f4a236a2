//! What people and clients see of formations and instances.

use super::app_task::{AppTask, Tracked, runnable};
use uuid::Uuid;
use windlass_core::ids::InstanceId;
use windlass_core::names::ProcessType;
use windlass_core::plan::{Crash, Phase, Slot, Wanted};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormationView {
    pub id: Uuid,
    pub process: ProcessType,
    pub quantity: u32,
    pub size: &'static str,
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
    /// Why it is in this state, for one that has crashed: `out of memory`, `status 1`.
    pub reason: Option<String>,
    pub size: &'static str,
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
            .map(|tracked| tracked_view(tracked, self.size_of(&tracked.live.slot.process)))
            .collect();
        let crashed = self.crashes.iter().filter(|(slot, crash)| {
            !self.app.deploys.stopped
                && crash.release == current
                && self.quantities.get(&slot.process).is_some_and(|n| slot.index <= *n)
        });
        for (slot, crash) in crashed {
            if !views.iter().any(|view| view.name == slot.to_string()) {
                views.push(self.crashed_view(slot, crash));
            }
        }
        if self.app.deploys.stopped {
            views.extend(self.down_views());
        }
        views
    }

    fn size_of(&self, process: &ProcessType) -> &'static str {
        self.platform.limits_of(&self.app, process).size.0.name
    }

    /// The slots of an app that was stopped as a whole.
    fn down_views(&self) -> Vec<InstanceView> {
        let Some(release) = &self.current else { return Vec::new() };
        let wanted = Wanted {
            release: release.version,
            generation: 0,
            quantities: runnable(&self.quantities),
        };
        let slots = wanted.slots().map(|slot| InstanceView {
            id: instance_uuid(&InstanceId(format!("{}-{slot}", self.app.id))),
            name: slot.to_string(),
            state: InstanceDisplayState::Down,
            reason: Some("stopped by ps:stop".to_owned()),
            size: self.size_of(&slot.process),
            command: release.processes.get(&slot.process).cloned().unwrap_or_default(),
            process: slot.process,
            release: release.version,
            created_at: self.app.updated_at,
            updated_at: self.app.updated_at,
        });
        slots.collect()
    }

    fn crashed_view(&self, slot: &Slot, crash: &Crash) -> InstanceView {
        let command =
            self.current.as_ref().and_then(|release| release.processes.get(&slot.process).cloned());
        InstanceView {
            id: instance_uuid(&InstanceId(format!("{}-{slot}", self.app.id))),
            name: slot.to_string(),
            process: slot.process.clone(),
            state: InstanceDisplayState::Crashed,
            reason: Some(crash.status.summary()),
            size: self.size_of(&slot.process),
            command: command.unwrap_or_default(),
            release: crash.release,
            created_at: crash.status.at_ms,
            updated_at: crash.status.at_ms,
        }
    }
}

fn tracked_view(tracked: &Tracked, size: &'static str) -> InstanceView {
    InstanceView {
        size,
        reason: tracked.failing.iter().next().map(|check| format!("not ready: {check}")),
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
