//! Control groups of both versions: limits, listing and killing processes, counters.

mod commands;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_core::instance::Resources;

const ROOT: &str = "/sys/fs/cgroup";
const PERIOD_MICROSECONDS: u64 = 100_000;

/// Where the kernel's controllers are mounted.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Hierarchies {
    /// Version 1 (also "hybrid"): mount point by controller.
    V1(BTreeMap<String, PathBuf>),
    /// Version 2: one tree.
    V2(PathBuf),
}

impl Hierarchies {
    /// Finds the mounted controllers. Fails when those for memory, cpu and pids are not there.
    pub fn detect() -> io::Result<Self> {
        let root = PathBuf::from(ROOT);
        if root.join("cgroup.controllers").exists() {
            let controllers = std::fs::read_to_string(root.join("cgroup.controllers"))?;
            let missing: Vec<_> = ["memory", "cpu", "pids"]
                .into_iter()
                .filter(|c| !controllers.split_whitespace().any(|have| have == *c))
                .collect();
            return if missing.is_empty() {
                Ok(Self::V2(root))
            } else {
                Err(no_controllers(&missing))
            };
        }
        let mounts = parse_v1_mounts(&std::fs::read_to_string("/proc/self/mountinfo")?);
        let missing: Vec<_> =
            ["memory", "cpu", "pids"].into_iter().filter(|c| !mounts.contains_key(*c)).collect();
        if missing.is_empty() { Ok(Self::V1(mounts)) } else { Err(no_controllers(&missing)) }
    }

    #[must_use]
    pub fn version(&self) -> u8 {
        if matches!(self, Self::V1(_)) { 1 } else { 2 }
    }

    /// Returns the directories of the group at `path`, each once.
    fn directories(&self, path: &str) -> Vec<PathBuf> {
        match self {
            Self::V1(mounts) => {
                let unique: BTreeSet<_> = mounts.values().map(|root| root.join(path)).collect();
                unique.into_iter().collect()
            }
            Self::V2(root) => vec![root.join(path)],
        }
    }

    /// Makes the parent group of all instances and, on version 2, lets it hand controllers down.
    pub fn create_parent(&self, parent: &str) -> io::Result<()> {
        match self {
            Self::V1(mounts) => {
                let limited = ["memory", "cpu", "pids"].into_iter().filter_map(|c| mounts.get(c));
                for root in limited {
                    make_directory(&root.join(parent))?;
                }
                Ok(())
            }
            Self::V2(root) => {
                let directory = root.join(parent);
                enable_controllers(root)?;
                make_directory(&directory)?;
                enable_controllers(&directory)?;
                make_directory(&directory.join("shims"))
            }
        }
    }

    /// Returns the names of the groups in the parent group that begin with `prefix`.
    #[must_use]
    pub fn groups(&self, parent: &str, prefix: &str) -> Vec<String> {
        let directories = self.directories(parent);
        let entries = directories.iter().flat_map(std::fs::read_dir).flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let unique: BTreeSet<_> = names.filter(|name| name.starts_with(prefix)).collect();
        unique.into_iter().collect()
    }

    /// Takes the calling process out of the service manager's group, so that stopping the server
    /// as a service does not kill it. Best effort.
    pub fn leave_service(&self, parent: &str) {
        let groups = match self {
            Self::V1(_) => service_trees(parent),
            Self::V2(root) => vec![root.join(parent).join("shims")],
        };
        for group in groups {
            let _ = make_directory(&group);
            let _ = std::fs::write(group.join("cgroup.procs"), std::process::id().to_string());
        }
    }

    /// Removes the parent group, whose members must be gone.
    pub fn remove_parent(&self, parent: &str) {
        let mut groups = self.directories(parent);
        if let Self::V1(_) = self {
            groups.extend(service_trees(parent));
        }
        for group in groups {
            for child in std::fs::read_dir(&group).into_iter().flatten().flatten() {
                if child.path().is_dir() {
                    remove_group(&child.path());
                }
            }
            remove_group(&group);
        }
    }
}

/// Returns the groups at `path` of the trees by which systemd follows services beside version 1;
/// none without systemd, since moving a process can take the kernel 15 ms.
fn service_trees(path: &str) -> Vec<PathBuf> {
    if !Path::new("/run/systemd/system").exists() {
        return Vec::new();
    }
    let trees = ["systemd", "unified"].map(|name| Path::new(ROOT).join(name));
    trees.into_iter().filter(|tree| tree.exists()).map(|tree| tree.join(path)).collect()
}

