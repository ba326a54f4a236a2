//! Requests of one app that wait: for an instance that starts, or for room at one that is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The waiting requests of one app; lives on when the app's route is replaced.
///
/// Whoever leaves a target calls one of those that wait, and whoever stops waiting calls the next
/// one: room that is free is therefore never left unused while a request waits for it.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: AtomicUsize,
    room: Notify,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Takes a place, unless `most` wait already.
    pub fn join(self: &Arc<Self>, most: usize) -> Option<Place> {
        let joined = self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |waiting| {
            (waiting < most).then_some(waiting + 1)
        });
        joined.is_ok().then(|| Place { queue: Arc::clone(self) })
    }

    /// Waits for a call. One that came after a place was taken and that nobody heard counts.
    pub fn called(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Calls one of those that wait. Calls at which nobody listens are kept for the next one.
    pub fn call_one(&self) {
        if !self.is_empty() {
            self.room.notify_one();
        }
    }
}

/// A place in the queue until it is dropped.
pub(crate) struct Place {
    queue: Arc<Queue>,
}

impl Place {
    pub fn is_in(&self, queue: &Arc<Queue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        self.queue.call_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_call_reaches_one_and_is_passed_on() {
        let queue = Arc::new(Queue::default());
        assert!(queue.is_empty());
        queue.call_one();
        let (first, second) = (queue.join(2).unwrap(), queue.join(2).unwrap());
        assert!(queue.join(2).is_none(), "it is bounded");
        let nobody_called = tokio::time::timeout(Duration::from_millis(20), queue.called()).await;
        assert!(nobody_called.is_err(), "a call to nobody is not kept");
        queue.call_one();
        queue.called().await;
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                queue.called().await;
                drop(second);
            }
        });
        drop(first);
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
        assert!(queue.is_empty());
    }
}
