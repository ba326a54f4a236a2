//! Two hundred deploys in a row: nothing on the machine may grow with them.

use super::super::numbers::{Samples, against_goal};
use super::super::server::{Server, output};
use super::super::{BenchError, Result};
use super::first_push;
use super::many::resident_megabytes;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const DEPLOYS: usize = 200;
/// Caches are full and freed memory is used again after these.
const WARM: usize = 40;
/// Of the server's memory between the warm state and the end, in megabytes.
const GOAL_MEMORY: f64 = 4.0;
const LIMIT: Duration = Duration::from_secs(240);
const SETTLE: Duration = Duration::from_secs(15);

/// What there is on the machine of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    processes: usize,
    mounts: usize,
    cgroups: usize,
    namespaces: usize,
    devices: usize,
    open_files: usize,
    firewall_lines: usize,
}

pub fn run(server: &Server, code: &Path) -> Result<()> {
    let name = "again";
    first_push(server, code, name)?;
    let deploy = |number: usize| {
        server.client(code, &["config:set", &format!("NUMBER={number}"), "--app", name])
    };
    (0..WARM).try_for_each(deploy)?;
    let before = settled(server, None)?;
    let memory_before = resident_megabytes(server.pid)?;
    let (mut times, begun) = (Samples::default(), Instant::now());
    for number in WARM..WARM + DEPLOYS {
        let since = Instant::now();
        deploy(number)?;
        times.push(since.elapsed().as_secs_f64());
        if begun.elapsed() > LIMIT {
            return Err(BenchError::Failed(format!("only {number} deploys in {LIMIT:?}")));
        }
    }
    let after = settled(server, Some(&before))?;
    let memory = resident_megabytes(server.pid)?;
    println!("{DEPLOYS} deploys (config:set) in a row, after {WARM} others; before and after:");
    println!("  {before:?}\n  {after:?}");
    println!("  a deploy: median {:.2} s, p99 {:.2} s", times.median(), times.at(0.99));
    println!("  server: {memory_before:.1} MB, then {memory:.1} MB resident");
    against_goal("growth of the server's memory", memory - memory_before, GOAL_MEMORY, "MB");
    let grown = after.more_than(&before);
    println!("  kinds of things that grew: {grown}, goal 0");
    if grown > 0 {
        return Err(BenchError::failed("deploys leave something behind"));
    }
    Ok(())
}

/// Counts once old instances are gone: until it is as wanted, or nothing changes any more.
fn settled(server: &Server, wanted: Option<&Counts>) -> Result<Counts> {
    let since = Instant::now();
    loop {
        let now = Counts::of(server)?;
        let is_done = wanted.is_some_and(|wanted| now.more_than(wanted) == 0);
        if is_done || since.elapsed() > SETTLE {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

impl Counts {
    fn of(server: &Server) -> Result<Self> {
        let run = server.run_directory().display().to_string();
        let data = server.data().display().to_string();
        let name = instance_group(server.pid, &run)?;
        let (mut processes, mut namespaces) = (0, std::collections::BTreeSet::new());
        for pid in pids() {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            if !command.contains(&run) && !groups.contains(&name) {
                continue;
            }
            processes += 1;
            for kind in ["pid", "mnt", "net", "user"] {
                namespaces.extend(std::fs::read_link(format!("/proc/{pid}/ns/{kind}")));
            }
        }
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", server.pid));
        let mounts = mounts.map_err(BenchError::io("mountinfo"))?;
        let firewall = output("nft", Command::new("nft").args(["list", "ruleset"]))?;
        let table = name.trim_start_matches("windlass-").to_owned();
        Ok(Self {
            processes,
            mounts: mounts.lines().filter(|l| l.contains(&run) || l.contains(&data)).count(),
            cgroups: cgroups(&name),
            namespaces: namespaces.len(),
            devices: entries("/sys/class/net", &table),
            open_files: entries(&format!("/proc/{}/fd", server.pid), ""),
            firewall_lines: lines_of_table(&firewall, &table),
        })
    }

    /// Of how many kinds there are more now. A few files are open or not as it happens.
    fn more_than(&self, before: &Self) -> usize {
        let pairs = [
            (self.processes, before.processes),
            (self.mounts, before.mounts),
            (self.cgroups, before.cgroups),
            (self.namespaces, before.namespaces),
            (self.devices, before.devices),
            (self.open_files, before.open_files + 4),
            (self.firewall_lines, before.firewall_lines),
        ];
        pairs.iter().filter(|(now, before)| now > before).count()
    }
}

fn pids() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The name of the cgroup of this server's instances, as a shim's child is in one.
fn instance_group(server: u32, run: &str) -> Result<String> {
    let find = |pid: u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        if pid == server || !String::from_utf8_lossy(&command).contains(run) {
            return None;
        }
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let from = groups.find("windlass-")?;
        groups[from..].split(['/', '\n']).next().map(str::to_owned)
    };
    pids().into_iter().find_map(find).ok_or_else(|| BenchError::failed("no instance runs"))
}

fn cgroups(name: &str) -> usize {
    let root = PathBuf::from("/sys/fs/cgroup");
    let controllers = std::fs::read_dir(&root).into_iter().flatten().flatten();
    let roots = controllers.map(|entry| entry.path()).chain([root.clone()]);
    roots.map(|path| path.join(name)).filter(|path| path.is_dir()).map(|path| below(&path)).sum()
}

fn below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    1 + entries.map(|e| e.path()).filter(|path| path.is_dir()).map(|p| below(&p)).sum::<usize>()
}

fn entries(directory: &str, part: &str) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().contains(part)).count()
}

/// The lines of the tables whose name has this part.
fn lines_of_table(ruleset: &str, part: &str) -> usize {
    let mut is_ours = false;
    let mut count = 0;
    for line in ruleset.lines() {
        if line.starts_with("table ") {
            is_ours = line.contains(part);
        }
        count += usize::from(is_ours);
    }
    count
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_our_tables_are_counted() {
        let ruleset = "table ip other {\n\tx\n}\ntable ip windlass_ab12 {\n\ty\n\tz\n}\n";
        assert_eq!(super::lines_of_table(ruleset, "ab12"), 4);
    }
}
