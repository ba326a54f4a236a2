//! Log sessions: a secret that opens one stream of an app's log, without other credentials.

use super::LogFilter;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_core::ids::{AppId, UserId};

/// A session that nobody opened is forgotten after this time.
const LIFETIME: Duration = Duration::from_secs(300);
/// Streams that one person may have open at once: each takes a thread.
pub(crate) const STREAMS_PER_USER: usize = 50;

#[derive(Debug, Default)]
pub struct LogSessions {
    sessions: Mutex<HashMap<String, Session>>,
    streams: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// What a secret opens, and for whom it was made.
#[derive(Clone, Debug)]
pub(crate) struct LogView {
    pub(crate) user: UserId,
    pub(crate) app: AppId,
    pub(crate) filter: LogFilter,
}

#[derive(Debug)]
struct Session {
    view: LogView,
    until: Instant,
}

impl LogSessions {
    pub(crate) fn create(&self, view: LogView) -> String {
        let secret = crate::access::random_secret();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.until > Instant::now());
        sessions.insert(secret.clone(), Session { view, until: Instant::now() + LIFETIME });
        secret
    }

    /// Returns what the secret opens, as often as it is asked within its life.
    pub(crate) fn open(&self, secret: &str) -> Option<LogView> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(secret).filter(|session| session.until > Instant::now())?;
        Some(session.view.clone())
    }

    /// Counts one more stream of somebody until what is returned is dropped; `None` if they have
    /// [`STREAMS_PER_USER`].
    pub(crate) fn begin_stream(&self, user: UserId) -> Option<LogStream> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(user).or_default();
        if *open >= STREAMS_PER_USER {
            return None;
        }
        *open += 1;
        Some(LogStream { user, streams: self.streams.clone() })
    }
}

/// A stream that is open.
#[derive(Debug)]
pub(crate) struct LogStream {
    user: UserId,
    streams: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl Drop for LogStream {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.user) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_streams_and_takes_none_from_others() {
        let sessions = LogSessions::default();
        let (ada, eve) = (UserId::random(), UserId::random());
        let mut hers: Vec<_> =
            (0..STREAMS_PER_USER).map(|_| sessions.begin_stream(eve).unwrap()).collect();
        assert!(sessions.begin_stream(eve).is_none());
        assert!(sessions.begin_stream(ada).is_some());
        hers.pop();
        assert!(sessions.begin_stream(eve).is_some(), "one has ended");
        hers.clear();
        assert!(sessions.streams.lock().unwrap().is_empty(), "nothing is left of them");
    }
}
