//! The tasks of all apps, and who gets which event.

use super::app_task::{AppTask, Event, Message};
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc, oneshot};
use windlass_core::driver::InstanceEvent;
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::instance::{ExitStatus, InstanceState};

use super::one_off::RunningOneOff;

#[derive(Default)]
pub(crate) struct Apps {
    tasks: Mutex<HashMap<AppId, mpsc::UnboundedSender<Message>>>,
    /// Which app's task knows an instance of a formation.
    owners: Mutex<HashMap<InstanceId, AppId>>,
    one_offs: Mutex<HashMap<InstanceId, RunningOneOff>>,
    /// Held while a release of the app is being made.
    release_turns: Mutex<HashMap<AppId, Arc<tokio::sync::Mutex<()>>>>,
    /// Starts that are due when the server begins.
    boot_starts: super::boot_starts::BootStarts,
    attachable: Mutex<HashMap<String, super::one_off::Attachable>>,
    exec_keys: Mutex<super::exec_keys::ExecKeys>,
    /// Held while cron jobs are changed or started.
    cron_turn: tokio::sync::Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Apps {
    pub(crate) fn owners(&self) -> MutexGuard<'_, HashMap<InstanceId, AppId>> {
        locked(&self.owners)
    }

    pub(crate) fn one_offs(&self) -> MutexGuard<'_, HashMap<InstanceId, RunningOneOff>> {
        locked(&self.one_offs)
    }

    pub(crate) fn attachable(&self) -> MutexGuard<'_, HashMap<String, super::one_off::Attachable>> {
        locked(&self.attachable)
    }

    pub(super) fn exec_keys(&self) -> MutexGuard<'_, super::exec_keys::ExecKeys> {
        locked(&self.exec_keys)
    }

    pub(crate) fn cron_turn(&self) -> &tokio::sync::Mutex<()> {
        &self.cron_turn
    }

    /// Sends to the app's task; false when it has none (it is being destroyed).
    pub(crate) fn send(&self, app: AppId, message: Message) -> bool {
        let tasks = locked(&self.tasks);
        tasks.get(&app).is_some_and(|sender| sender.send(message).is_ok())
    }

    pub(crate) fn boot_starts(&self) -> &super::boot_starts::BootStarts {
        &self.boot_starts
    }

    pub(crate) fn release_turn(&self, app: AppId) -> Arc<tokio::sync::Mutex<()>> {
        locked(&self.release_turns).entry(app).or_default().clone()
    }

    pub(crate) fn forget(&self, app: AppId) {
        locked(&self.tasks).remove(&app);
        locked(&self.release_turns).remove(&app);
    }
}

impl Platform {
    /// Starts the task of an app.
    pub(crate) fn spawn_app_task(&self, task: AppTask) {
        let (sender, receiver) = mpsc::unbounded_channel();
        locked(&self.app_tasks().tasks).insert(task.app_id(), sender);
        tokio::spawn(task.run(receiver));
    }

    /// Asks the app's task something and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        app: AppId,
        message: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let gone = || PlatformError::NotFound { resource: "app" };
        if !self.app_tasks().send(app, message(sender)) {
            return Err(gone());
        }
        receiver.await.map_err(|_| gone())
    }

    /// Hands the driver's events to the tasks they concern.
    pub(crate) fn spawn_event_dispatcher(&self) {
        let mut events = self.driver().events();
        let platform = self.clone();
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(InstanceEvent::Exited { id, status }) => {
                        platform.instance_exited(&id, status).await
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        platform.catch_up_with_exits().await
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }

    /// Events were missed: look for what has ended instead.
    async fn catch_up_with_exits(&self) {
        let Ok(observed) = self.driver().observe().await else { return };
        for instance in observed {
            if let InstanceState::Exited(status) = instance.state {
                self.instance_exited(&instance.spec.id, status).await;
            }
        }
    }

    async fn instance_exited(&self, id: &InstanceId, status: ExitStatus) {
        let owner = self.app_tasks().owners().get(id).copied();
        if let Some(app) = owner {
            self.app_tasks().send(app, Message::Instance(id.clone(), Event::Exited(status)));
        } else {
            self.one_off_exited(id, &status).await;
        }
    }
}
