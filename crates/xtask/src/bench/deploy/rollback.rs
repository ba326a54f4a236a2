//! Rollback and scaling: from the command to what is served.

use super::super::numbers::{Samples, against_goal};
use super::super::server::Server;
use super::super::{BenchError, Result};
use super::first_push;
use std::path::Path;
use std::time::{Duration, Instant};

const RUNS: usize = 12;
const GOAL_ROLLBACK: f64 = 1.0;
const GOAL_SCALE: f64 = 3.0;
const WANTED: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

/// Goes back and forth between two releases.
pub fn run(server: &Server, code: &Path) -> Result<()> {
    let name = "rollback";
    first_push(server, code, name)?;
    let read = || std::fs::read_to_string(code.join("VERSION")).unwrap_or_default();
    let first = read();
    let second = format!("{}-next\n", first.trim());
    std::fs::write(code.join("VERSION"), &second).map_err(BenchError::io("VERSION"))?;
    server.commit_all(code)?;
    server.push(code, name)?;
    let (mut served, mut returned) = (Samples::default(), Samples::default());
    for run in 0..RUNS {
        let wanted = if run % 2 == 0 { &first } else { &second };
        let begun = Instant::now();
        let outcome = std::thread::scope(|scope| {
            let poll = scope.spawn(|| until_served(server, name, wanted, begun));
            let back = server.client(code, &["rollback", "--app", name]);
            let back = back.map(|()| begun.elapsed().as_secs_f64());
            let seen = poll.join().unwrap_or_else(|_| Err(BenchError::failed("it panicked")));
            back.and_then(|back| Ok((back, seen?)))
        })?;
        returned.push(outcome.0);
        served.push(outcome.1);
    }
    println!("rollback to the release before, {RUNS} runs, one web instance");
    println!("  command returned: median {:.2} s, p90 {:.2} s", returned.median(), returned.p90());
    println!("  p90 to served: {:.2} s", served.p90());
    against_goal("rollback, command to served, median", served.median(), GOAL_ROLLBACK, "s");
    server.client(code, &["ps:scale", "web=0", "--app", name])
}

fn until_served(server: &Server, name: &str, version: &str, begun: Instant) -> Result<f64> {
    while server.get(name).is_none_or(|body| body != version) {
        if begun.elapsed() > LIMIT {
            return Err(BenchError::Failed(format!("{version:?} is not served")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Scales examples/python-stdlib from 1 to 20; every instance must have answered.
pub fn scale(server: &Server) -> Result<()> {
    let repository = server.repository("python-stdlib")?;
    let name = "hello";
    first_push(server, &repository, name)?;
    let begun = Instant::now();
    let (commanded, all) = std::thread::scope(|scope| {
        let poll = scope.spawn(|| until_all_answer(server, name, begun));
        let scaled = server.client(&repository, &["ps:scale", "web=20", "--app", name]);
        let scaled = scaled.map(|()| begun.elapsed().as_secs_f64());
        let all = poll.join().unwrap_or_else(|_| Err(BenchError::failed("it panicked")));
        scaled.and_then(|scaled| Ok((scaled, all?)))
    })?;
    println!("scale of examples/python-stdlib from 1 to {WANTED}");
    println!("  command returned after {commanded:.2} s");
    against_goal("until all have answered through the router", all, GOAL_SCALE, "s");
    server.client(&repository, &["ps:scale", "web=0", "--app", name])
}

/// The hello app says which instance answers.
fn until_all_answer(server: &Server, name: &str, begun: Instant) -> Result<f64> {
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < WANTED {
        if begun.elapsed() > LIMIT {
            return Err(BenchError::Failed(format!("only {} instances answer", seen.len())));
        }
        match server.get(name) {
            Some(body) => drop(seen.insert(body)),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
        // The poll shall not take the processors from what it waits for.
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(begun.elapsed().as_secs_f64())
}
