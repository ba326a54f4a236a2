//! Steady requests in the background, each counted.

use crate::http::{Connection, Response};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two requests of one connection: the machine does other things too.
const PAUSE: Duration = Duration::from_millis(8);
const KEEP_ALIVE_CLIENTS: usize = 2;
const FRESH_CLIENTS: usize = 1;
/// Failures kept in words.
const FAILURES_KEPT: usize = 10;

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub by_status: BTreeMap<u16, u64>,
    /// Requests without a whole answer.
    pub failed: u64,
    /// The first failures, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// Returns how many were answered with success.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.by_status
            .iter()
            .filter(|(status, _)| (200..300).contains(*status))
            .map(|(_, n)| n)
            .sum()
    }

    /// Returns how many were not.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.failed + self.by_status.values().sum::<u64>() - self.ok()
    }

    /// Panics if a request was lost, or if there were none.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        assert!(self.lost() == 0 && self.ok() > 0, "requests were lost: {self:?}");
    }
}

/// Clients that ask for one page again and again, on connections that are kept and on new ones.
pub struct Load {
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the clients.
    #[must_use]
    pub fn start(address: SocketAddr, host: &str, path: &str) -> Self {
        let (stop, report) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Report::default())));
        let client = |keep_alive: bool| {
            let client = Client {
                address,
                host: host.to_owned(),
                path: path.to_owned(),
                keep_alive,
                stop: stop.clone(),
                report: report.clone(),
            };
            std::thread::spawn(move || client.run())
        };
        let kinds = [true; KEEP_ALIVE_CLIENTS].into_iter().chain([false; FRESH_CLIENTS]);
        let clients = kinds.map(client).collect();
        Self { stop, report, clients }
    }

    /// Returns what became of the requests until now.
    #[must_use]
    pub fn so_far(&self) -> Report {
        self.report.lock().unwrap().clone()
    }

    /// Waits until so many more requests were answered.
    #[track_caller]
    pub fn wait_for(&self, more: u64) {
        let before = self.so_far().ok();
        crate::wait_until("requests to be answered", Duration::from_secs(60), || {
            self.so_far().ok() >= before + more
        });
    }

    /// Ends the clients, each after its last answer.
    pub fn stop(mut self) -> Report {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

struct Client {
    address: SocketAddr,
    host: String,
    path: String,
    keep_alive: bool,
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
}

impl Client {
    fn run(self) {
        let mut kept = None;
        while !self.stop.load(Ordering::Relaxed) {
            match self.ask(kept.take()) {
                Ok((response, connection)) => {
                    let closes =
                        response.header("connection").is_some_and(|value| value == "close");
                    kept = (self.keep_alive && !closes).then_some(connection);
                    let mut report = self.report.lock().unwrap();
                    *report.by_status.entry(response.status).or_default() += 1;
                    if !(200..300).contains(&response.status)
                        && report.failures.len() < FAILURES_KEPT
                    {
                        report.failures.push(words(&response.text()));
                    }
                }
                Err(error) => {
                    let mut report = self.report.lock().unwrap();
                    report.failed += 1;
                    if report.failures.len() < FAILURES_KEPT {
                        let kind = if self.keep_alive { "kept" } else { "new" };
                        report.failures.push(format!("on a {kind} connection: {error}"));
                    }
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn ask(&self, kept: Option<Connection>) -> io::Result<(Response, Connection)> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address, &self.host)?,
        };
        let headers: &[(&str, &str)] =
            if self.keep_alive { &[] } else { &[("connection", "close")] };
        connection.send("GET", &self.path, headers, b"")?;
        Ok((connection.receive()?, connection))
    }
}

/// Returns what a page says, without what it looks like.
fn words(page: &str) -> String {
    let body = page.split_once("</head>").map_or(page, |(_, body)| body);
    body.chars().take(600).collect()
}
