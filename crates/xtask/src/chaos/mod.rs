//! `cargo xtask chaos`: the real binary with real apps, and `kill -9` of its parts, a full disk,
//! pushes and config changes all the time. Every request and every acknowledged operation is
//! accounted for; what must never be ends it with a failure.

mod changes;
mod faults;
mod load;
mod random;

use crate::bench::server::Server;
use crate::bench::{BenchError, Result, compiled, machine};
use changes::Changes;
use faults::Faults;
use load::Load;
use random::Random;
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: cargo xtask chaos [--minutes 10] [--seed N]   (as root)";
pub const APPS: [&str; 3] = ["red", "green", "blue"];
const APP: &str = include_str!("app.py");
/// Small enough to be filled in a second.
const DISK_BYTES: u64 = 1 << 30;
const SETTLE: Duration = Duration::from_secs(90);

/// Whether the run is to end.
pub static STOPPED: AtomicBool = AtomicBool::new(false);

pub fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

pub fn main(arguments: &[String]) -> ExitCode {
    match arguments.first().map(String::as_str) {
        Some("--inside") => inside(&arguments[1..]),
        _ => outside(arguments),
    }
}

/// The run is a process group of its own, so that Ctrl-C does not end what must clean up: it ends
/// with the pipe that this process holds.
fn outside(arguments: &[String]) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
    let mut run = Command::new(program);
    run.arg("chaos").arg("--inside").args(arguments).stdin(Stdio::piped()).process_group(0);
    match run.spawn().and_then(|mut child| {
        let input = child.stdin.take();
        let status = child.wait();
        drop(input);
        status
    }) {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn inside(arguments: &[String]) -> ExitCode {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        eprintln!("chaos: interrupted; cleaning up");
        STOPPED.store(true, Ordering::Relaxed);
    });
    let outcome = options(arguments).and_then(|(minutes, seed)| run(minutes, seed));
    match outcome {
        Ok(violations) if violations.is_empty() => ExitCode::SUCCESS,
        Ok(violations) => {
            println!("\nVIOLATIONS\n{}", violations.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<(f64, u64)> {
    let (mut minutes, mut seed) = (10.0, u64::from(std::process::id()));
    for pair in arguments.chunks(2) {
        let wrong = || BenchError::Failed(format!("{pair:?} is not understood\n{USAGE}"));
        match pair {
            [name, value] if name == "--minutes" => minutes = value.parse().map_err(|_| wrong())?,
            [name, value] if name == "--seed" => seed = value.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    Ok((minutes, seed))
}

/// Returns what must never be and was.
fn run(minutes: f64, seed: u64) -> Result<Vec<String>> {
    let programs = compiled()?;
    machine::print();
    println!("chaos for {minutes} minutes, --seed {seed}\n");
    let mut server = Server::start_on_own_disk(
        &programs.windlass,
        "disk_reserve = 64\n[instance]\nmemory = 128\n",
        DISK_BYTES,
    )?;
    let mut changes = Vec::new();
    for name in APPS {
        changes.push(Changes::new(&server, name)?);
    }
    let load = Load::new(server.router, &APPS);
    let mut faults = Faults::new(&server, Random::new(seed));
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    // All of the connection to the server that changes need is fixed from the start.
    let door = server.door();
    std::thread::scope(|scope| {
        load.start(scope);
        for (number, changes) in changes.iter_mut().enumerate() {
            let (door, random) = (door.clone(), Random::new(seed + 1 + number as u64));
            scope.spawn(move || changes.make(&door, random, until));
        }
        while Instant::now() < until && !is_stopped() {
            faults.one(&mut server, &load);
        }
        faults.end(&mut server);
        settle(&server, &load);
        STOPPED.store(true, Ordering::Relaxed);
    });
    let mut violations = faults.violations();
    violations.extend(load.report());
    violations.extend(changes::report(&server, &changes));
    violations.extend(load.missing_log_lines(&server.data().join("logs")));
    faults.report();
    Ok(violations)
}

/// Waits until every app is served without a failure for a while.
fn settle(server: &Server, load: &Load) {
    load.excuse_all(SETTLE);
    let since = Instant::now();
    let mut good = 0;
    while good < 20 && since.elapsed() < SETTLE {
        let all = APPS.iter().all(|name| server.get(name).is_some());
        good = if all { good + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(200));
    }
}
