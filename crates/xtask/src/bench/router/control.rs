//! The control plane's part: a router is told its table over its control socket.

use super::super::{BenchError, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const START_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// One app in the table.
pub struct Route(Value);

impl Route {
    /// A serving app with one web instance at each address. The number makes its id and those of
    /// its instances.
    pub fn new(
        number: u32,
        hosts: &[&str],
        addresses: &[SocketAddr],
        log_file: Option<&Path>,
    ) -> Self {
        let targets: Vec<Value> = addresses
            .iter()
            .enumerate()
            .map(|(at, address)| {
                let instance = Self::instance(number, *address);
                json!({ "instance": instance, "name": format!("web.{}", at + 1), "address": address })
            })
            .collect();
        Self(json!({
            "app": Self::app(number),
            "app_name": format!("app-{number}"),
            "hosts": hosts,
            "availability": "serving",
            "targets": targets,
            "log_file": log_file,
        }))
    }

    /// The same targets under another app.
    pub fn of_app(mut self, number: u32) -> Self {
        self.0["app"] = json!(Self::app(number));
        self
    }

    fn app(number: u32) -> String {
        format!("00000000-0000-4000-8000-{number:012x}")
    }

    /// The id of an app's instance at this address.
    pub fn instance(number: u32, address: SocketAddr) -> String {
        format!("web-{}-{number}", address.port())
    }
}

/// A connection to a router's control socket; one command at a time.
pub struct Control {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    last: u64,
}

impl Control {
    pub fn connect(socket: &Path) -> Result<Self> {
        let connect = || {
            // It is made after the listening socket.
            let since = Instant::now();
            let stream = loop {
                match UnixStream::connect(socket) {
                    Err(_) if since.elapsed() < START_LIMIT => std::thread::sleep(PAUSE),
                    connected => break connected?,
                }
            };
            stream.set_read_timeout(Some(LIMIT))?;
            Ok(BufReader::new(stream))
        };
        let stream = connect().map_err(BenchError::io(socket.display().to_string()))?;
        Ok(Self { socket: socket.to_owned(), stream, last: 0 })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the process that answers.
    pub fn pid(&mut self) -> Result<u32> {
        let pid = self.send(json!({ "command": "status" }))?["pid"].as_u64();
        pid.and_then(|pid| u32::try_from(pid).ok())
            .ok_or_else(|| BenchError::failed("the router's status has no process id"))
    }

    pub fn sync(&mut self, routes: &[Route]) -> Result<()> {
        let routes: Vec<&Value> = routes.iter().map(|route| &route.0).collect();
        self.send(json!({ "command": "sync", "routes": routes })).map(drop)
    }

    /// Begins to replace one app's route; returns when the router has been told.
    pub fn begin_upsert(&mut self, route: &Route) -> Result<()> {
        self.begin(json!({ "command": "upsert", "route": route.0 }))
    }

    pub fn upsert(&mut self, route: &Route) -> Result<()> {
        self.begin_upsert(route)?;
        self.answer().map(drop)
    }

    /// Waits until an instance that has left the table has nothing in flight; returns what is left
    /// when the time is up.
    pub fn drain(&mut self, instance: &str, limit: Duration) -> Result<u64> {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let command = json!({ "command": "drain", "instance": instance, "timeout_ms": limit });
        Ok(self.send(command)?["in_flight"].as_u64().unwrap_or(u64::MAX))
    }

    /// Gives it one certificate.
    pub fn certificate(&mut self, hosts: &[&str], chain: &Path, key: &Path) -> Result<()> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(BenchError::io(path.display().to_string()))
        };
        let certificate =
            json!({ "hosts": hosts, "chain_pem": read(chain)?, "key_pem": read(key)? });
        self.send(json!({ "command": "certificates", "certificates": [certificate] })).map(drop)
    }

    fn send(&mut self, command: Value) -> Result<Value> {
        self.begin(command)?;
        self.answer()
    }

    fn begin(&mut self, mut command: Value) -> Result<()> {
        self.last += 1;
        command["id"] = json!(self.last);
        let line = format!("{command}\n");
        let sent = self.stream.get_mut().write_all(line.as_bytes());
        sent.map_err(BenchError::io("the router's control socket"))
    }

    /// Waits for the answer to the last command.
    pub fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        read.map_err(BenchError::io("the router's control socket"))?;
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        if answer["id"] != json!(self.last) || answer["reply"] == "failed" {
            return Err(BenchError::Failed(format!("the router answers {}", line.trim())));
        }
        Ok(answer)
    }
}
