//! `bench idle`: memory of the server, the router and the shims with many idle apps.

use super::numbers::{Samples, against_goal};
use super::server::Server;
use super::{BenchError, Programs, Result, machine};
use std::path::Path;
use std::time::Duration;

const GOAL_SERVER_AND_ROUTER: f64 = 40.0;
const GOAL_SHIM: f64 = 2.0;
const GOAL_SHIM_PRIVATE: f64 = 1.0;
/// Caches and threads that a push needed are given back after a while.
const SETTLE: Duration = Duration::from_secs(10);

/// Proportional and private memory of a process, in megabytes of 2^20 bytes.
#[derive(Clone, Copy, Default)]
struct Memory {
    pss: f64,
    private: f64,
}

pub fn run(programs: &Programs, counts: &[usize]) -> Result<()> {
    machine::print();
    let server = Server::start(&programs.windlass)?;
    let repository = server.repository("python-stdlib")?;
    println!("idle apps: one web instance each of examples/python-stdlib; MB of 2^20 bytes, PSS\n");
    println!(
        "  {:>5} {:>8} {:>8} {:>16} {:>12} {:>14} {:>14}",
        "apps", "server", "router", "server + router", "shim", "shim, private", "init, private"
    );
    let mut first = None;
    let mut shim = None;
    let mut made = 0;
    for count in counts {
        while made < *count {
            made += 1;
            deploy(&server, &repository, made)?;
        }
        std::thread::sleep(SETTLE);
        let now = measure(&server, made)?;
        first.get_or_insert(now.server.pss + now.router.pss);
        shim = now.shims.or(shim);
        now.print(made);
    }
    let size = std::fs::metadata(&programs.windlass).map_or(0, |file| file.len());
    println!(
        "\n  not in these figures: the sealed copy of the program that shims run, {:.1} MB once",
        size as f64 / f64::from(1 << 20)
    );
    if let Some(both) = first {
        against_goal("server and router", both, GOAL_SERVER_AND_ROUTER, "MB");
    }
    if let Some(shim) = shim {
        against_goal("a shim", shim.pss, GOAL_SHIM, "MB");
        against_goal("a shim, private", shim.private, GOAL_SHIM_PRIVATE, "MB");
    }
    Ok(())
}

fn deploy(server: &Server, repository: &Path, number: usize) -> Result<()> {
    let name = format!("idle-{number}");
    server.create(&name, repository)?;
    server.git(repository, &["push", "--quiet", &name, "main"])?;
    match server.get(&name) {
        Some(_) => Ok(()),
        None => Err(BenchError::Failed(format!("{name} does not answer"))),
    }
}

struct Measured {
    server: Memory,
    router: Memory,
    /// Medians over all instances.
    shims: Option<Memory>,
    inits: Option<Memory>,
}

fn measure(server: &Server, apps: usize) -> Result<Measured> {
    let run_directory = server.run_directory().display().to_string();
    let (mut router, mut shims, mut inits) = (None, Vec::new(), Vec::new());
    for process in std::fs::read_dir("/proc").map_err(BenchError::io("/proc"))?.flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if !command.contains(&run_directory) {
            continue;
        }
        let Ok(pid) = process.file_name().to_string_lossy().parse() else { continue };
        match command.split(' ').nth(1) {
            Some("router") => router = Some(memory(pid)?),
            // The container's first process is a fork of the shim, in its own namespaces.
            Some("shim") if is_in_container(pid) => inits.push(memory(pid)?),
            Some("shim") => shims.push(memory(pid)?),
            _ => {}
        }
    }
    if shims.len() != apps {
        let what = format!("{} shims are running, and {apps} apps", shims.len());
        return Err(BenchError::Failed(what));
    }
    let router = router.ok_or_else(|| BenchError::failed("there is no router"))?;
    let server = memory(server.pid)?;
    Ok(Measured { server, router, shims: median(&shims), inits: median(&inits) })
}

fn median(all: &[Memory]) -> Option<Memory> {
    let of = |value: fn(&Memory) -> f64| all.iter().map(value).collect::<Samples>().median();
    (!all.is_empty()).then(|| Memory { pss: of(|m| m.pss), private: of(|m| m.private) })
}

/// Whether a process has another process namespace than we.
fn is_in_container(pid: u32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    namespace(&pid.to_string()) != namespace("self")
}

fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(BenchError::io(path))?;
    let megabytes = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or(0.0) / 1024.0
    };
    Ok(Memory {
        pss: megabytes("Pss"),
        private: megabytes("Private_Clean") + megabytes("Private_Dirty"),
    })
}

impl Measured {
    fn print(&self, apps: usize) {
        let some = |memory: Option<f64>| memory.map_or("–".to_owned(), |mb| format!("{mb:.2}"));
        println!(
            "  {apps:>5} {:>8.1} {:>8.1} {:>16.1} {:>12} {:>14} {:>14}",
            self.server.pss,
            self.router.pss,
            self.server.pss + self.router.pss,
            some(self.shims.map(|shim| shim.pss)),
            some(self.shims.map(|shim| shim.private)),
            some(self.inits.map(|init| init.private)),
        );
    }
}
