//! What an app's task sets going: starting, checking, draining and stopping instances. Each tells
//! the task how it went.

use super::app_task::{AppTask, Event, Message, Tracked};
use super::health::answers;
use crate::Platform;
use crate::platform::now_ms;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use windlass_core::driver::{Driver, DriverError};
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::instance::InstanceSpec;
use windlass_core::limits;
use windlass_core::plan::{Live, Phase, Slot};

impl AppTask {
    pub(super) fn start(&mut self, slot: &Slot, version: u32, generation: u64) {
        let Some(release) = self.release_of(version) else { return };
        let Some(image) = release.image.clone() else { return };
        let spec = self.platform.formation_spec(&self.app, &release, &image, slot, generation);
        let command = release.processes.get(&slot.process).cloned().unwrap_or_default();
        self.log(slot, &format!("Starting process with command `{command}`"));
        let live = Live {
            id: spec.id.clone(),
            slot: slot.clone(),
            release: version,
            generation,
            phase: Phase::Starting,
        };
        let now = now_ms();
        self.platform.app_tasks().owners().insert(spec.id.clone(), self.app.id);
        self.instances.insert(
            spec.id.clone(),
            Tracked { live, address: None, command, started_at_ms: now, changed_at_ms: now },
        );
        let settle_time = self
            .candidate
            .as_ref()
            .filter(|c| c.release.version == version)
            .map(|_| limits::SETTLE_TIME);
        let boot_timeout = self.platform.settings().boot_timeout;
        let driver = self.platform.driver().clone();
        let host = self.platform.default_hostname(&self.app);
        let sender = self.sender.clone();
        tokio::spawn(start_and_check(driver, spec, host, sender, boot_timeout, settle_time));
    }

    /// Checks an instance that was found running: it is up once it answers.
    pub(super) fn check_again(&self, id: InstanceId, address: Option<SocketAddr>) {
        let (sender, boot_timeout) = (self.sender.clone(), self.platform.settings().boot_timeout);
        let host = self.platform.default_hostname(&self.app);
        tokio::spawn(async move { check(&id, &host, address, &sender, boot_timeout, None).await });
    }

    pub(super) fn retire(&mut self, id: InstanceId) {
        let Some(tracked) = self.instances.get(&id) else { return };
        self.log(&tracked.live.slot, "Stopping all processes with SIGTERM");
        let (platform, sender) = (self.platform.clone(), self.sender.clone());
        let (app, slot) = (self.app.id, tracked.live.slot.clone());
        tokio::spawn(async move {
            platform.drain_and_stop(app, &slot, &id).await;
            let _ = sender.send(Message::Instance(id, Event::Retired));
        });
    }
}

async fn start_and_check(
    driver: Arc<dyn Driver>,
    spec: InstanceSpec,
    host: String,
    sender: mpsc::UnboundedSender<Message>,
    boot_timeout: Duration,
    settle_time: Option<Duration>,
) {
    let id = spec.id.clone();
    let tell = |event| {
        let _ = sender.send(Message::Instance(id.clone(), event));
    };
    match driver.start(spec).await {
        Err(error) => tell(Event::StartFailed(error.to_string())),
        Ok(observed) => {
            tell(Event::Started { address: observed.address, at_ms: observed.started_at_ms });
            check(&id, &host, observed.address, &sender, boot_timeout, settle_time).await;
        }
    }
}

/// Waits until the instance answers (or, without a port, for the settle time) and tells the task.
async fn check(
    id: &InstanceId,
    host: &str,
    address: Option<SocketAddr>,
    sender: &mpsc::UnboundedSender<Message>,
    boot_timeout: Duration,
    settle_time: Option<Duration>,
) {
    let event = match address {
        Some(address) => match tokio::time::timeout(boot_timeout, answers(address, host)).await {
            Ok(()) => Event::Healthy,
            Err(_) => Event::BootTimedOut,
        },
        None => {
            tokio::time::sleep(settle_time.unwrap_or_default()).await;
            Event::Healthy
        }
    };
    let _ = sender.send(Message::Instance(id.clone(), event));
}

pub(super) async fn forget(driver: &Arc<dyn Driver>, id: &InstanceId) {
    if let Err(error) = driver.forget(id).await {
        tracing::warn!(instance = %id, %error, "an ended instance could not be forgotten");
    }
}

/// Ends what may be left of an instance that is given up, and forgets it.
pub(super) async fn kill_and_forget(driver: &Arc<dyn Driver>, id: &InstanceId) {
    match driver.stop(id, Duration::ZERO).await {
        Ok(_) => forget(driver, id).await,
        // It was never started.
        Err(DriverError::NoSuchInstance(_)) => {}
        Err(error) => {
            tracing::warn!(instance = %id, %error, "an instance that was given up could not be stopped")
        }
    }
}

impl Platform {
    /// Waits until nothing is in flight on an instance that is out of the routes, then stops it.
    async fn drain_and_stop(&self, app: AppId, slot: &Slot, id: &InstanceId) {
        if slot.process.is_web() {
            let open = self.routes().drain(id.clone(), self.settings().drain_timeout).await;
            if open > 0 {
                tracing::warn!(instance = %id, open, "stopped with requests still in flight: the drain limit was reached");
            }
        }
        match self.driver().stop(id, self.settings().stop_grace).await {
            Ok(stopped) => {
                let source = format!("heroku[{slot}]");
                if stopped.killed {
                    let seconds = self.settings().stop_grace.as_secs();
                    self.logs().append(app, &source, &format!("Error R12 (Exit timeout) -> At least one process failed to exit within {seconds} seconds of SIGTERM"));
                    self.logs().append(app, &source, "Stopping remaining processes with SIGKILL");
                }
                self.logs().append(
                    app,
                    &source,
                    &format!("Process exited with status {}", stopped.status.code),
                );
            }
            Err(error) => {
                tracing::error!(instance = %id, %error, "an instance could not be stopped")
            }
        }
        forget(self.driver(), id).await;
    }
}
