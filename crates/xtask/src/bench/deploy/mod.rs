//! `bench deploy`: what deploys cost those who send requests, beside nginx and the usual order;
//! then rollback, scaling, many instances, and many deploys in a row.

mod growth;
pub mod load;
mod many;
mod nginx;
mod rollback;
mod streams;

use super::numbers::against_goal;
use super::server::Server;
use super::{BenchError, Programs, Result, machine};
use load::{Account, Load};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use streams::{StreamAccount, Streams};

const APP: &str = include_str!("app.py");
/// One that minds SIGTERM and one that does not.
const APPS: &[(&str, bool)] = &[("graceful", true), ("plain", false)];
const DEPLOYS: usize = 20;
const REQUESTS: usize = 20_000;
/// Requests a second for each of the apps.
const RATE: f64 = 108.0;
/// From one deploy to the next; with the rate it makes [`REQUESTS`] over all.
const EVERY: Duration = Duration::from_millis(4_650);
/// The last ones are watched until what they drain has ended.
const AFTER: Duration = Duration::from_secs(7);

const PARTS: &[&str] = &["deploy", "rollback", "scale", "many", "growth"];

/// Runs the parts that are named, separated by commas, or all. Fails if a request was lost.
pub fn run(programs: &Programs, parts: &str) -> Result<()> {
    let wanted: Vec<&str> =
        if parts == "all" { PARTS.to_vec() } else { parts.split(',').collect() };
    if let Some(other) = wanted.iter().find(|part| !PARTS.contains(part)) {
        return Err(BenchError::Failed(format!("{other:?} is none of {}", PARTS.join(", "))));
    }
    machine::print();
    // Each instance is small, so that the machine can hold many.
    let server = Server::start_with(&programs.windlass, "[instance]\nmemory = 32\n")?;
    let code = write_app(server.directory())?;
    init(&server, &code)?;
    for part in wanted {
        let since = Instant::now();
        match part {
            "deploy" => deploys(&server, &code)?,
            "rollback" => rollback::run(&server, &code)?,
            "scale" => rollback::scale(&server)?,
            "many" => many::run(&server, &code)?,
            _ => growth::run(&server, &code)?,
        }
        println!("  ({part} took {:.0} s)\n", since.elapsed().as_secs_f64());
    }
    Ok(())
}

fn write_app(directory: &Path) -> Result<PathBuf> {
    let code = directory.join("code");
    let write = || -> std::io::Result<()> {
        std::fs::create_dir(&code)?;
        std::fs::write(code.join("app.py"), APP)?;
        std::fs::write(code.join("VERSION"), "0\n")?;
        std::fs::write(code.join("requirements.txt"), "")?;
        std::fs::write(code.join("Procfile"), "web: exec python3 app.py\n")
    };
    write().map_err(BenchError::io(code.display().to_string()))?;
    Ok(code)
}

fn init(server: &Server, code: &Path) -> Result<()> {
    server.git(code, &["init", "--quiet", "--initial-branch=main"])?;
    server.commit_all(code)
}

/// Makes the app and pushes what is committed.
fn first_push(server: &Server, code: &Path, name: &str) -> Result<()> {
    server.create(name, code)?;
    server.push(code, name).map(drop)
}

/// What one of the two ways came to.
struct Outcome {
    account: Account,
    streams: StreamAccount,
}

fn deploys(server: &Server, code: &Path) -> Result<()> {
    println!(
        "{DEPLOYS} deploys under load: of a hundred requests 85 take 20 ms, 12 take 500 ms, 3 take \
         3 s; half of the clients keep their connection; {} event streams and {} WebSockets of \
         6 s are open all the time\n",
        2 * streams::OPEN,
        2 * streams::OPEN
    );
    for (name, graceful) in APPS {
        server.create(name, code)?;
        if *graceful {
            server.client(code, &["config:set", "GRACEFUL=1", "--app", name])?;
        }
        server.push(code, name)?;
    }
    let mut version = 0;
    let ours = measure(server.router, |name| {
        version += 1;
        std::fs::write(code.join("VERSION"), format!("{version}\n"))
            .map_err(BenchError::io("VERSION"))?;
        server.commit_all(code)?;
        server.push(code, name).map(drop)
    })?;
    print("windlass", &ours);
    for (name, _) in APPS {
        server.client(code, &["ps:scale", "web=0", "--app", name])?;
    }
    if crate::run::is_installed("nginx") {
        let mut nginx = nginx::Nginx::start(&server.directory().join("nginx"), code, APPS)?;
        let theirs = measure(nginx.address, |name| nginx.deploy(name, code))?;
        print("nginx, reload, SIGTERM", &theirs);
    } else {
        println!("  nginx is not installed: no peer");
    }
    let all: usize = ours.iter().map(|outcome| outcome.account.sent).sum();
    let lost: usize = ours.iter().map(|outcome| outcome.account.lost()).sum();
    let cut: usize = ours.iter().flat_map(|outcome| outcome.streams.lost.values()).sum();
    println!("  requests sent: {all}, goal at least {REQUESTS}");
    against_goal("requests lost", lost as f64, 0.0, "");
    against_goal("streams and WebSockets cut", cut as f64, 0.0, "");
    if lost + cut > 0 {
        return Err(BenchError::failed("a deploy lost requests"));
    }
    Ok(())
}

/// Deploys the apps in turn while all of them are under load.
fn measure(
    address: std::net::SocketAddr,
    mut deploy: impl FnMut(&'static str) -> Result<()>,
) -> Result<Vec<Outcome>> {
    let host = |name: &str| format!("{name}.localhost");
    let loads: Vec<Load> =
        APPS.iter().map(|(name, _)| Load::new(address, &host(name), RATE)).collect();
    let streams: Vec<Streams> =
        APPS.iter().map(|(name, _)| Streams::new(address, &host(name))).collect();
    std::thread::scope(|scope| {
        loads.iter().for_each(|load| load.start(scope));
        streams.iter().for_each(|streams| streams.start(scope));
        let begin = Instant::now();
        let deployed = (0..DEPLOYS).try_for_each(|number| {
            let due = begin + EVERY * u32::try_from(number + 1).unwrap_or(1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            deploy(APPS[number % APPS.len()].0)
        });
        if deployed.is_ok() {
            std::thread::sleep(AFTER);
        }
        loads.iter().for_each(Load::stop);
        streams.iter().for_each(Streams::stop);
        deployed
    })?;
    let outcomes = loads.iter().zip(&streams);
    Ok(outcomes
        .map(|(load, streams)| Outcome { account: load.account(), streams: streams.account() })
        .collect())
}

fn print(way: &str, outcomes: &[Outcome]) {
    for ((name, graceful), outcome) in APPS.iter().zip(outcomes) {
        let (account, streams) = (&outcome.account, &outcome.streams);
        let handler = if *graceful { "a SIGTERM handler" } else { "no SIGTERM handler" };
        println!(
            "  {way}; {name} ({handler}): {} requests, {} lost; {} streams, {} cut",
            account.sent,
            account.lost(),
            streams.opened,
            streams.lost.values().sum::<usize>()
        );
        for (path, times) in &account.times {
            let (p50, p99) = (times.median(), times.at(0.99));
            println!("    {path:<6} p50 {p50:>7.1} ms   p99 {p99:>7.1} ms");
        }
        for (kind, count) in account.lost.iter().chain(&streams.lost) {
            println!("    lost: {count:>5}  {kind}");
        }
    }
    println!();
}
