//! Starts after the server has begun: many apps may want all of their instances at once, as after
//! a reboot. A few start at a time, those of the apps with the highest priority first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Instances that start at a time: two for each core, at least four.
fn places() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2).max(4)
}

/// Who waits for a turn. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BootStarts(Arc<Mutex<Queue>>);

struct Queue {
    free: usize,
    /// By priority, the highest first, then in the order of asking.
    waiting: BTreeMap<(u8, u64), oneshot::Sender<Turn>>,
    asked: u64,
    /// Turns are given from when all apps have asked.
    open: bool,
}

impl Default for BootStarts {
    fn default() -> Self {
        Self::with_places(places())
    }
}

impl BootStarts {
    fn with_places(free: usize) -> Self {
        let queue = Queue { free, waiting: BTreeMap::new(), asked: 0, open: false };
        Self(Arc::new(Mutex::new(queue)))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets in line; a higher priority is served first.
    pub fn ask(&self, priority: u8) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue();
        queue.asked += 1;
        let place = (u8::MAX - priority, queue.asked);
        queue.waiting.insert(place, sender);
        drop(queue);
        self.serve();
        receiver
    }

    /// Begins to give turns.
    pub fn open(&self) {
        self.queue().open = true;
        self.serve();
    }

    fn serve(&self) {
        loop {
            let mut queue = self.queue();
            if !queue.open || queue.free == 0 {
                return;
            }
            let Some((_, next)) = queue.waiting.pop_first() else { return };
            queue.free -= 1;
            // Not while the queue is locked: a turn that nobody wants any more comes back at once.
            drop(queue);
            drop(next.send(Turn(self.clone())));
        }
    }
}

/// One of the places; given to the next in line when it is dropped.
pub(crate) struct Turn(BootStarts);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.queue().free += 1;
        self.0.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_by_priority_and_only_as_many_as_there_are_places() {
        let starts = BootStarts::with_places(2);
        let mut asked = [10, 50, 90, 50].map(|priority| starts.ask(priority));
        assert!(asked.iter_mut().all(|turn| turn.try_recv().is_err()), "not open yet");
        starts.open();
        let high = asked[2].try_recv().unwrap();
        let first = asked[1].try_recv().unwrap();
        assert!(asked[3].try_recv().is_err(), "both places are taken");
        drop(high);
        let second = asked[3].try_recv().unwrap();
        assert!(asked[0].try_recv().is_err());
        drop((first, second));
        assert!(asked[0].try_recv().is_ok());
    }

    #[test]
    fn a_turn_that_nobody_waits_for_goes_to_the_next() {
        let starts = BootStarts::with_places(1);
        drop(starts.ask(90));
        let mut next = starts.ask(10);
        starts.open();
        assert!(next.try_recv().is_ok());
    }
}
