//! Volumes in memory: sizes without content.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::driver::DriverError;
use windlass_core::ids::{SnapshotId, VolumeId};
use windlass_core::volume::{VolumeUsage, Volumes};

struct SimulatedVolume {
    size_bytes: u64,
    snapshots: BTreeSet<SnapshotId>,
}

/// The volumes of a simulated driver.
#[derive(Default)]
pub struct SimulatedVolumes(Mutex<BTreeMap<VolumeId, SimulatedVolume>>);

impl SimulatedVolumes {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<VolumeId, SimulatedVolume>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.locked().len()
    }

    fn with<T>(
        &self,
        volume: VolumeId,
        act: impl FnOnce(&mut SimulatedVolume) -> T,
    ) -> Result<T, DriverError> {
        let mut volumes = self.locked();
        let found = volumes.get_mut(&volume);
        found.map(act).ok_or_else(|| DriverError::Other(format!("no volume {volume}")))
    }
}

#[async_trait]
impl Volumes for SimulatedVolumes {
    async fn create(&self, volume: VolumeId, size_bytes: u64) -> Result<(), DriverError> {
        let new = SimulatedVolume { size_bytes, snapshots: BTreeSet::new() };
        self.locked().insert(volume, new);
        Ok(())
    }

    async fn grow(&self, volume: VolumeId, size_bytes: u64) -> Result<(), DriverError> {
        self.with(volume, |volume| volume.size_bytes = size_bytes)
    }

    async fn usage(&self, volume: VolumeId) -> Result<VolumeUsage, DriverError> {
        self.with(volume, |_| VolumeUsage { used_bytes: 0, mounted: true })
    }

    async fn destroy(&self, volume: VolumeId) -> Result<(), DriverError> {
        self.locked().remove(&volume);
        Ok(())
    }

    async fn snapshot(&self, volume: VolumeId, snapshot: SnapshotId) -> Result<u64, DriverError> {
        self.with(volume, |volume| volume.snapshots.insert(snapshot)).map(|_| 0)
    }

    async fn empty_snapshot(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
        _size_bytes: u64,
    ) -> Result<(), DriverError> {
        self.snapshot(volume, snapshot).await.map(drop)
    }

    async fn restore(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
        _size_bytes: u64,
    ) -> Result<(), DriverError> {
        match self.with(volume, |volume| volume.snapshots.contains(&snapshot))? {
            true => Ok(()),
            false => Err(DriverError::Other(format!("no snapshot {snapshot}"))),
        }
    }

    async fn retain_snapshots(
        &self,
        volume: VolumeId,
        known: &[SnapshotId],
    ) -> Result<(), DriverError> {
        self.with(volume, |volume| volume.snapshots.retain(|id| known.contains(id)))
    }

    async fn remove_snapshot(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
    ) -> Result<(), DriverError> {
        self.with(volume, |volume| volume.snapshots.remove(&snapshot)).map(drop)
    }
}
