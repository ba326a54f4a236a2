//! Holding process types back: what they write to is being changed.

use super::app_task::AppTask;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;
use windlass_core::names::ProcessType;

/// Process types that do not run for now, and who waits for the end of their instances.
#[derive(Default)]
pub(super) struct Held {
    pub processes: BTreeSet<ProcessType>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl AppTask {
    pub(super) fn hold(
        &mut self,
        processes: BTreeSet<ProcessType>,
        ended: Option<oneshot::Sender<()>>,
    ) {
        self.held.processes = processes;
        self.held.waiting.extend(ended);
    }

    /// Notes which process types may have one writer only, those of a new release included.
    pub(super) fn note_single_writers(
        &mut self,
        new: &BTreeMap<ProcessType, String>,
    ) -> crate::Result<()> {
        let current = self.current.iter().flat_map(|release| release.processes.keys());
        let processes = current.chain(self.quantities.keys()).chain(new.keys());
        self.single_writers = self.platform.single_writers(self.app.id, processes)?;
        Ok(())
    }

    /// Tells those who wait once no instance of a held type is left.
    pub(super) fn tell_who_waits_for_held(&mut self) {
        let held = &self.held.processes;
        if !self.instances.values().any(|tracked| held.contains(&tracked.live.slot.process)) {
            for waiting in self.held.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
    }
}
