//! What people ask of formations and instances.

use super::app_task::Message;
use super::views::{FormationView, InstanceView};
use crate::platform::now_ms;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::limits;
use windlass_core::names::ProcessType;
use windlass_core::plan::Slot;

/// A number of instances, or a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Absolute(u32),
    Relative(i64),
}

/// Which instances of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    Type(ProcessType),
    /// By name: `web.1`.
    Instance(String),
}

impl Selection {
    pub(crate) fn includes(&self, slot: &Slot) -> bool {
        match self {
            Self::All => true,
            Self::Type(process) => slot.process == *process,
            Self::Instance(name) => slot.to_string() == *name,
        }
    }
}

impl Platform {
    /// Returns the formation of the current release, `web` first.
    pub fn formation(&self, app: &App) -> Result<Vec<FormationView>> {
        let app = self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })?;
        let processes = match self.store().release(app.id, app.current_release)? {
            Some(release) => release.processes,
            None => BTreeMap::new(),
        };
        let mut formation: Vec<FormationView> = self
            .store()
            .formation(app.id)?
            .into_iter()
            .map(|entry| FormationView {
                id: entry.id,
                command: processes.get(&entry.process).cloned().unwrap_or_default(),
                size: self.limits_of(&app, &entry.process).size.0.name,
                process: entry.process,
                quantity: entry.quantity,
                updated_at: entry.updated_at,
            })
            .collect();
        formation.sort_by_key(|view| (!view.process.is_web(), view.process.clone()));
        Ok(formation)
    }

    /// Changes quantities; returns once the reconciler has taken them up.
    pub async fn scale(
        &self,
        user: &User,
        app: &App,
        updates: Vec<(ProcessType, Quantity)>,
    ) -> Result<Vec<FormationView>> {
        let quantities = self.scaled(app, updates)?;
        let limits = self.deploys(app)?.limits;
        self.admit_formation(app, &quantities, &limits).await?;
        self.put_quantities(user, app, &quantities).await?;
        self.formation(app)
    }

    /// Returns the quantities that the updates come to.
    pub(super) fn scaled(
        &self,
        app: &App,
        updates: Vec<(ProcessType, Quantity)>,
    ) -> Result<BTreeMap<ProcessType, u32>> {
        let before: BTreeMap<ProcessType, u32> =
            self.formation(app)?.into_iter().map(|view| (view.process, view.quantity)).collect();
        let mut quantities = BTreeMap::new();
        for (process, quantity) in updates {
            let Some(old) = quantities.get(&process).or(before.get(&process)) else {
                return Err(unknown_process(&process, &before));
            };
            let new = match quantity {
                Quantity::Absolute(n) => i64::from(n),
                Quantity::Relative(change) => i64::from(*old) + change,
            };
            let new = u32::try_from(new.max(0)).unwrap_or(u32::MAX);
            if new > limits::INSTANCES_PER_PROCESS {
                let limit = limits::INSTANCES_PER_PROCESS;
                return Err(PlatformError::Invalid(format!(
                    "Cannot scale {process} to {new}: at most {limit} a process type."
                )));
            }
            if process.is_release() && new > 0 {
                return Err(PlatformError::Invalid(
                    "The release process runs once a release and cannot be scaled.".into(),
                ));
            }
            self.check_single_writer(app, &process, new)?;
            quantities.insert(process, new);
        }
        Ok(quantities)
    }

    pub(super) async fn put_quantities(
        &self,
        user: &User,
        app: &App,
        quantities: &BTreeMap<ProcessType, u32>,
    ) -> Result<()> {
        self.store().scale(app.id, quantities, now_ms())?;
        let limits = self.deploys(app)?.limits;
        let size = |process| self.limits_in(&limits, process).size.0.name;
        let list: Vec<String> = quantities
            .iter()
            .map(|(process, n)| format!("{process}@{n}:{}", size(process)))
            .collect();
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Scaled to {} by user {}", list.join(" "), user.email),
        );
        self.refresh(app).await
    }

    /// Returns the instances of the current release and the one-offs, by name.
    pub async fn instances(&self, app: &App) -> Result<Vec<InstanceView>> {
        let mut views = self.ask(app.id, Message::View).await?;
        views.extend(self.one_off_views(app.id));
        views.sort_by_key(|view| {
            (!view.process.is_web(), view.process.clone(), index_of(&view.name))
        });
        Ok(views)
    }

    /// Replaces instances; each old one serves until its replacement does.
    pub async fn restart(&self, user: &User, app: &App, which: Selection) -> Result<()> {
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Restarting {} by user {}", describe(&which), user.email),
        );
        if which == Selection::All {
            self.store().raise_restart_generation(app.id)?;
            self.ask(app.id, |reply| Message::Restart(Selection::All, reply)).await?;
            return self.refresh(app).await;
        }
        let found = self.ask(app.id, |reply| Message::Restart(which.clone(), reply)).await?;
        if found == 0 && !self.has_slot(app, &which)? {
            return Err(PlatformError::NotFound { resource: "dyno" });
        }
        Ok(())
    }

    /// Stops instances. Those of the formation come back, one-offs do not.
    pub async fn stop_instance(&self, user: &User, app: &App, which: Selection) -> Result<()> {
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Stopping {} by user {}", describe(&which), user.email),
        );
        if let Selection::Instance(name) = &which
            && self.stop_one_off(app.id, name).await?
        {
            return Ok(());
        }
        let found = self.ask(app.id, |reply| Message::Stop(which.clone(), reply)).await?;
        if found == 0 && !self.has_slot(app, &which)? {
            return Err(PlatformError::NotFound { resource: "dyno" });
        }
        Ok(())
    }

    /// Whether the formation has a slot of the selection, crashed or not.
    fn has_slot(&self, app: &App, which: &Selection) -> Result<bool> {
        Ok(self.formation(app)?.iter().any(|entry| {
            (1..=entry.quantity)
                .any(|index| which.includes(&Slot { process: entry.process.clone(), index }))
        }))
    }

    /// Makes the app's task read its record, formation and domains again.
    pub(crate) async fn refresh(&self, app: &App) -> Result<()> {
        self.ask(app.id, Message::Refresh).await?
    }
}

fn describe(which: &Selection) -> String {
    match which {
        Selection::All => "all instances".to_owned(),
        Selection::Type(process) => format!("{process} instances"),
        Selection::Instance(name) => name.clone(),
    }
}

pub(super) fn unknown_process(
    process: &ProcessType,
    known: &BTreeMap<ProcessType, u32>,
) -> PlatformError {
    let known: Vec<&str> = known.keys().map(ProcessType::as_str).collect();
    let hint = match known[..] {
        [] => "Deploy the app first.".to_owned(),
        _ => format!("The app has: {}.", known.join(", ")),
    };
    PlatformError::Missing {
        resource: "formation",
        message: format!("Couldn't find that process type ({process}). {hint}"),
    }
}

fn index_of(name: &str) -> u32 {
    name.rsplit_once('.').and_then(|(_, index)| index.parse().ok()).unwrap_or(0)
}
