//! Checks over the life of an instance: before it counts as up, and while it is.

use super::app_task::{AppTask, Event, Message};
use super::health::answers;
use super::probe::{Checked, Outcome};
use crate::records::Release;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use windlass_core::boot::listens_instead;
use windlass_core::checks::{Check, CheckKind, Streak, Turn};
use windlass_core::ids::InstanceId;
use windlass_core::names::ProcessType;
use windlass_core::plan::{Phase, Slot};

/// What an instance must do before it counts as up.
pub(super) struct StartupChecks {
    pub checks: Vec<Check>,
    pub boot_timeout: Duration,
    /// Of an instance without a port, in a deploy.
    pub settle_time: Option<Duration>,
}

impl AppTask {
    /// Returns the checks of a process type: those that somebody set for the app, else those of
    /// the release.
    pub(super) fn checks_of(&self, release: &Release, process: &ProcessType) -> Vec<Check> {
        match self.app.deploys.checks.get(process) {
            Some(own) => own.clone(),
            None => self.platform.checks_of_release(release, process).1,
        }
    }

    /// Watches an instance that is up, for as long as it is known.
    pub(super) fn monitor(&mut self, id: &InstanceId) {
        let Some(tracked) = self.instances.get(id) else { return };
        let (live, address) = (tracked.live.clone(), tracked.address);
        let Some(release) = self.release_of(live.release) else { return };
        let checked = Checked {
            driver: self.platform.driver().clone(),
            id: id.clone(),
            host: self.platform.default_hostname(&self.app),
            address,
            started: Instant::now(),
        };
        let mut monitors = JoinSet::new();
        for check in self.checks_of(&release, &live.slot.process) {
            if check.kind != CheckKind::Startup {
                monitors.spawn(watch(checked.clone(), check, self.sender.clone()));
            }
        }
        if let Some(tracked) = self.instances.get_mut(id) {
            tracked.monitors = monitors;
        }
    }

    /// Watches all instances that are up by the checks of now.
    pub(super) fn monitor_all(&mut self) {
        let up = self.instances.values().filter(|tracked| tracked.live.phase == Phase::Up);
        let up: Vec<InstanceId> = up.map(|tracked| tracked.live.id.clone()).collect();
        for id in up {
            if let Some(tracked) = self.instances.get_mut(&id) {
                tracked.failing.clear();
            }
            self.monitor(&id);
        }
    }

    /// A readiness check has failed, or passes again.
    pub(super) fn readiness_changed(
        &mut self,
        id: &InstanceId,
        check: String,
        problem: Option<String>,
    ) {
        let Some(tracked) = self.instances.get_mut(id) else { return };
        let was_ready = tracked.failing.is_empty();
        let message = match problem {
            Some(problem) => {
                let message = format!("Readiness check failed: {check}: {problem}");
                tracked.failing.insert(check);
                message
            }
            None => {
                tracked.failing.remove(&check);
                format!("Readiness check passes again: {check}")
            }
        };
        let (is_ready, slot) = (tracked.failing.is_empty(), tracked.live.slot.clone());
        self.log(&slot, &message);
        match (was_ready, is_ready) {
            (true, false) => self.log(&slot, "It gets no requests until it passes"),
            (false, true) => self.log(&slot, "It gets requests again"),
            _ => {}
        }
    }

    /// A liveness check has failed: another instance takes its place, then it is stopped.
    pub(super) fn not_alive(&mut self, id: &InstanceId, problem: &str) {
        let Some(tracked) = self.instances.get_mut(id) else { return };
        tracked.live.generation = super::events::SUPERSEDED;
        tracked.monitors.abort_all();
        let slot: Slot = tracked.live.slot.clone();
        self.log(&slot, &format!("Liveness check failed: {problem}"));
        self.log(&slot, "Restarting");
    }
}

/// Waits until the instance is up, and returns what to tell the task.
pub(super) async fn startup(
    checked: &Checked,
    startup: &StartupChecks,
    warn: impl Fn(&str),
) -> Event {
    let wanted: Vec<&Check> =
        startup.checks.iter().filter(|check| check.kind != CheckKind::Liveness).collect();
    if !wanted.iter().any(|check| check.kind == CheckKind::Startup) {
        match checked.address {
            Some(address) => {
                let answered = answers(address, &checked.host);
                if tokio::time::timeout(startup.boot_timeout, answered).await.is_err() {
                    let listening = checked.driver.listening(&checked.id);
                    return Event::BootTimedOut(listens_instead(&listening, address.port()));
                }
            }
            None => tokio::time::sleep(startup.settle_time.unwrap_or_default()).await,
        }
    }
    let attempts = wanted.iter().map(|check| until_passed(checked, check, startup.boot_timeout));
    for (check, outcome) in wanted.iter().zip(futures_util::future::join_all(attempts).await) {
        match outcome {
            Ok(()) => {}
            Err(problem) if check.only_warns => {
                warn(&format!("Warning: check failed: {}: {problem}", check.name));
            }
            Err(problem) => {
                let kind = check.kind.as_str();
                return Event::CheckFailed(format!(
                    "The {kind} check failed: {}: {problem}",
                    check.name
                ));
            }
        }
    }
    Event::Healthy
}

/// Tries a check as often as the instance answers. Until it answers at all it has the boot
/// timeout, and then the check's own time.
async fn until_passed(
    checked: &Checked,
    check: &Check,
    boot_timeout: Duration,
) -> Result<(), String> {
    tokio::time::sleep(check.initial_delay()).await;
    let begun = Instant::now();
    let silent_limit = boot_timeout.max(check.startup_limit());
    let mut answered: Option<Instant> = None;
    let mut pause = Duration::from_millis(4);
    loop {
        let problem = match checked.attempt(check).await {
            Outcome::Passed => return Ok(()),
            Outcome::Silent(problem) if begun.elapsed() < silent_limit => problem,
            Outcome::Silent(problem) => return Err(problem),
            Outcome::Failed(problem) => {
                let since = *answered.get_or_insert_with(Instant::now);
                if since.elapsed() + pause >= check.wait() * check.attempts {
                    return Err(problem);
                }
                problem
            }
        };
        tracing::trace!(instance = %checked.id, check = check.name, problem, "not yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_millis(200)).min(check.wait());
    }
}

/// Tries a readiness or liveness check again and again, and tells the task of what it changes.
async fn watch(checked: Checked, check: Check, sender: mpsc::UnboundedSender<Message>) {
    tokio::time::sleep(check.initial_delay()).await;
    let mut streak = Streak::default();
    loop {
        tokio::time::sleep(check.wait()).await;
        let outcome = checked.attempt(&check).await;
        let turn = streak.note(outcome == Outcome::Passed, check.attempts);
        let problem = match outcome {
            Outcome::Passed => String::new(),
            Outcome::Silent(problem) | Outcome::Failed(problem) => problem,
        };
        let event = match (turn, check.kind) {
            (None, _) => continue,
            (Some(Turn::Failed), _) if check.only_warns => {
                Event::Warning(format!("Warning: check failed: {}: {problem}", check.name))
            }
            (Some(Turn::Passed), _) if check.only_warns => continue,
            (Some(Turn::Failed), CheckKind::Liveness) => {
                Event::NotAlive(format!("{}: {problem}", check.name))
            }
            (Some(Turn::Failed), _) => {
                Event::Readiness { check: check.name.clone(), problem: Some(problem) }
            }
            (Some(Turn::Passed), _) => {
                Event::Readiness { check: check.name.clone(), problem: None }
            }
        };
        if sender.send(Message::Instance(checked.id.clone(), event)).is_err() {
            return;
        }
    }
}
