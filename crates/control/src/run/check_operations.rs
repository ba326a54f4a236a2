//! What people ask of checks: which there are, others in their place, and one attempt now.

use super::app_task::{AppTask, Message};
use super::probe::{Checked, Outcome};
use crate::platform::now_ms;
use crate::records::{App, Release, User};
use crate::{Platform, PlatformError, Result};
use std::time::{Duration, Instant};
use windlass_core::checks::{Check, CheckSettings, MOST_CHECKS};
use windlass_core::names::ProcessType;
use windlass_core::plan::Phase;

/// A check of an app, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    pub process: ProcessType,
    pub check: Check,
    /// `app`, `release`, `image` or `default`.
    pub source: &'static str,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
    /// `web.1`
    pub instance: String,
    pub check: Check,
    /// `None` if it passed.
    pub problem: Option<String>,
}

/// An instance that is up, with its checks.
pub(crate) struct CheckTarget {
    name: String,
    checked: Checked,
    checks: Vec<Check>,
}

impl AppTask {
    pub(super) fn check_targets(&self) -> Vec<CheckTarget> {
        let up = self.instances.values().filter(|tracked| tracked.live.phase == Phase::Up);
        let targets = up.filter_map(|tracked| {
            let release = self.release_of(tracked.live.release)?;
            let mut checks = self.checks_of(&release, &tracked.live.slot.process);
            if checks.is_empty() && tracked.live.slot.process.is_web() {
                checks.push(default_check());
            }
            let age = Duration::from_millis(now_ms().saturating_sub(tracked.started_at_ms));
            let checked = Checked {
                driver: self.platform.driver().clone(),
                id: tracked.live.id.clone(),
                host: self.platform.default_hostname(&self.app),
                address: tracked.address,
                started: Instant::now().checked_sub(age).unwrap_or_else(Instant::now),
            };
            Some(CheckTarget { name: tracked.live.slot.to_string(), checked, checks })
        });
        targets.collect()
    }
}

/// What web processes without a check of their own must do: accept a connection and answer.
fn default_check() -> Check {
    let settings = CheckSettings {
        name: Some("answers GET / with any status".to_owned()),
        listening: true,
        ..CheckSettings::default()
    };
    // A table of constants that are in range.
    settings.check().unwrap_or_else(|_| unreachable!("the default check is in range"))
}

impl Platform {
    /// Returns the checks of every process type of the current release.
    pub fn checks(&self, app: &App) -> Result<Vec<CheckReport>> {
        let own = self.deploys(app)?.checks;
        let release = self.current_release(app)?;
        let mut reports = Vec::new();
        for process in release.processes.keys().filter(|process| !process.is_release()) {
            let (source, checks) = match own.get(process) {
                Some(checks) => ("app", checks.clone()),
                None => self.checks_of_release(&release, process),
            };
            let (source, checks) = match checks.is_empty() && process.is_web() {
                true => ("default", vec![default_check()]),
                false => (source, checks),
            };
            let report = |check| CheckReport { process: process.clone(), check, source };
            reports.extend(checks.into_iter().map(report));
        }
        Ok(reports)
    }

    /// Those of app.json, else that of the image.
    pub(super) fn checks_of_release(
        &self,
        release: &Release,
        process: &ProcessType,
    ) -> (&'static str, Vec<Check>) {
        if let Some(checks) = release.manifest.checks.get(process) {
            return ("release", checks.clone());
        }
        let image = release.image_of(process).filter(|_| process.is_web());
        let check = image.and_then(|image| self.container_image(image)?.health_check());
        ("image", check.into_iter().collect())
    }

    /// Puts checks in the place of the release's, or takes them away again. They hold for running
    /// instances at once; startup checks from the next start on.
    pub async fn set_checks(
        &self,
        user: &User,
        app: &App,
        process: ProcessType,
        checks: Option<Vec<Check>>,
        add: bool,
    ) -> Result<()> {
        let before = self.deploys(app)?.checks.remove(&process).filter(|_| add);
        let checks = checks.map(|new| before.into_iter().flatten().chain(new).collect::<Vec<_>>());
        if checks.as_ref().is_some_and(|checks| checks.len() > MOST_CHECKS) {
            return Err(PlatformError::Invalid(format!(
                "A process type can have at most {MOST_CHECKS} checks."
            )));
        }
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Update checks of {process} by user {}", user.email),
        );
        self.store().update_deploys(app.id, now_ms(), |deploys| match checks {
            Some(checks) => drop(deploys.checks.insert(process, checks)),
            None => drop(deploys.checks.remove(&process)),
        })?;
        self.refresh(app).await
    }

    /// Makes one attempt of every check at every instance that is up, all side by side.
    pub async fn run_checks(&self, app: &App) -> Result<Vec<CheckRun>> {
        let targets = self.ask(app.id, Message::CheckTargets).await?;
        let attempts = targets.iter().flat_map(|target| {
            target.checks.iter().map(move |check| async move {
                let problem = match target.checked.attempt(check).await {
                    Outcome::Passed => None,
                    Outcome::Silent(problem) | Outcome::Failed(problem) => Some(problem),
                };
                CheckRun { instance: target.name.clone(), check: check.clone(), problem }
            })
        });
        let mut runs = futures_util::future::join_all(attempts).await;
        runs.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(runs)
    }
}
