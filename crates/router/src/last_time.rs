//! When something happened last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When something happened last, for one to note and another to ask, without a lock. To the
/// millisecond.
pub(crate) struct LastTime {
    epoch: Instant,
    /// Milliseconds from `epoch`.
    last: AtomicU64,
}

impl Default for LastTime {
    /// It has happened just now.
    fn default() -> Self {
        Self { epoch: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl LastTime {
    /// Notes that it happens now.
    pub fn note(&self) {
        let elapsed = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// How long this has been here: a clock that only grows.
    pub fn age(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// When it happened last.
    pub fn last(&self) -> Instant {
        self.epoch + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// How long ago that is.
    pub fn silence(&self) -> Duration {
        self.last().elapsed()
    }
}
