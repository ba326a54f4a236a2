//! Five hundred instances: served, listed, and what the server needs when nothing happens.

use super::super::numbers::{Samples, against_goal};
use super::super::server::Server;
use super::super::{BenchError, Result};
use super::first_push;
use std::path::Path;
use std::time::{Duration, Instant};

const APPS: usize = 10;
const EACH: usize = 50;
const LIMIT: Duration = Duration::from_secs(180);
const GOAL_LIST: f64 = 200.0;
const GOAL_CPU: f64 = 1.0;
const IDLE: Duration = Duration::from_secs(30);

pub fn run(server: &Server, code: &Path) -> Result<()> {
    let names: Vec<String> = (0..APPS).map(|number| format!("many-{number}")).collect();
    let begun = Instant::now();
    for name in &names {
        first_push(server, code, name)?;
        server.client(code, &["ps:scale", &format!("web={EACH}"), "--app", name])?;
    }
    until_up(server, &names, begun)?;
    println!(
        "{} instances of a small Python app in {APPS} apps: all up after {:.0} s",
        APPS * EACH,
        begun.elapsed().as_secs_f64()
    );
    for name in &names {
        if server.get(name).is_none() {
            return Err(BenchError::Failed(format!("{name} does not answer")));
        }
    }
    list(server, &names)?;
    idle(server)?;
    let begun = Instant::now();
    for name in &names {
        let confirm = ["apps:destroy", "--app", name, "--confirm", name];
        server.client(code, &confirm)?;
    }
    println!("  all destroyed again in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn until_up(server: &Server, names: &[String], begun: Instant) -> Result<()> {
    loop {
        let mut up = 0;
        for name in names {
            let dynos = server.api(&format!("/apps/{name}/dynos"))?;
            up += dynos.matches("\"state\":\"up\"").count();
        }
        if up == APPS * EACH {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            let what = format!("{up} of {} instances are up after {LIMIT:?}", APPS * EACH);
            return Err(BenchError::Failed(what));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What `ps` asks the API for, for one app and for all of them one after the other.
fn list(server: &Server, names: &[String]) -> Result<()> {
    let (mut one, mut all) = (Samples::default(), Samples::default());
    for _ in 0..10 {
        let begun = Instant::now();
        for name in names {
            let asked = Instant::now();
            let _ = server.api(&format!("/apps/{name}/dynos"))?;
            one.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        all.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    println!("  ps of one app with {EACH} instances: p99 {:.1} ms", one.at(0.99));
    against_goal("ps of all apps, median", all.median(), GOAL_LIST, "ms");
    Ok(())
}

fn idle(server: &Server) -> Result<()> {
    std::thread::sleep(Duration::from_secs(5));
    let before = cpu_seconds(server.pid)?;
    let begun = Instant::now();
    std::thread::sleep(IDLE);
    let used = cpu_seconds(server.pid)? - before;
    let percent = used / begun.elapsed().as_secs_f64() * 100.0;
    println!("  server: {:.0} MB resident", resident_megabytes(server.pid)?);
    against_goal("server's CPU when nothing happens", percent, GOAL_CPU, "% of a core");
    Ok(())
}

/// User and system time of all its threads.
fn cpu_seconds(pid: u32) -> Result<f64> {
    const TICKS: f64 = 100.0;
    let text = read(pid, "stat")?;
    let fields: Vec<&str> =
        text.rsplit_once(')').map_or(vec![], |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number).and_then(|text| text.parse::<f64>().ok());
    match (field(11), field(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => Err(BenchError::Failed(format!("/proc/{pid}/stat is unclear: {text}"))),
    }
}

/// Resident memory, in megabytes of 2^20 bytes.
pub fn resident_megabytes(pid: u32) -> Result<f64> {
    let text = read(pid, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map(|kb| kb / 1024.0).ok_or_else(|| BenchError::failed("there is no VmRSS"))
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).map_err(BenchError::io(path))
}
