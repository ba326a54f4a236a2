//! Log drains: every line of an app's log is sent to targets of its people's choice.
//!
//! Each drain reads the log's files itself, from a place of its own that is kept in a small file.
//! So nothing has to be told about new lines, no target holds up an app or another target, and what
//! came while the server was away is sent as well.

mod pump;
mod target;

use super::log_reader::{LogPosition, LogReader};
use crate::platform::now_ms;
use crate::records::{App, LogDrain, User};
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use windlass_core::ids::LogDrainId;
use windlass_core::log_drain::{DRAINS_PER_APP, SCHEMES};
use windlass_core::outgoing::OutgoingUrl;

/// How often is looked whether drains went with their app.
const ROUND: Duration = Duration::from_secs(5);

/// The drains that are at work.
#[derive(Default)]
pub(crate) struct LogDrains {
    at_work: Mutex<HashMap<LogDrainId, AtWork>>,
    wake: tokio::sync::Notify,
}

struct AtWork {
    drain: LogDrain,
    task: JoinHandle<()>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LogDrains {
    fn at_work(&self) -> MutexGuard<'_, HashMap<LogDrainId, AtWork>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platform {
    /// Sends logs to their drains, from now on.
    pub fn spawn_log_drains(&self) {
        let weak = self.downgrade();
        tokio::spawn(async move {
            loop {
                let Some(platform) = Platform::upgrade(&weak) else { return };
                if let Err(error) = platform.follow_log_drains() {
                    tracing::warn!(%error, "log drains could not be started");
                }
                let _ =
                    tokio::time::timeout(ROUND, platform.log_drain_state().wake.notified()).await;
            }
        });
    }

    /// Starts drains that are new and ends those that are gone or lead elsewhere now.
    fn follow_log_drains(&self) -> Result<()> {
        let wanted = self.store().all_log_drains()?;
        let mut at_work = self.log_drain_state().at_work();
        at_work.retain(|id, running| {
            let stays = wanted.contains(&running.drain);
            if !stays && !wanted.iter().any(|drain| drain.id == *id) {
                let _ = std::fs::remove_file(self.place_file(*id));
            }
            stays
        });
        for drain in wanted {
            if at_work.contains_key(&drain.id) {
                continue;
            }
            match self.pump(&drain) {
                Ok(pump) => {
                    let task = tokio::spawn(pump.run());
                    at_work.insert(drain.id, AtWork { drain, task });
                }
                Err(error) => {
                    tracing::warn!(%error, drain = %drain.id, "a log drain could not be started");
                }
            }
        }
        Ok(())
    }

    fn pump(&self, drain: &LogDrain) -> Result<pump::Pump> {
        let url: OutgoingUrl = drain.url.parse()?;
        let unreadable =
            |source| PlatformError::internal("the log could not be read for a drain", source);
        let means = pump::Means {
            outgoing: self.outgoing().clone(),
            logs: self.logs().clone(),
            place_file: self.place_file(drain.id),
            reader: self.log_reader(drain).map_err(unreadable)?,
        };
        Ok(pump::Pump::new(drain, url, means))
    }

    /// Returns the file that keeps how far a drain has come.
    fn place_file(&self, id: LogDrainId) -> PathBuf {
        self.settings().data_directory.join("drains").join(id.to_string())
    }

    /// Returns a reader at the kept place, else at the end of the log.
    fn log_reader(&self, drain: &LogDrain) -> std::io::Result<LogReader> {
        let current = self.logs().file(drain.app);
        let kept = std::fs::read_to_string(self.place_file(drain.id)).ok();
        match kept.and_then(|text| text.parse::<LogPosition>().ok()) {
            Some(place) => LogReader::at(&current, place),
            None => LogReader::at_end(&current),
        }
    }

    /// Returns the drains of an app, the oldest first.
    pub fn log_drains(&self, app: &App) -> Result<Vec<LogDrain>> {
        Ok(self.store().log_drains(app.id)?)
    }

    /// Returns a drain by id, token or URL.
    pub fn log_drain(&self, app: &App, name: &str) -> Result<LogDrain> {
        let is_meant = |drain: &LogDrain| {
            drain.id.to_string() == name || drain.token == name || drain.url == name
        };
        let missing = PlatformError::NotFound { resource: "log drain" };
        self.log_drains(app)?.into_iter().find(is_meant).ok_or(missing)
    }

    /// Adds a drain, which gets every line from now on.
    ///
    /// # Errors
    /// `Invalid` for a URL that may not be connected to.
    pub fn add_log_drain(&self, user: &User, app: &App, url: &str) -> Result<LogDrain> {
        let drains = self.log_drains(app)?;
        if drains.len() >= DRAINS_PER_APP {
            let message = format!("An app can have at most {DRAINS_PER_APP} log drains.");
            return Err(PlatformError::Invalid(message));
        }
        if drains.iter().any(|drain| drain.url == url) {
            return Err(PlatformError::Invalid("The app has this log drain already.".to_owned()));
        }
        let target = OutgoingUrl::with_scheme(url, &SCHEMES)?;
        self.outgoing()
            .check(&target)
            .map_err(|error| PlatformError::Invalid(format!("{error}.")))?;
        let at = now_ms();
        let drain = LogDrain {
            id: LogDrainId::random(),
            app: app.id,
            token: format!("d.{}", uuid::Uuid::new_v4()),
            url: url.to_owned(),
            created_at: at,
            updated_at: at,
        };
        self.begin_at_end(&drain)?;
        self.store().save_log_drain(&drain)?;
        self.log_drain_state().wake.notify_one();
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Attach log drain {target} by user {}", user.email),
        );
        Ok(drain)
    }

    /// Notes the place before anything more is logged, which the drain is to have.
    fn begin_at_end(&self, drain: &LogDrain) -> Result<()> {
        let noted = LogReader::at_end(&self.logs().file(drain.app))
            .and_then(|reader| pump::keep_place(&self.place_file(drain.id), reader.position()));
        noted.map_err(|source| {
            PlatformError::internal("the end of the log could not be noted", source)
        })
    }

    pub fn remove_log_drain(&self, user: &User, app: &App, name: &str) -> Result<LogDrain> {
        let drain = self.log_drain(app, name)?;
        self.store().delete_log_drain(app.id, drain.id)?;
        self.log_drain_state().at_work().remove(&drain.id);
        let _ = std::fs::remove_file(self.place_file(drain.id));
        let target =
            drain.url.parse::<OutgoingUrl>().map(|url| url.to_string()).unwrap_or_default();
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Remove log drain {target} by user {}", user.email),
        );
        Ok(drain)
    }
}
