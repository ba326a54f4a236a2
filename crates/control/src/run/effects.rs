//! What an app's task sets going: starting, checking, draining and stopping instances. Each tells
//! the task how it went.

use super::app_task::{AppTask, Event, Message, Tracked};
use super::checks::StartupChecks;
use super::probe::Checked;
use crate::Platform;
use crate::platform::now_ms;
use crate::records::Release;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use windlass_core::driver::{Driver, DriverError};
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::instance::InstanceSpec;
use windlass_core::limits;
use windlass_core::names::ProcessType;
use windlass_core::plan::{Live, Phase, Slot};

impl AppTask {
    pub(super) fn start(&mut self, slot: &Slot, version: u32, generation: u64) {
        let Some(release) = self.release_of(version) else { return };
        let Some(image) = release.image_of(&slot.process).cloned() else { return };
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
            Tracked {
                live,
                address: None,
                private_address: None,
                command,
                started_at_ms: now,
                changed_at_ms: now,
                failing: BTreeSet::new(),
                monitors: JoinSet::new(),
            },
        );
        let settle_time = self
            .candidate
            .as_ref()
            .filter(|c| c.release.version == version)
            .map(|_| limits::SETTLE_TIME);
        let startup = self.startup_checks(&release, &slot.process, settle_time);
        let starting = self.starting();
        let platform = self.platform.clone();
        let turn = self.is_beginning.then(|| {
            self.platform.app_tasks().boot_starts().ask(self.app.deploys.settings.priority())
        });
        tokio::spawn(async move {
            let turn = match turn {
                Some(turn) => turn.await.ok(),
                None => None,
            };
            // Given up while it waited.
            if turn.is_some() && !platform.app_tasks().owners().contains_key(&spec.id) {
                return;
            }
            starting.start_and_check(spec, startup).await;
            drop(turn);
        });
    }

    fn starting(&self) -> Starting {
        Starting {
            driver: self.platform.driver().clone(),
            host: self.platform.default_hostname(&self.app),
            sender: self.sender.clone(),
        }
    }

    fn startup_checks(
        &self,
        release: &Release,
        process: &ProcessType,
        settle_time: Option<Duration>,
    ) -> StartupChecks {
        StartupChecks {
            checks: self.checks_of(release, process),
            boot_timeout: self.platform.settings().boot_timeout,
            settle_time,
        }
    }

    /// Checks an instance that was found running: it is up once it answers.
    pub(super) fn check_again(&self, id: InstanceId, live: &Live, address: Option<SocketAddr>) {
        let Some(release) = self.release_of(live.release) else { return };
        let startup = self.startup_checks(&release, &live.slot.process, None);
        let starting = self.starting();
        tokio::spawn(async move { starting.check(id, address, startup).await });
    }

    /// The app's own limits, else the server's.
    fn waits(&self) -> Waits {
        let (own, server) = (&self.app.deploys.settings, self.platform.settings());
        Waits { drain: own.drain(server.drain_timeout), grace: own.grace(server.stop_grace) }
    }

    pub(super) fn retire(&mut self, id: InstanceId) {
        let Some(tracked) = self.instances.get(&id) else { return };
        self.log(&tracked.live.slot, "Stopping all processes with SIGTERM");
        let (platform, sender) = (self.platform.clone(), self.sender.clone());
        let (app, slot) = (self.app.id, tracked.live.slot.clone());
        let waits = self.waits();
        tokio::spawn(async move {
            platform.drain_and_stop(app, &slot, &id, waits).await;
            let _ = sender.send(Message::Instance(id, Event::Retired));
        });
    }
}

/// How long an instance that is being retired is waited for.
#[derive(Clone, Copy)]
struct Waits {
    /// Until its requests in flight have ended.
    drain: Duration,
    /// From SIGTERM to SIGKILL.
    grace: Duration,
}

/// What starting an instance needs beside its description.
struct Starting {
    driver: Arc<dyn Driver>,
    host: String,
    sender: mpsc::UnboundedSender<Message>,
}

impl Starting {
    fn tell(&self, id: &InstanceId, event: Event) {
        let _ = self.sender.send(Message::Instance(id.clone(), event));
    }

    async fn start_and_check(self, spec: InstanceSpec, startup: StartupChecks) {
        let id = spec.id.clone();
        match self.driver.start(spec).await {
            Err(error) => self.tell(&id, Event::StartFailed(error.to_string())),
            Ok(observed) => {
                let (address, private_address) = (observed.address, observed.private_address);
                let at_ms = observed.started_at_ms;
                self.tell(&id, Event::Started { address, private_address, at_ms });
                self.check(id, observed.address, startup).await;
            }
        }
    }

    /// Waits until the instance is up and tells the task.
    async fn check(self, id: InstanceId, address: Option<SocketAddr>, startup: StartupChecks) {
        let checked = Checked {
            driver: self.driver.clone(),
            id: id.clone(),
            host: self.host.clone(),
            address,
            started: Instant::now(),
        };
        let warn = |message: &str| self.tell(&id, Event::Warning(message.to_owned()));
        let event = super::checks::startup(&checked, &startup, warn).await;
        self.tell(&id, event);
    }
}

pub(super) async fn forget(driver: &Arc<dyn Driver>, id: &InstanceId) {
    if let Err(error) = driver.forget(id).await {
        tracing::warn!(instance = %id, %error, "an ended instance could not be forgotten");
    }
}

/// Ends what may be left of an instance that is given up, and forgets it.
pub(crate) async fn kill_and_forget(driver: &Arc<dyn Driver>, id: &InstanceId) {
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
    async fn drain_and_stop(&self, app: AppId, slot: &Slot, id: &InstanceId, waits: Waits) {
        if slot.process.is_web() {
            let open = self.routes().drain(id.clone(), waits.drain).await;
            if open > 0 {
                tracing::warn!(instance = %id, open, "stopped with requests still in flight: the drain limit was reached");
            }
        }
        match self.driver().stop(id, waits.grace).await {
            Ok(stopped) => {
                let source = format!("heroku[{slot}]");
                if stopped.killed {
                    let seconds = waits.grace.as_secs();
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
