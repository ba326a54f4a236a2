//! `bench push`: from `git push` to the new version's first answer, by stage.

use super::numbers::{Samples, against_goal};
use super::server::{Server, output};
use super::{BenchError, Programs, Result, machine};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const GOAL_SECONDS: f64 = 1.5;
const GOAL_PLATFORM_SECONDS: f64 = 0.7;
const APP: &str = "bench";
/// How often the load-free poll asks for the new version.
const POLL: Duration = Duration::from_millis(2);
const SERVED_LIMIT: Duration = Duration::from_secs(60);

/// The server's stages in their order, and what they are. `check` is the app's boot.
const STAGES: &[(&str, &str)] = &[
    ("wait", "waiting for a free build slot"),
    ("checkout", "source out of the repository"),
    ("buildpacks", "build container, start to end; in it:"),
    ("detect_ms", "  detect"),
    ("compile_ms", "  compile"),
    ("release_ms", "  release"),
    ("image", "layer in place, image made"),
    ("release", "release stored"),
    ("start", "container start"),
    ("check", "the app's boot: until it answers"),
    ("swap", "router told, release committed"),
    ("finish", "end of the push"),
];

pub fn run(programs: &Programs, runs: usize) -> Result<()> {
    machine::print();
    let server = Server::start(&programs.windlass)?;
    let repository = server.repository("python-stdlib")?;
    add_bare_remote(&server, &repository)?;
    server.create(APP, &repository)?;
    let mut table = Table::default();
    let mut seen = BTreeSet::new();
    // The first one makes the app; the stack is warm afterwards.
    push(&server, &repository, "v0", &mut seen)?;
    for number in 1..=runs {
        table.add(push(&server, &repository, &format!("v{number}"), &mut seen)?);
    }
    table.print(runs);
    Ok(())
}

/// A repository without any platform behind it, to see what git takes for itself.
fn add_bare_remote(server: &Server, repository: &Path) -> Result<()> {
    let bare = server.directory().join("bare.git");
    let mut init = Command::new("git");
    init.args(["init", "--quiet", "--bare"]).arg(&bare);
    output("git init", &mut init)?;
    server.git(repository, &["remote", "add", "bare", &bare.display().to_string()]).map(drop)
}

/// One push, in milliseconds.
struct Push {
    served: f64,
    returned: f64,
    git_alone: f64,
    stages: BTreeMap<String, f64>,
}

fn push(
    server: &Server,
    repository: &Path,
    version: &str,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<Push> {
    std::fs::write(repository.join("VERSION"), format!("{version}\n"))
        .map_err(BenchError::io("VERSION"))?;
    server.git(repository, &["commit", "--quiet", "--all", "--message", version])?;
    let begun = Instant::now();
    server.git(repository, &["push", "--quiet", "bare", "main"])?;
    let git_alone = milliseconds(begun);
    let pushed = AtomicBool::new(false);
    let begun = Instant::now();
    let (served, returned) = std::thread::scope(|scope| {
        let poll = scope.spawn(|| until_served(server, version, begun, &pushed));
        let outcome = server.git(repository, &["push", APP, "main"]);
        let returned = milliseconds(begun);
        pushed.store(true, Ordering::Relaxed);
        let served = poll.join().unwrap_or_else(|_| Err(BenchError::failed("the poll panicked")));
        outcome.and(served.map(|served| (served, returned)))
    })?;
    let stages = newest_timings(&server.data().join("builds"), seen)?;
    Ok(Push { served, returned, git_alone, stages })
}

/// Asks until the app answers with the version; gives up a while after the push is over.
fn until_served(
    server: &Server,
    version: &str,
    begun: Instant,
    pushed: &AtomicBool,
) -> Result<f64> {
    let mut over: Option<Instant> = None;
    loop {
        let shown = server.get(APP);
        if shown.is_some_and(|body| body.trim_end().ends_with(&format!(", {version}"))) {
            return Ok(milliseconds(begun));
        }
        if pushed.load(Ordering::Relaxed)
            && over.get_or_insert_with(Instant::now).elapsed() > SERVED_LIMIT
        {
            return Err(BenchError::Failed(format!("{version} is not served")));
        }
        std::thread::sleep(POLL);
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Reads the one file of timings that was not there before.
pub fn newest_timings(
    builds: &Path,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<BTreeMap<String, f64>> {
    let list = |directory: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(directory).map_err(BenchError::io("builds"))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let mut files = Vec::new();
    for app in list(builds)? {
        files.extend(list(&app)?);
    }
    let mut fresh = files
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".timings.json"))
        .filter(|path| seen.insert(path.clone()));
    let path = fresh.next().ok_or_else(|| BenchError::failed("the push left no timings"))?;
    let bytes = std::fs::read(&path).map_err(BenchError::io("timings"))?;
    serde_json::from_slice(&bytes).map_err(|error| BenchError::Failed(error.to_string()))
}

#[derive(Default)]
struct Table {
    served: Samples,
    returned: Samples,
    git_alone: Samples,
    receive: Samples,
    platform: Samples,
    stages: BTreeMap<String, Samples>,
}

impl Table {
    fn add(&mut self, push: Push) {
        let stage = |name: &str| push.stages.get(name).copied().unwrap_or(0.0);
        let server: f64 =
            ["wait", "checkout", "buildpacks", "image", "release", "start", "check", "swap"]
                .iter()
                .map(|name| stage(name))
                .sum();
        // Until the server has the push and begins; what git alone takes for as much is its own.
        let receive = push.served - server;
        self.platform.push(push.served - stage("check") - push.git_alone.min(receive));
        self.receive.push(receive);
        self.served.push(push.served);
        self.returned.push(push.returned);
        self.git_alone.push(push.git_alone);
        for (name, ms) in push.stages {
            self.stages.entry(name).or_default().push(ms);
        }
    }

    fn print(&self, runs: usize) {
        println!("push of examples/python-stdlib with a changed line, {runs} runs, warm stack\n");
        println!("  {:<12} {:>10} {:>10}", "stage", "median ms", "p90 ms");
        let row = |name: &str, samples: &Samples, what: &str| {
            println!("  {name:<12} {:>10.1} {:>10.1}   {what}", samples.median(), samples.p90());
        };
        row("receive", &self.receive, "git and the door, until the build begins");
        for (name, what) in STAGES {
            if let Some(samples) = self.stages.get(*name) {
                row(name, samples, what);
            }
        }
        println!();
        row("served", &self.served, "git push to the first answer of the new version");
        row("returned", &self.returned, "git push to its end");
        row("git alone", &self.git_alone, "the same push to a bare directory");
        row("platform", &self.platform, "served, less git alone and the app's boot");
        println!();
        against_goal("push to served", self.served.median() / 1e3, GOAL_SECONDS, "s");
        let platform = self.platform.median() / 1e3;
        against_goal("the platform's share", platform, GOAL_PLATFORM_SECONDS, "s");
    }
}
