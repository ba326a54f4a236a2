//! How long one-off processes may run.

use super::one_off::STOP_GRACE;
use crate::{Platform, PlatformError, Result};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use windlass_core::driver::AttachedOutput;
use windlass_core::ids::{AppId, InstanceId};

/// Stops a one-off when its time is up; dropped with the record of the one-off.
pub(super) struct TimeLimit(JoinHandle<()>);

impl Drop for TimeLimit {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whose time is limited, and who is told.
pub(super) struct Limited {
    pub app: AppId,
    pub id: InstanceId,
    pub name: String,
    /// As it was set, for the message.
    pub limit: Duration,
    /// The client that is attached.
    pub client: Option<mpsc::WeakSender<AttachedOutput>>,
}

impl Platform {
    /// Returns how long a one-off may run: what was asked for, at most `run.timeout`.
    pub(super) fn time_limit(&self, wanted: Option<Duration>) -> Result<Option<Duration>> {
        let most = self.settings().run_timeout;
        let most = (!most.is_zero()).then_some(most);
        match (wanted, most) {
            (None, most) => Ok(most),
            (Some(wanted), _) if wanted.is_zero() => Err(PlatformError::Invalid(
                "The time limit of a process must be at least 1 second.".to_owned(),
            )),
            (Some(wanted), Some(most)) if wanted > most => Err(PlatformError::Invalid(format!(
                "A process may run for at most {} seconds here (`run.timeout`).",
                most.as_secs()
            ))),
            (wanted, _) => Ok(wanted),
        }
    }

    /// Stops the one-off after `remaining`, if it still runs.
    pub(super) fn limit_time(&self, limited: Limited, remaining: Duration) {
        let (platform, id) = (self.clone(), limited.id.clone());
        let waiting = tokio::spawn(async move {
            tokio::time::sleep(remaining).await;
            // In a task of its own: the one-off's end drops this one.
            tokio::spawn(async move { platform.time_is_up(limited).await });
        });
        if let Some(one_off) = self.app_tasks().one_offs().get_mut(&id) {
            one_off.time_limit = Some(TimeLimit(waiting));
        } else {
            waiting.abort();
        }
    }

    async fn time_is_up(&self, limited: Limited) {
        let Limited { app, id, name, limit, client } = limited;
        let seconds = limit.as_secs_f64();
        let message = format!("Stopping process: it reached its time limit of {seconds} s");
        self.logs().append(app, &format!("heroku[{name}]"), &message);
        if let Some(client) = client.and_then(|client| client.upgrade()) {
            let line = format!(
                "\r\n !    {name} is stopped: it reached its time limit of {seconds} s.\r\n"
            );
            // Not waited for: a client that does not read must not run on.
            let _ = client.try_send(AttachedOutput::Stderr(line.into()));
        }
        if let Err(error) = self.driver().stop(&id, STOP_GRACE).await {
            tracing::warn!(instance = %id, %error, "a one-off whose time is up could not be stopped");
        }
    }
}
