//! Taking over: a server that starts finds instances running, and goes on with them.

use super::app_task::{AppTask, Tracked};
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::time::Duration;
use tokio::net::TcpStream;
use windlass_core::ids::AppId;
use windlass_core::instance::{InstanceKind, InstanceState, ObservedInstance};
use windlass_core::plan::{Live, Phase, Slot};

/// How long the tasks get to say what they want to start, before the first start: so the order is
/// that of the apps' priorities, not that of the tasks.
const TIME_TO_ASK: Duration = Duration::from_millis(50);

impl Platform {
    /// Starts the task of every app with the instances that the driver still runs, and gives the
    /// router the table before any of them acts, so that a restart of the server takes nothing
    /// out of service.
    pub(crate) async fn take_over_instances(&self) -> Result<()> {
        let observed = self.driver().observe().await?;
        self.catch_up_with_cron(&observed).await?;
        let mut by_app: HashMap<AppId, Vec<ObservedInstance>> = HashMap::new();
        for instance in observed {
            let running = instance.state == InstanceState::Running;
            match instance.spec.labels.kind {
                InstanceKind::Formation if running => {
                    by_app.entry(instance.spec.labels.app).or_default().push(instance);
                }
                InstanceKind::OneOff if running => self.adopt_one_off(&instance),
                _ => self.discard(instance),
            }
        }
        let mut tasks = Vec::new();
        for app in self.store().apps()? {
            let mut task = AppTask::new(self.clone(), app)?;
            for instance in by_app.remove(&task.app_id()).unwrap_or_default() {
                task.adopt(instance).await;
            }
            self.routes().note(task.route(task.wanted().as_ref()));
            tasks.push(task);
        }
        by_app.into_values().flatten().for_each(|orphan| self.discard(orphan));
        self.routes().sync().await.map_err(|error| {
            PlatformError::internal("the router did not take the route table", error)
        })?;
        self.spawn_event_dispatcher();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.app.deploys.settings.priority()));
        tasks.into_iter().for_each(|task| self.spawn_app_task(task));
        let starts = self.app_tasks().boot_starts().clone();
        tokio::spawn(async move {
            tokio::time::sleep(TIME_TO_ASK).await;
            starts.open();
        });
        Ok(())
    }

    /// Stops and forgets what nobody wants any more: builds, ended instances, instances of apps
    /// that are gone.
    fn discard(&self, instance: ObservedInstance) {
        let (driver, id) = (self.driver().clone(), instance.spec.id);
        tokio::spawn(async move {
            if instance.state == InstanceState::Running
                && let Err(error) = driver.stop(&id, Duration::from_secs(5)).await
            {
                tracing::warn!(instance = %id, %error, "a left-over instance could not be stopped");
            }
            super::effects::forget(&driver, &id).await;
        });
    }
}

impl AppTask {
    /// Takes over a running instance. It is up if its port answers; otherwise it is checked like a
    /// new one.
    async fn adopt(&mut self, instance: ObservedInstance) {
        let labels = &instance.spec.labels;
        let answers = match instance.address {
            Some(address) => {
                let attempt =
                    tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address));
                matches!(attempt.await, Ok(Ok(_)))
            }
            None => true,
        };
        let id = instance.spec.id.clone();
        let outdated = self.has_outdated_limits(&labels.process, &instance.spec.resources);
        let generation = if outdated { super::events::SUPERSEDED } else { labels.generation };
        let live = Live {
            id: id.clone(),
            slot: Slot { process: labels.process.clone(), index: labels.index },
            release: labels.release.unwrap_or(0),
            generation,
            phase: if answers { Phase::Up } else { Phase::Starting },
        };
        let command = self
            .current
            .as_ref()
            .and_then(|release| release.processes.get(&labels.process).cloned());
        self.platform.app_tasks().owners().insert(id.clone(), self.app.id);
        self.instances.insert(
            id.clone(),
            Tracked {
                live: live.clone(),
                address: instance.address,
                private_address: instance.private_address,
                command: command.unwrap_or_default(),
                started_at_ms: instance.started_at_ms,
                changed_at_ms: instance.started_at_ms,
                failing: std::collections::BTreeSet::new(),
                monitors: tokio::task::JoinSet::new(),
            },
        );
        if answers {
            self.monitor(&id);
        } else {
            self.check_again(id, &live, instance.address);
        }
    }
}

impl Platform {
    /// Starts the task of an app that has just been made.
    pub(crate) fn start_task_of_new_app(&self, app: &crate::records::App) -> Result<()> {
        self.spawn_app_task(AppTask::new(self.clone(), app.clone())?);
        Ok(())
    }
}
