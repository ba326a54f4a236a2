//! `bench client`: how long a person waits for the client, with many apps on the server.

use super::numbers::{Samples, against_goal};
use super::server::Server;
use super::{BenchError, Programs, Result, machine};
use std::path::Path;
use std::time::Instant;

/// Wall time of a command that asks the server, in milliseconds.
const GOAL_COMMAND: f64 = 100.0;
/// The same of one that only starts.
const GOAL_START: f64 = 15.0;
const ROUNDS: usize = 30;

pub fn run(programs: &Programs, apps: usize) -> Result<()> {
    machine::print();
    let server = Server::start(&programs.windlass)?;
    let repository = server.repository("python-stdlib")?;
    let names: Vec<String> = (0..apps).map(|number| format!("client-{number}")).collect();
    for name in &names {
        server.client(&repository, &["create", name, "--no-remote"])?;
    }
    let first = names.first().ok_or_else(|| BenchError::failed("at least one app is needed"))?;
    server.client(&repository, &["git:remote", "--app", first, "--remote", first])?;
    server.push(&repository, first)?;
    server.client(&repository, &["config:set", "ONE=1", "TWO=2", "--app", first])?;
    println!("{apps} apps; wall time of the whole command, medians of {ROUNDS} rounds");
    let asking: [&[&str]; 4] =
        [&["apps"], &["ps", "--app", first], &["config", "--app", first], &["apps", "--json"]];
    for arguments in asking {
        let listed = measure(&server, &repository, arguments)?;
        let what = format!("windlass {}", arguments.join(" "));
        against_goal(&what, listed.median(), GOAL_COMMAND, "ms");
        println!("    p90 {:.1} ms, best {:.1} ms", listed.p90(), listed.best());
    }
    let listed = server.client_output(&repository, &["apps", "--json"])?;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed)
        .map_err(|error| BenchError::Failed(format!("the list of apps is no JSON: {error}")))?;
    if listed.len() != apps {
        return Err(BenchError::Failed(format!("{} of {apps} apps were listed", listed.len())));
    }
    for arguments in [&["version"] as &[&str], &["help"]] {
        let started = measure(&server, &repository, arguments)?;
        let what = format!("windlass {}", arguments.join(" "));
        against_goal(&what, started.median(), GOAL_START, "ms");
    }
    Ok(())
}

fn measure(server: &Server, directory: &Path, arguments: &[&str]) -> Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        server.client_output(directory, arguments)?;
        samples.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}
