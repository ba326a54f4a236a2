//! A build that takes all it can get, and the requests to an app beside it.

use super::super::numbers::{Samples, against_goal};
use super::super::server::{Server, output};
use super::super::{BenchError, Programs, Result};
use super::load::{self, Answers};
use super::{repository_with_buildpack, set_version};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const GOAL_RATIO: f64 = 3.0;
const RATE: u32 = 150;
const SPAN: Duration = Duration::from_secs(10);
const ROUNDS: usize = 4;
/// Requests before anything is counted, and time for the build to get hold of everything.
const WARM_UP: Duration = Duration::from_secs(3);
/// After a build: its files are removed, and what it dirtied is written.
const SETTLE: Duration = Duration::from_secs(3);
const STEP_LIMIT: Duration = Duration::from_secs(60);
const SERVED: &str = "python-stdlib";
const APP: &str = "burn";
const BURN: &str = include_str!("burn.py");

pub fn run(programs: &Programs) -> Result<()> {
    let server = Server::start(&programs.windlass)?;
    let served = server.repository(SERVED)?;
    server.create(SERVED, &served)?;
    server.push(&served, SERVED)?;
    let repository = repository_with_buildpack(&server, APP, BURN)?;
    let before = Processes::now(&server);
    let load = |span| load::run(server.router, SERVED, RATE, span);
    load(WARM_UP)?;
    let (mut alone, mut beside) = (Answers::default(), Answers::default());
    let mut ledger = Ledger::default();
    for round in 0..ROUNDS {
        let quiet = load(SPAN)?;
        set_version(&repository, &format!("v{round}"))?;
        server.commit_all(&repository)?;
        let build = Burning::start(&server, &repository)?;
        std::thread::sleep(WARM_UP);
        let meter = Meter::now();
        let loaded = load(SPAN)?;
        ledger.add(&meter, build.is_under_way());
        build.stop(&server)?;
        ledger.ratios.push(loaded.times.at(0.99) / quiet.times.at(0.99));
        alone.add(&quiet);
        beside.add(&loaded);
        std::thread::sleep(SETTLE);
    }
    print(&alone, &beside, &ledger);
    let lost = before.missing_in(&Processes::now(&server));
    if lost.is_empty() {
        println!("  killed beside the build: nothing, of {} processes", before.0.len());
    } else {
        println!("  killed beside the build: {} MISSED", lost.join(", "));
    }
    Ok(())
}

fn print(alone: &Answers, beside: &Answers, ledger: &Ledger) {
    println!(
        "{RATE} requests a second to examples/{SERVED}, {ROUNDS} × {} s each; ms",
        SPAN.as_secs()
    );
    println!(
        "the build: 4 spinning processes a core, one that takes memory, two that write and sync\n"
    );
    println!(
        "  {:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "", "median", "p90", "p99", "p99.9", "slowest", "failures"
    );
    for (name, answers) in [("alone", alone), ("beside a build", beside)] {
        let at = |share| answers.times.at(share);
        println!(
            "  {name:<14} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>10}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0),
            answers.failures.len()
        );
    }
    for failure in alone.failures.iter().chain(&beside.failures).collect::<BTreeSet<_>>() {
        println!("  failed: {failure}");
    }
    println!(
        "\n  meanwhile the processors were idle {:.1} % of the time, and the kernel ended {} processes",
        ledger.idle_share() * 100.0,
        ledger.killed
    );
    if !ledger.under_way {
        println!("  the build ended before it was told to: the figures are of no use");
    }
    println!(
        "  p99 beside to alone, by round: {:.2} at best, median {:.2}, {:.2} at worst",
        ledger.ratios.best(),
        ledger.ratios.median(),
        ledger.ratios.at(1.0)
    );
    let ratio = beside.times.at(0.99) / alone.times.at(0.99);
    against_goal("p99 beside a build to p99 alone", ratio, GOAL_RATIO, "×");
}

/// A push whose build burns.
struct Burning(Child);

