//! Going back to a snapshot: the writers are stopped, the content is swapped, and they start again.

use crate::records::{App, User, Volume, VolumeSnapshot};
use crate::run::Message;
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeSet;
use windlass_core::ids::{AppId, SnapshotId};
use windlass_core::names::ProcessType;

/// Process types that do not run for as long as this is held. A server that starts anew knows
/// nothing of it: then they run again.
pub(super) struct HeldWriters {
    platform: Platform,
    app: AppId,
}

impl Drop for HeldWriters {
    fn drop(&mut self) {
        self.platform.app_tasks().send(self.app, Message::Hold(BTreeSet::new(), None));
    }
}

impl Platform {
    /// Stops the instances that have a volume mounted; they start again when what is returned is
    /// dropped. The app's release turn should be held, so that no deploy starts others.
    pub(super) async fn hold_writers(&self, app: &App, volume: &Volume) -> Result<HeldWriters> {
        let held = HeldWriters { platform: self.clone(), app: app.id };
        let formation = self.store().formation(app.id)?.into_iter().map(|entry| entry.process);
        let writers: BTreeSet<ProcessType> =
            formation.filter(|process| volume.is_mounted_in(process)).collect();
        self.ask(app.id, |reply| Message::Hold(writers, Some(reply))).await?;
        self.stop_one_offs(app.id).await;
        Ok(held)
    }

    /// Puts a snapshot in place of what the volume holds now.
    pub async fn restore_volume(
        &self,
        user: &User,
        app: &App,
        volume: &Volume,
        snapshot: &VolumeSnapshot,
    ) -> Result<()> {
        let from = format!("s{}", snapshot.number);
        self.put_in_place(user, app, volume, snapshot.id, &from).await
    }

    pub(super) async fn put_in_place(
        &self,
        user: &User,
        app: &App,
        volume: &Volume,
        snapshot: SnapshotId,
        from: &str,
    ) -> Result<()> {
        let Some(size) = volume.size else {
            return Err(PlatformError::Invalid("A folder of the host has no snapshots.".into()));
        };
        let _turn = self.release_turn(app).await;
        self.log_volume_change(app, user, &format!("Restore volume {} from {from}", volume.name));
        let _held = self.hold_writers(app, volume).await?;
        let port = self.volume_port()?;
        port.restore(volume.id, snapshot, size).await.map_err(super::refusal)
    }
}
