//! What happens to an app's instances, and what that makes of them.

use super::app_task::{AppTask, Event};
use super::effects::kill_and_forget;
use super::operations::Selection;
use crate::platform::now_ms;
use std::time::Instant;
use windlass_core::ids::InstanceId;
use windlass_core::instance::ExitStatus;
use windlass_core::limits;
use windlass_core::plan::{Crash, Phase};

/// The generation of an instance that somebody asked to restart: older than any other.
pub(super) const SUPERSEDED: u64 = u64::MAX;
/// Heroku's name for an instance that did not open its port in time.
pub(super) const BOOT_TIMEOUT: &str = "Error R10 (Boot timeout)";

impl AppTask {
    pub(super) fn handle_event(&mut self, id: &InstanceId, event: Event) {
        let now = now_ms();
        let Some(tracked) = self.instances.get_mut(id) else { return };
        let starting = tracked.live.phase == Phase::Starting;
        match event {
            Event::Started { address, private_address, at_ms } => {
                tracked.address = address;
                tracked.private_address = private_address;
                // The driver's time: a restarted server gets the same one.
                tracked.started_at_ms = at_ms;
                let release = tracked.live.release;
                if let Some(candidate) =
                    self.candidate.as_mut().filter(|c| c.release.version == release)
                {
                    candidate.last_started = Instant::now();
                }
            }
            Event::Healthy if starting => {
                tracked.live.phase = Phase::Up;
                tracked.changed_at_ms = now;
                let slot = tracked.live.slot.clone();
                // Its crashes still count: an app that dies soon after each start must not be
                // started again without a pause.
                self.log(&slot, "State changed from starting to up");
                self.monitor(id);
            }
            Event::CheckFailed(reason) if starting => self.check_failed(id, reason),
            Event::Readiness { check, problem } => self.readiness_changed(id, check, problem),
            Event::NotAlive(problem) => self.not_alive(id, &problem),
            Event::Warning(message) => {
                let slot = tracked.live.slot.clone();
                self.log(&slot, &message);
            }
            Event::BootTimedOut(instead) if starting => self.boot_timed_out(id, instead),
            Event::Evicted(reason) if tracked.live.phase != Phase::Retiring => {
                self.check_failed(id, reason);
            }
            Event::StartFailed(reason) => {
                self.crashed(id, ExitStatus::of_code(127, Some(reason), now));
            }
            Event::Exited(status) if tracked.live.phase != Phase::Retiring => {
                self.crashed(id, status)
            }
            Event::Retired => {
                self.instances.remove(id);
                self.platform.app_tasks().owners().remove(id);
            }
            Event::Healthy
            | Event::BootTimedOut(_)
            | Event::CheckFailed(_)
            | Event::Evicted(_)
            | Event::Exited(_) => {}
        }
    }

    fn boot_timed_out(&mut self, id: &InstanceId, instead: Option<String>) {
        let seconds = self.platform.settings().boot_timeout.as_secs();
        let mut reason = format!(
            "{BOOT_TIMEOUT} -> Web process failed to bind to $PORT within {seconds} seconds of launch"
        );
        if let Some(instead) = instead {
            reason += &format!("; {instead}");
        }
        self.check_failed(id, reason);
    }

    /// It runs, but not as its checks want it: it is stopped and counts as crashed.
    fn check_failed(&mut self, id: &InstanceId, reason: String) {
        self.crashed(id, ExitStatus::of_code(137, Some(reason), now_ms()));
    }

    /// An instance ended by itself: any exit of a formation's process is a crash.
    fn crashed(&mut self, id: &InstanceId, status: ExitStatus) {
        let Some(tracked) = self.instances.remove(id) else { return };
        self.platform.app_tasks().owners().remove(id);
        let (live, now) = (tracked.live, now_ms());
        let state = if live.phase == Phase::Up { "up" } else { "starting" };
        if status.out_of_memory {
            let limits = self.platform.limits_of(&self.app, &live.slot.process);
            let megabytes = limits.memory_bytes.0 >> 20;
            self.log(&live.slot, &format!("Error R15 (Memory quota vastly exceeded) -> killed at its limit of {megabytes}M"));
        }
        if let Some(reason) = &status.reason {
            self.log(&live.slot, reason);
        }
        if status.was_killed() {
            self.log(&live.slot, "Stopping process with SIGKILL");
        }
        self.log(&live.slot, &format!("Process exited with status {}", status.code));
        self.log(&live.slot, &format!("State changed from {state} to crashed"));
        let stable =
            now.saturating_sub(tracked.started_at_ms) > limits::STABLE_AFTER.as_millis() as u64;
        let before = self.crashes.get(&live.slot).filter(|crash| {
            (crash.release, crash.generation) == (live.release, live.generation) && !stable
        });
        let count = before.map_or(0, |crash| crash.count) + 1;
        let next_attempt_ms = now + limits::restart_delay(count).as_millis() as u64;
        self.crashes.insert(
            live.slot,
            Crash {
                release: live.release,
                generation: live.generation,
                count,
                next_attempt_ms,
                status,
            },
        );
        let (driver, gone) = (self.platform.driver().clone(), id.clone());
        tokio::spawn(async move { kill_and_forget(&driver, &gone).await });
    }

    /// Marks the selected instances as older than what is wanted.
    pub(super) fn supersede(&mut self, selection: &Selection) -> usize {
        self.crashes.retain(|slot, _| !selection.includes(slot));
        let selected = self.instances.values_mut().filter(|t| selection.includes(&t.live.slot));
        selected.map(|tracked| tracked.live.generation = SUPERSEDED).count()
    }

    pub(super) fn stop_selected(&mut self, selection: &Selection) -> usize {
        let selected: Vec<InstanceId> = self
            .instances
            .values()
            .filter(|t| selection.includes(&t.live.slot) && t.live.phase != Phase::Retiring)
            .map(|tracked| tracked.live.id.clone())
            .collect();
        for id in &selected {
            // Of no release at all: the planner retires it at once and fills its slot.
            if let Some(tracked) = self.instances.get_mut(id) {
                tracked.live.release = 0;
            }
        }
        selected.len()
    }
}
