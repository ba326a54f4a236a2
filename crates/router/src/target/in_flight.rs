//! The exact count of what an instance has in flight.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use windlass_core::ids::InstanceId;

/// Set in the count once the instance has left the table.
const RETIRED: u64 = 1 << 63;

/// Why a request was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The instance has left the table.
    Retired,
    /// It has as much in flight as it may.
    Full,
}

/// Counts what an instance has in flight; outlives its place in the table.
///
/// The count and the mark "retired" share one atomic. A request adds itself first and learns in
/// the same step whether the instance was retired before. So in the one order in which all
/// changes of an atomic happen, each request comes either before the retirement, and then a
/// drain waits for it, or after it, and then it looks for another target. There is no gap
/// between choosing a target and being counted.
pub(crate) struct InFlight {
    instance: InstanceId,
    state: AtomicU64,
    emptied: Notify,
}

impl InFlight {
    pub fn new(instance: InstanceId) -> Self {
        Self { instance, state: AtomicU64::new(0), emptied: Notify::new() }
    }

    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Adds one, unless the instance is retired or has `most` already.
    pub fn enter(&self, most: Option<u64>) -> Result<(), Refused> {
        let Some(most) = most else {
            let before = self.state.fetch_add(1, Ordering::AcqRel);
            if before & RETIRED != 0 {
                self.leave();
                return Err(Refused::Retired);
            }
            return Ok(());
        };
        // Never more than `most`, not even for a moment: nobody must find it full by mistake.
        let admit = |state| (state & RETIRED == 0 && state < most).then_some(state + 1);
        match self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, admit) {
            Ok(_) => Ok(()),
            Err(state) if state & RETIRED != 0 => Err(Refused::Retired),
            Err(_) => Err(Refused::Full),
        }
    }

    /// Takes one away. Whoever waits for room is looked for after this.
    pub fn leave(&self) {
        if self.state.fetch_sub(1, Ordering::SeqCst) == RETIRED | 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Refuses requests from now on.
    pub fn retire(&self) {
        self.state.fetch_or(RETIRED, Ordering::AcqRel);
    }

    /// Takes requests again.
    pub fn revive(&self) {
        self.state.fetch_and(!RETIRED, Ordering::AcqRel);
    }

    pub fn is_retired(&self) -> bool {
        self.state.load(Ordering::Acquire) & RETIRED != 0
    }

    pub fn count(&self) -> u64 {
        self.state.load(Ordering::Acquire) & !RETIRED
    }

    /// Waits until nothing is in flight or `timeout` is over; returns what is left.
    pub async fn drained(&self, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Registered before the look at the count, so that no notification is missed.
            emptied.as_mut().enable();
            if self.count() == 0 {
                return 0;
            }
            if tokio::time::timeout_at(deadline, emptied).await.is_err() {
                return self.count();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    fn counter() -> Arc<InFlight> {
        Arc::new(InFlight::new(InstanceId("web-1-a".to_owned())))
    }

    #[tokio::test]
    async fn drain_waits_for_the_last_to_leave() {
        let counter = counter();
        assert!(counter.enter(None).is_ok() && counter.enter(Some(2)).is_ok());
        assert_eq!(counter.enter(Some(2)), Err(Refused::Full));
        counter.retire();
        for most in [None, Some(9)] {
            assert_eq!(counter.enter(most), Err(Refused::Retired), "nothing new is taken");
        }
        assert_eq!(counter.drained(Duration::from_millis(10)).await, 2, "the time is up first");
        let waiting = tokio::spawn({
            let counter = Arc::clone(&counter);
            async move { counter.drained(Duration::from_secs(60)).await }
        });
        counter.leave();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        counter.leave();
        assert_eq!(waiting.await.unwrap(), 0);
        counter.revive();
        assert!(counter.enter(None).is_ok());
    }

    /// Threads enter and leave as fast as they can; once a drain has reported 0, none may be in.
    #[test]
    fn nobody_is_inside_after_a_drain() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..300 {
            let counter = counter();
            let killed = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (counter, killed) = (Arc::clone(&counter), Arc::clone(&killed));
                    std::thread::spawn(move || {
                        while counter.enter(None).is_ok() {
                            assert!(!killed.load(Ordering::SeqCst), "used after the drain");
                            std::hint::spin_loop();
                            assert!(!killed.load(Ordering::SeqCst), "used after the drain");
                            counter.leave();
                        }
                    })
                })
                .collect();
            counter.retire();
            assert_eq!(runtime.block_on(counter.drained(Duration::from_secs(60))), 0);
            killed.store(true, Ordering::SeqCst);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
}
