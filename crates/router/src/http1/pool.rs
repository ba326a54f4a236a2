//! Unused connections to one target, without a task of their own.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

thread_local! {
    /// Which thread this is: connections are woken by the one that opened them.
    static HOME: Cell<usize> = const { Cell::new(0) };
}

/// Says that this thread has connections of its own, under a number from 1 on.
pub(crate) fn settle(home: usize) {
    HOME.set(home);
}

/// The unused connections, the one used last at the end.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    closed: bool,
    connections: Vec<Unused>,
}

struct Unused {
    stream: TcpStream,
    since: Instant,
    home: usize,
}

impl Pool {
    /// Returns a connection that has been unused for at most `maximum_age` and that the target has
    /// not closed.
    pub fn take(&self, maximum_age: Duration) -> Option<TcpStream> {
        loop {
            let unused = self.last(maximum_age)?;
            if is_quiet(&unused) {
                return Some(unused);
            }
        }
    }

    fn last(&self, maximum_age: Duration) -> Option<TcpStream> {
        let home = HOME.get();
        let mut idle = self.lock();
        let at = idle.connections.iter().rposition(|unused| unused.home == home)?;
        if maximum_age < Duration::MAX && idle.connections[at].since.elapsed() > maximum_age {
            return None;
        }
        Some(idle.connections.remove(at).stream)
    }

    /// Keeps a connection for later, at most `limit` of them, none once the pool is closed.
    pub fn put(&self, stream: TcpStream, limit: usize) {
        let unused = Unused { stream, since: Instant::now(), home: HOME.get() };
        let mut idle = self.lock();
        if !idle.closed && idle.connections.len() < limit {
            idle.connections.push(unused);
        }
    }

    /// Drops the dead connections and those unused for longer than `maximum_age`.
    pub fn sweep(&self, maximum_age: Duration) {
        let mut idle = self.lock();
        idle.connections
            .retain(|unused| unused.since.elapsed() <= maximum_age && is_quiet(&unused.stream));
        if idle.connections.is_empty() {
            idle.connections = Vec::new();
        }
    }

    /// Drops all connections and takes none any more.
    pub fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        idle.connections = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the target has neither closed the connection nor said anything on it. That needs
/// no system call unless there was an event.
fn is_quiet(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_quiet_connections_of_this_thread_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pair = async || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (ours, listener.accept().await.unwrap().0)
        };
        let pool = Pool::default();
        let (ours, mut theirs) = pair().await;
        let address = ours.local_addr().unwrap();
        pool.put(ours, 2);
        settle(1);
        assert!(pool.take(Duration::MAX).is_none(), "it is another thread's");
        settle(0);
        assert!(pool.take(Duration::ZERO).is_none(), "it is too old");
        let ours = pool.take(Duration::MAX).unwrap();
        assert_eq!(ours.local_addr().unwrap(), address);
        theirs.write_all(b"unasked").await.unwrap();
        ours.readable().await.unwrap();
        pool.put(ours, 2);
        assert!(pool.take(Duration::MAX).is_none(), "it has said something");
        let (ours, theirs) = pair().await;
        drop(theirs);
        ours.readable().await.unwrap();
        pool.put(ours, 2);
        pool.sweep(Duration::MAX);
        assert!(pool.lock().connections.is_empty(), "it is closed");
        let (one, _one) = pair().await;
        let (two, _two) = pair().await;
        pool.put(one, 1);
        pool.put(two, 1);
        assert_eq!(pool.lock().connections.len(), 1);
        pool.close();
        let (three, _three) = pair().await;
        pool.put(three, 1);
        assert!(pool.lock().connections.is_empty());
    }
}
