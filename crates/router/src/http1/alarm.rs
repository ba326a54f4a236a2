//! Time limits of many connections with one timer: setting one is a store, not a change of a wheel.

use crate::run::Phase;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

const NEVER: u64 = u64::MAX;
/// How often limits are looked at, at the most and at the least.
const TICKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

/// All connections with a limit, and the task that wakes them.
pub(crate) struct Alarms {
    epoch: Instant,
    tick: Duration,
    entries: Mutex<Entries>,
    /// There is a connection, after there was none.
    begun: Notify,
}

#[derive(Default)]
struct Entries {
    all: Vec<Option<Arc<Entry>>>,
    free: Vec<usize>,
}

/// One connection's limit.
struct Entry {
    /// Milliseconds after the epoch.
    at: AtomicU64,
    rings: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Entry {
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Alarms {
    /// `shortest` is the shortest limit that anybody sets: it is kept to within a tenth.
    pub fn new(shortest: Duration) -> Self {
        let tick = (shortest / 10).clamp(TICKS.0, TICKS.1);
        Self { epoch: Instant::now(), tick, entries: Mutex::default(), begun: Notify::new() }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(NEVER - 1)
    }

    /// Wakes whoever is over its limit, and everybody when the phase changes. Ends when
    /// that cannot change any more.
    pub async fn ring(&self, mut phase: watch::Receiver<Phase>) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let idle = self.entries().all.is_empty();
            let changed = tokio::select! {
                () = self.begun.notified(), if idle => false,
                _ = ticks.tick(), if !idle => false,
                changed = phase.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
            };
            let now = self.millis(Instant::now());
            let entries = self.entries();
            for entry in entries.all.iter().flatten() {
                if entry.at.load(Ordering::Relaxed) <= now {
                    entry.rings.store(true, Ordering::Relaxed);
                    entry.wake();
                } else if changed {
                    entry.wake();
                }
            }
        }
    }
}

/// The limit of one connection.
pub(super) struct Alarm {
    alarms: Arc<Alarms>,
    entry: Arc<Entry>,
    place: usize,
    /// The waker that the entry has.
    waker: Option<Waker>,
}

impl Alarm {
    pub fn new(alarms: Arc<Alarms>) -> Self {
        let entry = Arc::new(Entry {
            at: AtomicU64::new(NEVER),
            rings: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        let mut entries = alarms.entries();
        if entries.all.is_empty() {
            alarms.begun.notify_one();
        }
        let place = entries.free.pop().unwrap_or(entries.all.len());
        if place == entries.all.len() {
            entries.all.push(None);
        }
        entries.all[place] = Some(Arc::clone(&entry));
        drop(entries);
        Self { alarms, entry, place, waker: None }
    }

    /// Sets the limit to `after` from `now`.
    pub fn set(&self, now: Instant, after: Duration) {
        self.entry.at.store(self.alarms.millis(now + after), Ordering::Relaxed);
    }

    /// Has the task woken when the limit is over or the phase changes; returns whether the limit is
    /// over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            *self.entry.waker() = Some(cx.waker().clone());
        }
        self.entry.rings.load(Ordering::Relaxed)
            && self.entry.rings.swap(false, Ordering::Relaxed)
            && self.entry.at.load(Ordering::Relaxed) <= self.alarms.millis(Instant::now())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut entries = self.alarms.entries();
        entries.all[self.place] = None;
        entries.free.push(self.place);
        if entries.free.len() == entries.all.len() {
            *entries = Entries::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    async fn rings(alarm: &mut Alarm) {
        poll_fn(|cx| if alarm.poll(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    #[tokio::test]
    async fn limits_ring_and_can_be_moved() {
        let alarms = Arc::new(Alarms::new(Duration::from_millis(20)));
        let (phase, receiver) = watch::channel(Phase::Serving);
        let ringing = tokio::spawn({
            let alarms = Arc::clone(&alarms);
            async move { alarms.ring(receiver).await }
        });
        let (mut first, mut second) =
            (Alarm::new(Arc::clone(&alarms)), Alarm::new(Arc::clone(&alarms)));
        let begin = Instant::now();
        first.set(begin, Duration::from_millis(20));
        first.set(begin, Duration::from_millis(60));
        second.set(begin, Duration::from_secs(600));
        rings(&mut first).await;
        assert!(begin.elapsed() >= Duration::from_millis(60));
        assert!(tokio::time::timeout(Duration::from_millis(60), rings(&mut second)).await.is_err());
        // A phase wakes, but is no limit.
        let mut polls = 0;
        let woken = poll_fn(|cx| {
            assert!(!second.poll(cx));
            polls += 1;
            if polls == 1 {
                phase.send_replace(Phase::Draining);
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        tokio::time::timeout(Duration::from_secs(20), woken).await.unwrap();
        drop((first, second));
        assert!(alarms.entries().all.is_empty());
        ringing.abort();
    }
}
