//! The threads that serve connections. Each has a runtime of its own, so that what happens on a
//! connection, and on those to targets that it uses, wakes nobody else and is never moved: that
//! costs less than sharing the work as it comes.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Beyond this more threads do not help a router.
const MOST: usize = 16;

/// Says that a thread has begun, by its number from 1 on.
type Begin = fn(usize);

/// The threads of one router.
pub(crate) struct Workers {
    all: Vec<Worker>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Worker {
    runtime: Handle,
    /// Connections that it serves.
    load: Arc<AtomicUsize>,
}

impl Workers {
    /// Returns how many threads there are on this machine.
    pub fn usual() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
    }

    /// Starts `count` threads, at least one; each calls `begin` first.
    pub fn start(count: usize, begin: Begin) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut workers = Self { all: Vec::new(), stop, threads: Mutex::default() };
        for number in 1..=count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(4)
                .thread_stack_size(512 * 1024)
                .enable_all()
                .build()?;
            workers.all.push(Worker { runtime: runtime.handle().clone(), load: Arc::default() });
            let mut stopped = stopped.clone();
            let serve = move || {
                begin(number);
                runtime.block_on(async { drop(stopped.wait_for(|stop| *stop).await) });
            };
            let thread = std::thread::Builder::new()
                .name(format!("router-{number}"))
                .stack_size(1024 * 1024)
                .spawn(serve)?;
            workers.threads().push(thread);
        }
        Ok(workers)
    }

    /// Returns what ends the threads when it is dropped.
    pub fn end_with(&self) -> EndWith {
        EndWith(self.stop.clone())
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a connection on the thread that has the fewest.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let load = |worker: &&Worker| worker.load.load(Ordering::Relaxed);
        let Some(worker) = self.all.iter().min_by_key(load) else { return };
        let load = Load::one_more(&worker.load);
        worker.runtime.spawn(async move {
            let _load = load;
            connection.await;
        });
    }

    /// Cuts off what is still served and ends the threads. Blocks for a moment.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        for thread in std::mem::take(&mut *self.threads()) {
            if thread.join().is_err() {
                tracing::error!("a thread that serves connections has panicked");
            }
        }
    }
}

/// Ends the threads of a router that is dropped before its end: what they serve holds the router,
/// and so its threads.
pub(crate) struct EndWith(watch::Sender<bool>);

impl Drop for EndWith {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Counts a connection as long as it is served.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn one_more(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::{Notify, mpsc};

    #[tokio::test]
    async fn connections_are_spread_and_end_with_their_threads() {
        let workers = Workers::start(3, |_| {}).unwrap();
        let (names, mut seen) = mpsc::unbounded_channel();
        let done = Arc::new(Notify::new());
        let serve = |done: Arc<Notify>| {
            let names = names.clone();
            async move {
                let name = std::thread::current().name().map(ToOwned::to_owned);
                names.send(name).unwrap();
                done.notified().await;
            }
        };
        let mut all = std::collections::BTreeSet::new();
        for _ in 0..3 {
            workers.spawn(serve(Arc::clone(&done)));
            all.insert(seen.recv().await.unwrap());
        }
        assert_eq!(all.len(), 3, "{all:?}");
        drop(names);
        tokio::task::spawn_blocking(move || workers.stop()).await.unwrap();
        assert_eq!(seen.recv().await, None, "what was not done is dropped");
    }
}
