//! What is done to the server: its parts are killed one after the other, its disk is filled.

use super::load::Load;
use super::random::Random;
use super::{APPS, is_stopped};
use crate::bench::server::{Server, output};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A second crash of the same instance within a minute is waited for longer than a first, as it
/// should be; to see whether others are harmed each is killed less often than that.
const SLOT_PAUSE: Duration = Duration::from_secs(65);
const ROUTER_LIMIT: Duration = Duration::from_secs(10);
const INSTANCE_LIMIT: Duration = Duration::from_secs(10);
const FULL_FOR: Duration = Duration::from_secs(5);
const BUILD_WAIT: Duration = Duration::from_secs(5);
const RESTART_LIMIT: Duration = Duration::from_secs(60);

pub struct Faults {
    random: Random,
    run_directory: String,
    filler: PathBuf,
    counts: BTreeMap<&'static str, usize>,
    last_kill: BTreeMap<String, Instant>,
    violations: Vec<String>,
}

/// A process of an instance's.
struct Victim {
    pid: u32,
    app: Option<&'static str>,
    slot: String,
}

impl Faults {
    pub fn new(server: &Server, random: Random) -> Self {
        Self {
            random,
            run_directory: server.run_directory().display().to_string(),
            filler: server.data().join("filler"),
            counts: BTreeMap::new(),
            last_kill: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Does one thing, and waits a little.
    pub fn one(&mut self, server: &mut Server, load: &Load) {
        match self.random.below(10) {
            0..=2 => self.kill_server(server),
            3 => self.kill_router(load),
            4 => {
                self.kill_router(load);
                self.kill_server(server);
            }
            5 => self.kill_instance(load, "a shim", true),
            6 => self.kill_instance(load, "an instance", false),
            7 | 8 => self.kill_build(),
            _ => self.fill_disk(load),
        }
        self.pause(1_000, 4_000);
    }

    fn pause(&mut self, from_ms: usize, to_ms: usize) {
        let wait = from_ms + self.random.below(to_ms - from_ms);
        let until = Instant::now() + Duration::from_millis(wait as u64);
        while Instant::now() < until && !is_stopped() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }

    fn kill_server(&mut self, server: &mut Server) {
        server.kill();
        self.count("the server");
        self.pause(1, 1_500);
        self.start_server(server);
    }

    fn start_server(&mut self, server: &mut Server) {
        let since = Instant::now();
        while let Err(error) = server.start_again() {
            if since.elapsed() > RESTART_LIMIT {
                self.violations.push(format!("the server does not come back: {error}"));
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn kill_router(&mut self, load: &Load) {
        let of_router = |(_, command): &(u32, String)| command.split(' ').nth(1) == Some("router");
        let Some((pid, _)) = self.processes().into_iter().find(of_router) else { return };
        load.excuse(None, "router killed", ROUTER_LIMIT);
        kill(pid);
        self.count("the router");
    }

    fn kill_instance(&mut self, load: &Load, what: &'static str, shim: bool) {
        let mut victims = self.victims(shim);
        victims.retain(|victim| {
            let last = self.last_kill.get(&victim.slot);
            victim.app.is_some() && last.is_none_or(|at| at.elapsed() > SLOT_PAUSE)
        });
        if victims.is_empty() {
            return;
        }
        let victim = victims.swap_remove(self.random.below(victims.len()));
        self.last_kill.insert(victim.slot, Instant::now());
        load.excuse(victim.app, "instance killed", INSTANCE_LIMIT);
        kill(victim.pid);
        self.count(what);
    }

    /// Waits for a build that is under way.
    fn kill_build(&mut self) {
        let since = Instant::now();
        while since.elapsed() < BUILD_WAIT && !is_stopped() {
            let shim = self.random.below(2) == 0;
            let build = self.victims(shim).into_iter().find(|victim| victim.app.is_none());
            if let Some(build) = build {
                kill(build.pid);
                return self.count("a build");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn fill_disk(&mut self, load: &Load) {
        let directory = self.filler.with_file_name("");
        load.disk_is_full(true);
        let mut free = Command::new("df");
        free.args(["--output=avail", "-B1"]).arg(&directory);
        let bytes = output("df", &mut free).unwrap_or_default();
        let bytes = bytes.lines().nth(1).unwrap_or("0").trim().to_owned();
        let mut fill = Command::new("fallocate");
        // Refused if something else took the last of it meanwhile: it is full then as well.
        let _ = output("fallocate", fill.args(["-l", &bytes]).arg(&self.filler));
        let until = Instant::now() + FULL_FOR;
        while Instant::now() < until && !is_stopped() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = std::fs::remove_file(&self.filler);
        load.disk_is_full(false);
        self.count("a full disk");
    }

    /// Frees what was taken, and sees to it that there is a server.
    pub fn end(&mut self, server: &mut Server) {
        let _ = std::fs::remove_file(&self.filler);
        if !server.is_running() {
            self.start_server(server);
        }
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.clone()
    }

    pub fn report(&self) {
        println!("killed or done: {:?}", self.counts);
    }

    /// The server's processes, with their command lines.
    fn processes(&self) -> Vec<(u32, String)> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let commands = entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            Some((pid, String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned()))
        });
        commands.filter(|(_, command)| command.contains(&self.run_directory)).collect()
    }

    /// Shims, or one process of each instance; builds have no app.
    fn victims(&self, shims: bool) -> Vec<Victim> {
        let mut victims = Vec::new();
        for (pid, command) in self.processes() {
            let mut words = command.split(' ').skip(1);
            let (Some("shim"), Some(directory)) = (words.next(), words.next()) else { continue };
            let id = directory.rsplit('/').next().unwrap_or_default();
            if is_in_container(pid) || victims.iter().any(|v: &Victim| v.slot.contains(id)) {
                continue;
            }
            let launch = std::fs::read_to_string(format!("{directory}/launch.json"));
            let launch = launch.unwrap_or_default();
            let is_build = id.starts_with("build-");
            let app =
                APPS.into_iter().find(|app| launch.contains(&format!("\"app_name\":\"{app}\"")));
            let name = id.rsplit_once('-').map_or(id, |(name, _)| name);
            let slot = format!("{}-{name}", app.unwrap_or_default());
            let pid = if shims { Some(pid) } else { process_in(id) };
            if let Some(pid) = pid {
                victims.push(Victim { pid, app: app.filter(|_| !is_build), slot });
            }
        }
        victims
    }
}

/// A process of the instance's that is not a copy of its shim.
fn process_in(id: &str) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        groups.contains(id) && !command.contains(" shim ") && !command.is_empty()
    })
}

/// Whether a process has another process namespace than we.
fn is_in_container(pid: u32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    namespace(&pid.to_string()) != namespace("self")
}

fn kill(pid: u32) {
    // It may have ended by itself meanwhile.
    let _ = output("kill", Command::new("kill").arg("-KILL").arg(pid.to_string()));
}
