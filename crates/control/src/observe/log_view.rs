//! Views of an app's log, which end when whoever they were made for may not see the app any more.

use super::LogFilter;
use super::log_sessions::{LogView, STREAMS_PER_USER};
use crate::access::{LOOK_EVERY, until_lost};
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use tokio::sync::mpsc;
use windlass_core::limits;

impl Platform {
    /// Returns a secret that opens one view of the app's log for five minutes, as long as `user`
    /// may see the app.
    pub fn create_log_session(&self, user: &User, app: &App, filter: LogFilter) -> Result<String> {
        let lines = filter.lines.min(limits::LOG_HISTORY_LINES);
        let filter = LogFilter { lines, ..filter };
        Ok(self.log_sessions().create(LogView { user: user.id, app: app.id, filter }))
    }

    /// Returns the lines, whole, each with its end; dropping the receiver ends the stream. `history`
    /// is how many of those that there are already, if not as many as the session says.
    ///
    /// # Errors
    /// `NotFound` for a secret that is none, or whose user may not see the app any more; `TooMany`
    /// if they have too many streams open.
    pub fn open_log_session(
        &self,
        secret: &str,
        history: Option<u32>,
    ) -> Result<mpsc::Receiver<Bytes>> {
        let missing = || PlatformError::NotFound { resource: "log session" };
        let view = self.log_sessions().open(secret).ok_or_else(missing)?;
        if !self.may_see(&view)? {
            return Err(missing());
        }
        let open = self.log_sessions().begin_stream(view.user);
        let open = open.ok_or_else(|| PlatformError::TooMany {
            message: format!("You have {STREAMS_PER_USER} log streams open already: close some."),
            after: LOOK_EVERY,
        })?;
        let lines = history.unwrap_or(view.filter.lines);
        let filter = LogFilter { lines, ..view.filter.clone() };
        let (line_sender, mut lines) = mpsc::channel::<String>(256);
        let (logs, app) = (self.logs().clone(), view.app);
        std::thread::Builder::new()
            .name("log-session".into())
            .spawn(move || logs.stream(app, &filter, &line_sender))
            .map_err(|source| {
                PlatformError::internal("a log session could not be started", source)
            })?;
        let (sender, receiver) = mpsc::channel(16);
        let platform = self.clone();
        tokio::spawn(async move {
            let _open = open;
            let pass_on = async {
                while let Some(line) = lines.recv().await {
                    if sender.send(Bytes::from(line)).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = pass_on => {}
                () = sender.closed() => {}
                () = until_lost(|| (!matches!(platform.may_see(&view), Ok(true))).then_some(())) => {}
            }
        });
        Ok(receiver)
    }

    fn may_see(&self, view: &LogView) -> Result<bool> {
        let (user, app) = (self.store().user(view.user)?, self.store().app(view.app)?);
        let (Some(user), Some(app)) = (user, app) else { return Ok(false) };
        Ok(!self.permissions(&user, &app)?.is_empty())
    }
}