fn no_controllers(missing: &[&str]) -> io::Error {
    io::Error::other(format!(
        "the cgroup controllers {} are not mounted below {ROOT}: boot with them enabled \
         (kernel command line `cgroup_enable=memory`), or mount them",
        missing.join(", ")
    ))
}

fn parse_v1_mounts(mountinfo: &str) -> BTreeMap<String, PathBuf> {
    let mut mounts = BTreeMap::new();
    for line in mountinfo.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        let mut fields = file_system.split(' ');
        let (Some("cgroup"), Some(_), Some(options)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let Some(at) = mount.split(' ').nth(4).filter(|at| at.starts_with(ROOT)) else { continue };
        for controller in options.split(',').filter(|o| !matches!(*o, "rw" | "ro")) {
            if !controller.contains('=') && !controller.starts_with("xattr") {
                mounts.insert(controller.to_owned(), PathBuf::from(at));
            }
        }
    }
    mounts
}

fn make_directory(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn enable_controllers(directory: &Path) -> io::Result<()> {
    std::fs::write(directory.join("cgroup.subtree_control"), "+cpu +memory +pids")
}

/// Removes an empty group; its last processes may still be on their way out.
fn remove_group(directory: &Path) {
    for _ in 0..100 {
        match std::fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
    tracing::warn!(?directory, "a cgroup is still in use and was left behind");
}

/// The group of one instance.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    path: String,
}

impl Cgroup {
    #[must_use]
    pub fn new(hierarchies: &Hierarchies, parent: &str, instance: &str) -> Self {
        Self { hierarchies: hierarchies.clone(), path: format!("{parent}/{instance}") }
    }

    /// Returns the path below each hierarchy's root, with a leading `/`.
    #[must_use]
    pub fn absolute_path(&self) -> String {
        format!("/{}", self.path)
    }

    fn file(&self, controller: &str, file: &str) -> PathBuf {
        match &self.hierarchies {
            Hierarchies::V1(mounts) => {
                mounts.get(controller).cloned().unwrap_or_default().join(&self.path).join(file)
            }
            Hierarchies::V2(root) => root.join(&self.path).join(file),
        }
    }

    fn write(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        let path = self.file(controller, file);
        std::fs::write(&path, value).map_err(|error| {
            io::Error::new(error.kind(), format!("write {value} to {path:?}: {error}"))
        })
    }

    /// Makes the group and sets its hard limits. The weight comes later ([`Cgroup::set_shares`]):
    /// a small one would slow down the start itself.
    pub fn create(&self, limits: &Resources) -> io::Result<()> {
        for controller in ["memory", "cpu", "pids"] {
            make_directory(&self.file(controller, ""))?;
        }
        let v1 = self.hierarchies.version() == 1;
        if let Some(bytes) = limits.memory_bytes {
            let bytes = bytes.to_string();
            self.write("memory", if v1 { "memory.limit_in_bytes" } else { "memory.max" }, &bytes)?;
            // No swap on top; the file is missing where swap is not accounted.
            let swap = if v1 {
                ("memory.memsw.limit_in_bytes", &*bytes)
            } else {
                ("memory.swap.max", "0")
            };
            let _ = self.write("memory", swap.0, swap.1);
        }
        if let Some(millis) = limits.cpu_millis {
            let quota = (u64::from(millis) * PERIOD_MICROSECONDS / 1000).max(1000);
            if v1 {
                self.write("cpu", "cpu.cfs_period_us", &PERIOD_MICROSECONDS.to_string())?;
                self.write("cpu", "cpu.cfs_quota_us", &quota.to_string())?;
            } else {
                self.write("cpu", "cpu.max", &format!("{quota} {PERIOD_MICROSECONDS}"))?;
            }
        }
        if let Some(processes) = limits.processes {
            // One more for the container's own first process, which nobody asked for.
            self.write("pids", "pids.max", &(u64::from(processes) + 1).to_string())?;
        }
        Ok(())
    }

    /// Sets the weight against other groups, on version 1's scale (2 to 262144).
    pub fn set_shares(&self, shares: u32) -> io::Result<()> {
        let shares = u64::from(shares.clamp(2, 262_144));
        match self.hierarchies {
            Hierarchies::V1(_) => self.write("cpu", "cpu.shares", &shares.to_string()),
            Hierarchies::V2(_) => {
                self.write("cpu", "cpu.weight", &(1 + (shares - 2) * 9999 / 262_142).to_string())
            }
        }
    }

    /// Opens the files through which a process enters the group.
    pub fn entrances(&self) -> io::Result<Vec<std::fs::File>> {
        let files = ["memory", "cpu", "pids"].map(|c| self.file(c, "cgroup.procs"));
        let unique: BTreeSet<_> = files.into_iter().collect();
        unique.into_iter().map(|file| std::fs::File::options().write(true).open(file)).collect()
    }

    /// Returns the processes of the group, those of commands beside it included; none when there
    /// is no such group.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let directories = self.command_directories().into_iter().chain([self.file("pids", "")]);
        let lists = directories.map(|directory| directory.join("cgroup.procs"));
        let text: String = lists.filter_map(|list| std::fs::read_to_string(list).ok()).collect();
        text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
    }

    /// Sends a signal to every process, those born meanwhile included.
    pub fn signal_all(&self, signal: i32) {
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            let fresh: Vec<_> =
                self.processes().into_iter().filter(|pid| seen.insert(*pid)).collect();
            if fresh.is_empty() {
                return;
            }
            for pid in fresh {
                send_signal(pid, signal);
            }
        }
    }

    /// Kills every process and waits until they are gone, at most `limit`. Returns whether they are.
    #[must_use]
    pub fn kill_all(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        if self.hierarchies.version() == 2 {
            let _ = self.write("", "cgroup.kill", "1");
        }
        loop {
            let processes = self.processes();
            if processes.is_empty() {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            for pid in processes {
                send_signal(pid, libc::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns whether the kernel has killed a process of the group for memory.
    #[must_use]
    pub fn ran_out_of_memory(&self) -> bool {
        let v1 = self.hierarchies.version() == 1;
        let file = if v1 { "memory.oom_control" } else { "memory.events" };
        let text = std::fs::read_to_string(self.file("memory", file)).unwrap_or_default();
        text.lines().any(|line| {
            line.strip_prefix("oom_kill ").is_some_and(|count| count.trim().parse() != Ok(0u64))
        })
    }

    /// Returns the memory that the group uses, in bytes, without files that were not read lately;
    /// `None` when there is no such group.
    #[must_use]
    pub fn memory_used(&self) -> Option<u64> {
        let v1 = self.hierarchies.version() == 1;
        let (usage, inactive) = if v1 {
            ("memory.usage_in_bytes", "total_inactive_file ")
        } else {
            ("memory.current", "inactive_file ")
        };
        let used: u64 =
            std::fs::read_to_string(self.file("memory", usage)).ok()?.trim().parse().ok()?;
        let details =
            std::fs::read_to_string(self.file("memory", "memory.stat")).unwrap_or_default();
        let inactive = details.lines().find_map(|line| line.strip_prefix(inactive)?.parse().ok());
        Some(used.saturating_sub(inactive.unwrap_or(0)))
    }

    /// Returns whether a process of the group could not start another for the limit of processes.
    #[must_use]
    pub fn ran_out_of_processes(&self) -> bool {
        let text = std::fs::read_to_string(self.file("pids", "pids.events")).unwrap_or_default();
        text.lines().any(|line| {
            line.strip_prefix("max ").is_some_and(|count| count.trim().parse() != Ok(0u64))
        })
    }

    /// Removes the group, which must be empty, and with it its counters.
    pub fn remove(&self) {
        for directory in self.command_directories() {
            remove_group(&directory);
        }
        for directory in self.hierarchies.directories(&self.path) {
            remove_group(&directory);
        }
    }
}

fn send_signal(pid: i32, signal: i32) {
    if let Ok(signal) = nix::sys::signal::Signal::try_from(signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_combined_and_single_controllers() {
        let text = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            35 30 0:31 / /mnt/elsewhere rw - cgroup cgroup rw,pids\n";
        let mounts = parse_v1_mounts(text);
        let names: Vec<_> = mounts.keys().map(String::as_str).collect();
        assert_eq!(names, ["cpu", "cpuacct", "memory"]);
        assert_eq!(mounts["cpu"], Path::new("/sys/fs/cgroup/cpu,cpuacct"));
    }
}
