//! Pushes of a changed line with unchanged dependencies: nothing is downloaded or installed again.

use super::super::numbers::{Samples, against_goal};
use super::super::push::newest_timings;
use super::super::server::Server;
use super::super::{BenchError, Programs, Result};
use super::set_version;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const GOAL_SECONDS: f64 = 2.0;
const RUNS: usize = 7;
const POLL: Duration = Duration::from_millis(2);
const SERVED_LIMIT: Duration = Duration::from_secs(30);

/// Example and what it is.
const APPS: &[(&str, &str)] = &[("bibly", "Flask"), ("express", "Express")];
/// What the buildpacks say when they take the dependencies out of the cache.
const CACHED: &str = "Using cached dependencies (unchanged)";
/// What they say when they do not.
const INSTALLED: &[&str] = &["Installing", "Dependencies installed", "Collecting", "Downloading"];
/// Nobody listens there: whatever would be downloaded fails.
const NO_PROXY_THERE: &str = "http://127.0.0.1:9";
const PROXY_VARIABLES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

pub fn run(programs: &Programs) -> Result<()> {
    let server = Server::start(&programs.windlass)?;
    println!("pushes with unchanged dependencies, {RUNS} each after the first; seconds\n");
    println!(
        "  {:<8} {:>7} {:>9} {:>7} {:>11} {:>7} {:>11} {:>11} {:>11}",
        "app", "first", "served", "p90", "and bpack", "p90", "container", "compile", "app's boot"
    );
    let mut medians = Vec::new();
    for (example, what) in APPS {
        let mut app = App::new(&server, example)?;
        let first = app.push("v0")?;
        if first.said.contains(CACHED) {
            return Err(BenchError::failed("the first push had cached dependencies"));
        }
        app.cut_off()?;
        let mut pushes = Vec::new();
        for number in 1..=RUNS {
            let push = app.push(&format!("v{number}"))?;
            push.must_have_used_the_cache()?;
            pushes.push(push);
        }
        let all = |of: fn(&Push) -> f64| pushes.iter().map(of).collect::<Samples>();
        let (served, platform) = (all(|p| p.served), all(Push::platform));
        println!(
            "  {what:<8} {:>7.2} {:>9.2} {:>7.2} {:>11.2} {:>7.2} {:>11.2} {:>11.2} {:>11.2}",
            first.served,
            served.median(),
            served.p90(),
            platform.median(),
            platform.p90(),
            all(|p| p.stage("buildpacks")).median(),
            all(|p| p.stage("compile_ms")).median(),
            all(|p| p.stage("check")).median()
        );
        medians.push((what, platform.median()));
    }
    println!(
        "\n  served: git push to the new version's first answer; \"and bpack\": that less the app's boot,"
    );
    println!(
        "  platform and buildpack together. All but the first were made with the way to the registries cut."
    );
    for (what, median) in medians {
        let what = format!("{what}, platform and buildpack");
        against_goal(&what, median, GOAL_SECONDS, "s");
    }
    Ok(())
}

struct App<'a> {
    server: &'a Server,
    name: &'a str,
    repository: PathBuf,
    seen: BTreeSet<PathBuf>,
}

/// One push, in seconds; the server's stages in milliseconds.
struct Push {
    served: f64,
    said: String,
    stages: BTreeMap<String, f64>,
}

impl<'a> App<'a> {
    fn new(server: &'a Server, example: &'a str) -> Result<Self> {
        let repository = server.repository(example)?;
        server.create(example, &repository)?;
        let seen = BTreeSet::new();
        Ok(Self { server, name: example, repository, seen })
    }

    /// From now on nothing can be downloaded in a build.
    fn cut_off(&self) -> Result<()> {
        let pairs: Vec<_> =
            PROXY_VARIABLES.iter().map(|name| format!("{name}={NO_PROXY_THERE}")).collect();
        let mut arguments = vec!["config:set", "--app", self.name];
        arguments.extend(pairs.iter().map(String::as_str));
        self.server.client(&self.repository, &arguments)
    }

    fn push(&mut self, version: &str) -> Result<Push> {
        set_version(&self.repository, version)?;
        self.server.commit_all(&self.repository)?;
        let pushed = AtomicBool::new(false);
        let begun = Instant::now();
        let (said, served) = std::thread::scope(|scope| {
            let poll = scope.spawn(|| self.until_served(version, begun, &pushed));
            let said = self.server.push(&self.repository, self.name);
            pushed.store(true, Ordering::Relaxed);
            let served =
                poll.join().unwrap_or_else(|_| Err(BenchError::failed("the poll panicked")));
            Ok::<_, BenchError>((said?, served?))
        })?;
        let stages = newest_timings(&self.builds(), &mut self.seen)?;
        Ok(Push { served, said, stages })
    }

    fn builds(&self) -> PathBuf {
        self.server.data().join("builds")
    }

    fn until_served(&self, version: &str, begun: Instant, pushed: &AtomicBool) -> Result<f64> {
        let mut over: Option<Instant> = None;
        loop {
            if self.server.get(self.name).is_some_and(|body| shows(&body, version)) {
                return Ok(begun.elapsed().as_secs_f64());
            }
            if pushed.load(Ordering::Relaxed)
                && over.get_or_insert_with(Instant::now).elapsed() > SERVED_LIMIT
            {
                return Err(BenchError::Failed(format!("{version} is not served")));
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Whether a page is of this version: it is the last word of a line or in bold.
fn shows(body: &str, version: &str) -> bool {
    body.trim_end().ends_with(&format!(", {version}"))
        || body.contains(&format!("<b>{version}</b>"))
}

impl Push {
    fn stage(&self, name: &str) -> f64 {
        self.stages.get(name).copied().unwrap_or(0.0) / 1e3
    }

    /// Everything but the app's own boot.
    fn platform(&self) -> f64 {
        self.served - self.stage("check")
    }

    fn must_have_used_the_cache(&self) -> Result<()> {
        let installed = INSTALLED.iter().find(|text| self.said.contains(**text));
        if self.said.contains(CACHED) && installed.is_none() {
            return Ok(());
        }
        let what = format!("a push with unchanged dependencies installed some:\n{}", self.said);
        Err(BenchError::Failed(what))
    }
}
