//! Log sessions: a secret that opens one stream of an app's log, without other credentials.

use super::LogFilter;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_core::ids::AppId;

/// A session that nobody opened is forgotten after this time.
const LIFETIME: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct LogSessions(Mutex<HashMap<String, Session>>);

#[derive(Debug)]
struct Session {
    app: AppId,
    filter: LogFilter,
    until: Instant,
}

impl LogSessions {
    pub fn create(&self, app: AppId, filter: LogFilter) -> String {
        let secret = crate::access::random_secret();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.until > Instant::now());
        sessions.insert(secret.clone(), Session { app, filter, until: Instant::now() + LIFETIME });
        secret
    }

    /// Returns what the secret opens, as often as it is asked within its life.
    pub fn open(&self, secret: &str) -> Option<(AppId, LogFilter)> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(secret).filter(|session| session.until > Instant::now())?;
        Some((session.app, session.filter.clone()))
    }
}
