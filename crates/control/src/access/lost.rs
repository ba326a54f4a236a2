//! Access that is lost while something goes on for which it is needed.

use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often it is looked whether somebody who follows a log, or is attached to a command, still
/// may.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks every [`LOOK_EVERY`], the first time after that, until `look` says what was lost.
pub(crate) async fn until_lost<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(lost) = look() {
            return lost;
        }
    }
}
