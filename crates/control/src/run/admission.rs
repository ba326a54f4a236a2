//! What the machine has, and what all apps have reserved of it.

use super::limits::LimitsByType;
use crate::records::App;
use crate::{Platform, PlatformError, Result};
use std::collections::{BTreeMap, HashMap};
use windlass_core::admission::{self, Change, Reservation, Taken};
use windlass_core::ids::AppId;
use windlass_core::instance::{InstanceKind, InstanceState};
use windlass_core::names::ProcessType;
use windlass_core::volume::Size;

impl Platform {
    /// Refuses quantities and limits that the machine cannot hold beside what is there already.
    /// Quantities that are not named stay as they are.
    pub(super) async fn admit_formation(
        &self,
        app: &App,
        quantities: &BTreeMap<ProcessType, u32>,
        limits: &LimitsByType,
    ) -> Result<()> {
        let Some(machine) = self.driver().machine() else { return Ok(()) };
        let before = self.quantities(app.id)?;
        let limits_before = self.deploys(app)?.limits;
        let mut after = before.clone();
        after.extend(quantities.iter().map(|(process, n)| (process.clone(), *n)));
        let changes: Vec<Change> = after
            .into_iter()
            .filter(|(process, _)| !process.is_release())
            .map(|(process, quantity)| Change {
                quantity_before: before.get(&process).copied().unwrap_or(0),
                quantity,
                each_before: Reservation::of(&self.limits_in(&limits_before, &process)),
                each: Reservation::of(&self.limits_in(limits, &process)),
                process,
            })
            .filter(|change| {
                change.quantity > change.quantity_before || change.each != change.each_before
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        Ok(admission::admit(&machine, &self.taken().await?, &changes)?)
    }

    /// Refuses a release whose new process types the machine cannot hold.
    pub(crate) async fn admit_release(
        &self,
        app: &App,
        formation: &BTreeMap<ProcessType, u32>,
    ) -> Result<()> {
        let limits = self.deploys(app)?.limits;
        self.admit_formation(app, formation, &limits).await
    }

    fn quantities(&self, app: AppId) -> Result<BTreeMap<ProcessType, u32>> {
        let formation = self.store().formation(app)?;
        Ok(formation.into_iter().map(|entry| (entry.process, entry.quantity)).collect())
    }

    /// Adds up what the formations of all apps have reserved, those of stopped apps included: they
    /// may be started at any time.
    async fn taken(&self) -> Result<Taken> {
        let mut taken = Taken::default();
        let mut reserving: HashMap<(AppId, ProcessType), u64> = HashMap::new();
        for app in self.store().apps()? {
            if app.deploys.limits.is_empty() {
                continue;
            }
            for (process, quantity) in self.quantities(app.id)? {
                let each = Reservation::of(&self.limits_of(&app, &process));
                taken.reserved.add(each, quantity);
                if each.memory_bytes > 0 {
                    reserving.insert((app.id, process), each.memory_bytes);
                }
            }
        }
        taken.unused_bytes =
            taken.reserved.memory_bytes.saturating_sub(self.used_of(&reserving).await?);
        Ok(taken)
    }

    /// Returns how much of their reservations the instances use.
    async fn used_of(&self, reserving: &HashMap<(AppId, ProcessType), u64>) -> Result<u64> {
        if reserving.is_empty() {
            return Ok(0);
        }
        let observed = self.driver().observe().await?;
        let used = observed.iter().filter_map(|instance| {
            let labels = &instance.spec.labels;
            let runs = instance.state == InstanceState::Running;
            let reserved = reserving.get(&(labels.app, labels.process.clone()))?;
            let used = self.driver().memory_used(&instance.spec.id)?;
            (runs && labels.kind == InstanceKind::Formation).then(|| used.min(*reserved))
        });
        Ok(used.sum())
    }

    /// Refuses what needs room on the disk while there is less than the reserve.
    pub(crate) fn refuse_if_disk_is_full(&self) -> Result<()> {
        let Some(space) = self.driver().disk_space() else { return Ok(()) };
        let reserve = self.settings().disk_reserve_bytes;
        if space.free_bytes >= reserve {
            return Ok(());
        }
        Err(PlatformError::Conflict(format!(
            "The server's disk is nearly full: {} of {} are free, less than its reserve of {} (disk_reserve). Make room and try again.",
            Size(space.free_bytes),
            Size(space.total_bytes),
            Size(reserve)
        )))
    }
}
