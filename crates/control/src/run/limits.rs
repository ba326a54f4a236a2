//! Limits, reservations and sizes of process types: which hold, and others in their place.

use super::app_task::AppTask;
use super::events::SUPERSEDED;
use super::operations::{Quantity, unknown_process};
use super::views::FormationView;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::admission::Refusal;
use windlass_core::instance::Resources;
use windlass_core::names::ProcessType;
use windlass_core::plan::Slot;
use windlass_core::process_limits::{InForce, LimitError, ProcessLimits, ProcessSize};

/// Limits of an app's process types.
pub(crate) type LimitsByType = BTreeMap<ProcessType, ProcessLimits>;

/// A process type with the limits that hold for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsView {
    pub process: ProcessType,
    pub limits: InForce,
}

/// What somebody wants of a process type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormationChange {
    pub process: ProcessType,
    pub quantity: Option<Quantity>,
    /// The name of a size.
    pub size: Option<String>,
}

impl From<LimitError> for PlatformError {
    fn from(error: LimitError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<Refusal> for PlatformError {
    fn from(error: Refusal) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Platform {
    pub(crate) fn limits_in(&self, limits: &LimitsByType, process: &ProcessType) -> InForce {
        let nothing = ProcessLimits::default();
        InForce::of(limits.get(process).unwrap_or(&nothing), &self.settings().instance.limits())
    }

    pub(crate) fn limits_of(&self, app: &App, process: &ProcessType) -> InForce {
        self.limits_in(&app.deploys.limits, process)
    }

    /// Returns the limits of one-offs of a size; without one those of the type `run`.
    pub(crate) fn one_off_limits(&self, app: &App, size: Option<&str>) -> Result<InForce> {
        let process: ProcessType = "run".parse()?;
        let Some(size) = size else { return Ok(self.limits_of(app, &process)) };
        let mut limits = ProcessLimits::default();
        limits.set("size", Some(size))?;
        Ok(InForce::of(&limits, &self.settings().instance.limits()))
    }

    /// Returns the limits of every process type of the app's formation, and of those others for
    /// which some were set.
    pub fn limits(&self, app: &App) -> Result<Vec<LimitsView>> {
        let limits = self.deploys(app)?.limits;
        let formation = self.formation(app)?;
        let mut processes: Vec<ProcessType> =
            formation.into_iter().map(|view| view.process).collect();
        let others: Vec<_> =
            limits.keys().filter(|process| !processes.contains(process)).cloned().collect();
        processes.extend(others);
        let view = |process| LimitsView { limits: self.limits_in(&limits, &process), process };
        Ok(processes.into_iter().map(view).collect())
    }

    /// Changes limits of a process type, each by its name and as text; `None` goes back to the
    /// default. Instances with other hard limits than before are replaced as by a restart.
    ///
    /// # Errors
    /// `Invalid` for what is no limit, and for reservations that the machine cannot hold.
    pub async fn set_limits(
        &self,
        user: &User,
        app: &App,
        process: &ProcessType,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<LimitsView>> {
        self.check_has_limits(app, process)?;
        let mut limits = self.deploys(app)?.limits;
        let own = limits.entry(process.clone()).or_default();
        for (name, text) in changes {
            own.set(name, text.as_deref())?;
        }
        self.put_limits(user, app, limits, process.as_str()).await?;
        self.limits(app)
    }

    /// Goes back to the defaults of a process type, its size included.
    pub async fn unset_limits(
        &self,
        user: &User,
        app: &App,
        process: &ProcessType,
    ) -> Result<Vec<LimitsView>> {
        self.check_has_limits(app, process)?;
        let mut limits = self.deploys(app)?.limits;
        limits.remove(process);
        self.put_limits(user, app, limits, process.as_str()).await?;
        self.limits(app)
    }

    /// One-offs and release commands have limits too, without being in the formation.
    fn check_has_limits(&self, app: &App, process: &ProcessType) -> Result<()> {
        let known: BTreeMap<ProcessType, u32> =
            self.formation(app)?.into_iter().map(|view| (view.process, view.quantity)).collect();
        if known.contains_key(process) || process.as_str() == "run" || process.is_release() {
            return Ok(());
        }
        Err(unknown_process(process, &known))
    }

    async fn put_limits(
        &self,
        user: &User,
        app: &App,
        mut limits: LimitsByType,
        what: &str,
    ) -> Result<()> {
        limits.retain(|_, own| *own != ProcessLimits::default());
        for process in limits.keys() {
            self.limits_in(&limits, process).check()?;
        }
        self.admit_formation(app, &BTreeMap::new(), &limits).await?;
        self.change_deploys(app, |deploys| deploys.limits = limits).await?;
        self.log_change(app, user, &format!("Update limits of {what}"));
        Ok(())
    }

    /// Changes quantities and sizes together, or nothing.
    pub async fn change_formation(
        &self,
        user: &User,
        app: &App,
        changes: Vec<FormationChange>,
    ) -> Result<Vec<FormationView>> {
        let (mut limits, mut sized) = (self.deploys(app)?.limits, Vec::new());
        let mut updates = Vec::new();
        for change in changes {
            if let Some(size) = &change.size {
                self.check_has_limits(app, &change.process)?;
                let size = ProcessSize::named(size)?;
                limits.entry(change.process.clone()).or_default().size = Some(size.name.to_owned());
                sized.push(change.process.to_string());
            }
            updates.extend(change.quantity.map(|quantity| (change.process, quantity)));
        }
        let quantities = self.scaled(app, updates)?;
        self.admit_formation(app, &quantities, &limits).await?;
        if !sized.is_empty() {
            self.put_limits(user, app, limits, &sized.join(", ")).await?;
        }
        if !quantities.is_empty() {
            self.put_quantities(user, app, &quantities).await?;
        }
        self.formation(app)
    }
}

impl AppTask {
    /// Marks instances that were started with other hard limits than hold now as older than what is
    /// wanted, and starts crashed ones at once: limits are how some of them are mended.
    pub(super) fn follow_limits(&mut self, before: &LimitsByType) {
        let now = &self.app.deploys.limits;
        if before == now {
            return;
        }
        let resources = |limits: &LimitsByType, process: &ProcessType| -> Resources {
            self.platform.limits_in(limits, process).resources()
        };
        let all = before.keys().chain(now.keys());
        let changed: BTreeSet<ProcessType> = all
            .filter(|process| resources(before, process) != resources(now, process))
            .cloned()
            .collect();
        let is_changed = |slot: &Slot| changed.contains(&slot.process);
        self.crashes.retain(|slot, _| !is_changed(slot));
        for tracked in self.instances.values_mut().filter(|t| is_changed(&t.live.slot)) {
            tracked.live.generation = SUPERSEDED;
        }
    }

    /// Whether an instance that was found running must be replaced since its limits were changed
    /// while the server was away. Other defaults of the server are no reason to restart an app.
    pub(super) fn has_outdated_limits(&self, process: &ProcessType, resources: &Resources) -> bool {
        self.app.deploys.limits.contains_key(process)
            && self.platform.limits_of(&self.app, process).resources() != *resources
    }
}