impl Burning {
    /// Returns when it burns.
    fn start(server: &Server, repository: &Path) -> Result<Self> {
        let mut push = server.push_command(repository, APP);
        push.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = push.spawn().map_err(BenchError::io("git push"))?;
        let output = child.stderr.take().ok_or_else(|| BenchError::failed("no output"))?;
        let (sender, burning) = channel();
        // Reads on, so that the push is never held up.
        std::thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if line.contains("burning") {
                    let _ = sender.send(Ok(()));
                }
                said.push_str(&line);
                said.push('\n');
            }
            let _ = sender.send(Err(said));
        });
        let this = Self(child);
        match burning.recv_timeout(STEP_LIMIT) {
            Ok(Ok(())) => Ok(this),
            Ok(Err(said)) => Err(BenchError::Failed(format!("the build does not burn:\n{said}"))),
            Err(_) => Err(BenchError::failed("the build does not start to burn")),
        }
    }

    fn is_under_way(&self) -> bool {
        Path::new(&format!("/proc/{}/fd/0", self.0.id())).exists()
    }

    /// Cancels the build; returns when nothing of it is left.
    fn stop(mut self, server: &Server) -> Result<()> {
        server.client(server.directory(), &["builds:cancel", "--app", APP])?;
        self.0.wait().map_err(BenchError::io("git push"))?;
        let builds = server.run_directory().join("builds");
        let left = || std::fs::read_dir(&builds).is_ok_and(|mut builds| builds.next().is_some());
        let since = Instant::now();
        while left() {
            if since.elapsed() > STEP_LIMIT {
                return Err(BenchError::failed("the build does not end with its push"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Burning {
    fn drop(&mut self) {
        // git and its helper: with the connection the build ends.
        if let Ok(None) = self.0.try_wait() {
            let group = format!("-{}", self.0.id());
            let _ = output("kill", Command::new("kill").args(["-KILL", "--", &group]));
            let _ = self.0.wait();
        }
    }
}

/// Counters of the machine.
struct Meter {
    idle: u64,
    all: u64,
    killed: u64,
}

impl Meter {
    fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let stat = read("/proc/stat");
        let ticks: Vec<u64> = stat
            .lines()
            .next()
            .into_iter()
            .flat_map(|line| line.split_whitespace().skip(1).take(8))
            .filter_map(|ticks| ticks.parse().ok())
            .collect();
        let killed = read("/proc/vmstat")
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
            .unwrap_or(0);
        Self { idle: ticks.get(3).copied().unwrap_or(0), all: ticks.iter().sum(), killed }
    }
}

/// What happened beside the load.
struct Ledger {
    idle: u64,
    all: u64,
    killed: u64,
    under_way: bool,
    /// Of the p99 beside the build to that alone, by round.
    ratios: Samples,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { idle: 0, all: 0, killed: 0, under_way: true, ratios: Samples::default() }
    }
}

impl Ledger {
    fn add(&mut self, begin: &Meter, under_way: bool) {
        let now = Meter::now();
        self.idle += now.idle - begin.idle;
        self.all += now.all - begin.all;
        self.killed += now.killed - begin.killed;
        self.under_way &= under_way;
    }

    fn idle_share(&self) -> f64 {
        self.idle as f64 / self.all as f64
    }
}

/// Server, router, shims and everything below them, with when each started.
struct Processes(BTreeMap<(u32, String), String>);

impl Processes {
    fn now(server: &Server) -> Self {
        let run_directory = server.run_directory().display().to_string();
        let (mut parents, mut all, mut ours) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
            let fields: Vec<_> = fields.split(' ').collect();
            let (Some(parent), Some(started)) = (fields.get(1), fields.get(19)) else { continue };
            parents.insert(pid, parent.parse::<u32>().unwrap_or(0));
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(&run_directory) {
                ours.insert(pid);
            }
            all.insert((pid, (*started).to_owned()), command.chars().take(60).collect());
        }
        let belongs = |mut pid: u32| {
            while pid > 1 {
                if ours.contains(&pid) {
                    return true;
                }
                pid = parents.get(&pid).copied().unwrap_or(0);
            }
            false
        };
        all.retain(|(pid, _), _: &mut String| belongs(*pid));
        Self(all)
    }

    fn missing_in(&self, later: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|(process, _)| !later.0.contains_key(process));
        gone.map(|((pid, _), command)| format!("{pid} ({})", command.trim())).collect()
    }
}
