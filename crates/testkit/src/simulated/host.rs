//! The machine that the simulated driver says it runs on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::admission::Machine;
use windlass_core::disk_guard::DiskSpace;
use windlass_core::ids::InstanceId;

/// Memory, cores and disk, as tests set them; without being set there are no bounds.
#[derive(Default)]
pub struct SimulatedHost {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    machine: Option<Machine>,
    disk: Option<DiskSpace>,
    memory: BTreeMap<InstanceId, u64>,
    writable: Option<PathBuf>,
}

impl SimulatedHost {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_machine(&self, machine: Machine) {
        self.state().machine = Some(machine);
    }

    pub fn set_disk(&self, disk: DiskSpace) {
        self.state().disk = Some(disk);
    }

    /// Says how much memory an instance uses.
    pub fn set_memory(&self, id: &InstanceId, bytes: u64) {
        self.state().memory.insert(id.clone(), bytes);
    }

    /// Makes the directories below this one what instances have written.
    pub fn set_writable(&self, directory: PathBuf) {
        self.state().writable = Some(directory);
    }

    pub(super) fn machine(&self) -> Option<Machine> {
        self.state().machine
    }

    pub(super) fn disk(&self) -> Option<DiskSpace> {
        self.state().disk
    }

    pub(super) fn memory(&self, id: &InstanceId) -> Option<u64> {
        self.state().memory.get(id).copied()
    }

    pub(super) fn writable(&self, id: &InstanceId) -> Option<PathBuf> {
        self.state().writable.as_ref().map(|directory| directory.join(id.as_str()))
    }
}
