//! Programs that are measured: on cores of their own, with all that they start, for a bounded time.

use super::super::server::output;
use super::super::{BenchError, Result};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(5);
/// Nothing outlives a bench that was killed for longer, in seconds.
const LIFE: &str = "1800";
/// Of `utime` and `stime` in `/proc/PID/stat`: USER_HZ, which Linux keeps at 100.
const TICKS: f64 = 100.0;

/// Which cores the proxies have, and which the load and the backend; as `taskset` wants them.
#[derive(Clone, Debug)]
pub struct Cores {
    pub proxy: String,
    pub others: String,
    pub workers: usize,
    count: usize,
}

impl Cores {
    /// One core for the proxy and all others for the rest.
    pub fn split() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 {
            return Err(BenchError::failed("two cores are needed: one for the proxy alone"));
        }
        let others = format!("1-{}", cores - 1);
        Ok(Self { proxy: "0".to_owned(), others, workers: 1, count: cores })
    }

    /// The cores that the proxies do not have.
    pub fn others(&self) -> std::ops::Range<usize> {
        1..self.count
    }
}

/// A program and its children, in a process group of their own. They end when it is dropped.
pub struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// Starts it on these cores with its output in `log`; `environment` is added to ours.
    pub fn start(
        name: &'static str,
        cores: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self> {
        let open = || -> std::io::Result<(File, File)> {
            let file = File::options().create(true).append(true).open(log)?;
            Ok((file.try_clone()?, file))
        };
        let (out, err) = open().map_err(BenchError::io(log.display().to_string()))?;
        let child = Command::new("timeout")
            .args(["--kill-after=5", LIFE, "taskset", "--cpu-list", cores])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(BenchError::io(name))?;
        Ok(Self { child, name })
    }

    /// Waits until it listens.
    pub fn until_open(&mut self, address: SocketAddr) -> Result<()> {
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            if !matches!(self.child.try_wait(), Ok(None)) || since.elapsed() > START_LIMIT {
                return Err(BenchError::Failed(format!("{} does not start", self.name)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Returns the processor time that its processes and their threads have used so far, in
    /// seconds.
    pub fn cpu(&self) -> f64 {
        self.stats().iter().map(|stat| stat.ticks as f64 / TICKS).sum()
    }

    /// Returns its proportional memory, in megabytes of 2^20 bytes.
    pub fn memory(&self) -> f64 {
        let pss = |pid: u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kilobytes.unwrap_or(0.0) / 1024.0
        };
        // The first is `timeout`.
        self.stats().iter().filter(|stat| stat.pid != self.child.id()).map(|s| pss(s.pid)).sum()
    }

    /// Whether this is one of its processes.
    pub fn has(&self, pid: u32) -> bool {
        self.stats().iter().any(|stat| stat.pid == pid)
    }

    fn stats(&self) -> Vec<Stat> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                Stat::parse(pid, &fs::read_to_string(entry.path().join("stat")).ok()?)
            })
            .filter(|stat| stat.group == self.child.id())
            .collect()
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<()> {
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if since.elapsed() > limit {
                return Err(BenchError::Failed(format!("{} does not end", self.name)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let group = format!("-{}", self.child.id());
        let _ = output("kill", Command::new("kill").args(["-TERM", "--", &group]));
        if self.wait(END_LIMIT).is_err() {
            let _ = output("kill", Command::new("kill").args(["-KILL", "--", &group]));
        }
        let _ = self.child.wait();
    }
}

/// What is wanted of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    group: u32,
    ticks: u64,
}

impl Stat {
    fn parse(pid: u32, text: &str) -> Option<Self> {
        // The name may hold anything, also spaces and brackets.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self { pid, group: number(2)? as u32, ticks: number(11)? + number(12)? })
    }
}

/// Returns an address that is free now.
pub fn free_address() -> Result<SocketAddr> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(BenchError::io("a free port"))
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn group_and_times_are_read_whatever_the_name() {
        let text = "7 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 1";
        assert_eq!(Stat::parse(7, text), Some(Stat { pid: 7, group: 42, ticks: 300 }));
    }
}
