//! Waiting on conditions, with a deadline.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// The least that a deadline is: how long something takes says more about the machine, and about
/// what else it does, than about what is tested. What comes at all comes sooner on most.
pub const LEAST: Duration = Duration::from_secs(120);

/// Waits until `condition` gives something. Panics with `what` when `deadline` has passed, or
/// [`LEAST`] if that is longer.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = deadline.max(LEAST);
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited {} s in vain for {what}", deadline.as_secs());
        std::thread::sleep(PAUSE);
    }
}

/// Waits until `condition` is true. Panics with `what` when `deadline` has passed.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()));
}
