//! The end of the server at a chosen effect, as by `kill -9`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// On which side of the effect the server ends: it had no chance to ask for it, or it was done and
/// the server never learnt of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// Counts what the platform asks of driver and router, and ends the server at one of these effects:
/// the call does not return any more, nor does any later one, until [`Faults::revive`].
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    effects: Vec<&'static str>,
    crash_at: Option<(usize, Side)>,
    is_dead: bool,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from here on, and ends the server at this effect, the first being 0.
    pub fn arm(&self, effect: usize, side: Side) {
        *self.state() =
            State { effects: Vec::new(), crash_at: Some((effect, side)), is_dead: false };
    }

    /// A new server is about to be started: its calls are answered.
    pub fn revive(&self) {
        *self.state() = State::default();
    }

    /// The effects since it was armed, the last being that of the crash if there was one.
    #[must_use]
    pub fn effects(&self) -> Vec<&'static str> {
        self.state().effects.clone()
    }

    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Waits for the crash.
    pub async fn crashed(&self) {
        let notified = self.crashed.notified();
        if !self.is_dead() {
            notified.await;
        }
    }

    /// Does an effect, unless the server has ended or ends before or after it.
    pub(super) async fn around<T>(&self, what: &'static str, effect: impl Future<Output = T>) -> T {
        let ends = self.begin(what);
        if ends == Some(Side::Before) {
            return self.end().await;
        }
        let outcome = effect.await;
        if ends == Some(Side::After) || self.is_dead() {
            return self.end().await;
        }
        outcome
    }

    /// Counts an effect and says whether the server ends at it.
    fn begin(&self, what: &'static str) -> Option<Side> {
        let mut state = self.state();
        if state.is_dead {
            return Some(Side::Before);
        }
        let number = state.effects.len();
        state.effects.push(what);
        let (_, side) = state.crash_at.filter(|(at, _)| *at == number)?;
        // Others that are under way must not be answered any more.
        state.is_dead = side == Side::Before;
        Some(side)
    }

    async fn end<T>(&self) -> T {
        self.state().is_dead = true;
        self.crashed.notify_waiters();
        self.crashed.notify_one();
        std::future::pending().await
    }
}
