//! Ctrl-C and SIGTERM: noted, so that the demo can clean up wherever it is.

use super::DemoError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

const TICK: Duration = Duration::from_millis(20);

/// Whether the demo has been asked to end.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process's life.
    pub fn watch() -> std::io::Result<Self> {
        let interrupt = Self::default();
        let noted = interrupt.0.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let mut streams = signals.into_iter().map(signal).collect::<Result<Vec<_>, _>>()?;
        drop(_entered);
        std::thread::spawn(move || {
            runtime.block_on(async {
                let [a, b, c] = &mut streams[..] else { return };
                loop {
                    tokio::select! { _ = a.recv() => {}, _ = b.recv() => {}, _ = c.recv() => {} }
                    noted.store(true, Ordering::Relaxed);
                }
            });
        });
        Ok(interrupt)
    }

    /// One that is never raised: for cleaning up, which must come to its end.
    pub fn never() -> Self {
        Self::default()
    }

    pub fn check(&self) -> Result<(), DemoError> {
        if self.0.load(Ordering::Relaxed) { Err(DemoError::Interrupted) } else { Ok(()) }
    }

    /// Calls `done` until it is true. Errors: interrupted, `what` not within `limit`.
    pub fn wait(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut() -> Result<bool, DemoError>,
    ) -> Result<(), DemoError> {
        let deadline = Instant::now() + limit;
        while !done()? {
            self.check()?;
            if Instant::now() > deadline {
                let seconds = limit.as_secs();
                return Err(DemoError::Failed(format!("{what}: not within {seconds} s")));
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }
}
