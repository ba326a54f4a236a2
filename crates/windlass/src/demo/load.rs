//! The load on the app while it is deployed: a few threads, every answer counted.

use super::http::{Connection, get};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Threads that keep their connection, and threads that make a new one each time.
const KEEPING: usize = 4;
const CONNECTING: usize = 2;
/// From one request of a thread to its next: leaves the machine time for the build beside it.
const PACE: Duration = Duration::from_millis(10);

/// What has come back so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers of status 200, by the version on the page.
    pub versions: BTreeMap<String, u64>,
    /// Whatever else happened, and how often: other statuses, failed connects, broken answers.
    pub lost: BTreeMap<String, u64>,
    /// When each version was seen first.
    pub first_seen: BTreeMap<String, SystemTime>,
    pub slowest: Duration,
}

impl Tally {
    pub fn answered(&self) -> u64 {
        self.versions.values().sum()
    }

    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }
}

/// Runs until it is dropped or finished.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(address: SocketAddr, host: &str) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            tally: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..KEEPING + CONNECTING {
            let worker = Worker {
                address,
                host: host.to_owned(),
                kept: None,
                keeps: number < KEEPING,
                tally: load.tally.clone(),
            };
            let (stop, done) = (load.stop.clone(), load.done.clone());
            load.threads.push(std::thread::spawn(move || worker.run(&stop, &done)));
        }
        load
    }

    /// How many requests have been made, lost ones included.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets the requests under way come to their end.
    pub fn finish(mut self) -> Tally {
        self.join();
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.join();
    }
}

struct Worker {
    address: SocketAddr,
    host: String,
    kept: Option<Connection>,
    keeps: bool,
    tally: Arc<Mutex<Tally>>,
}

impl Worker {
    fn run(mut self, stop: &AtomicBool, done: &AtomicU64) {
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let outcome = self.request();
            self.count(outcome, begun.elapsed());
            done.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
        }
    }

    /// Returns the version on the page, or what is wrong.
    fn request(&mut self) -> Result<String, String> {
        let answer = if self.keeps {
            let mut connection = match self.kept.take() {
                Some(connection) => connection,
                None => {
                    Connection::open(self.address).map_err(|error| format!("connect: {error}"))?
                }
            };
            let answer = connection.get(&self.host, "/", "");
            if answer.as_ref().is_ok_and(|answer| answer.keeps_alive) {
                self.kept = Some(connection);
            }
            answer
        } else {
            get(self.address, &self.host, "/", "")
        };
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        match super::app::version_of(&answer.body) {
            Some(version) => Ok(version.to_owned()),
            None => Err("a page without a version".to_owned()),
        }
    }

    fn count(&self, outcome: Result<String, String>, took: Duration) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.slowest = tally.slowest.max(took);
        match outcome {
            Ok(version) => {
                tally.first_seen.entry(version.clone()).or_insert_with(SystemTime::now);
                *tally.versions.entry(version).or_default() += 1;
            }
            Err(why) => *tally.lost.entry(why).or_default() += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers every connection once, as told, and closes it.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    fn tally_of(answer: &'static str) -> Tally {
        let load = Load::start(server(answer), "bibly.localhost");
        while load.done() < 30 {
            std::thread::sleep(Duration::from_millis(1));
        }
        load.finish()
    }

    #[test]
    fn good_answers_are_counted_by_version() {
        let tally = tally_of(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 22\r\n\r\n<footer><b>v7</b> · x",
        );
        assert_eq!(tally.lost(), 0, "{tally:?}");
        assert!(tally.answered() >= 30 && tally.versions.contains_key("v7"), "{tally:?}");
    }

    #[test]
    fn whatever_else_comes_back_is_lost() {
        for answer in [
            "",
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        ] {
            let tally = tally_of(answer);
            assert_eq!(tally.answered(), 0, "{answer:?}");
            assert!(tally.lost() >= 30, "{tally:?}");
        }
    }
}
