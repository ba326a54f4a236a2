//! Memory of a proxy with ten thousand kept connections that ask for nothing.

use super::super::Result;
use super::super::numbers::against_goal;
use super::Bench;
use super::backend::get;
use super::load::{Load, Pace};
use super::peers::{HOST, Kind, haproxy_connections};
use std::time::Duration;

const IDLE: usize = 10_000;
const GOAL: f64 = 100.0;
/// What the requests needed is given back after a moment.
const SETTLE: Duration = Duration::from_secs(2);
/// In which each connection asks once.
const ONCE: Duration = Duration::from_secs(2);

pub fn run(bench: &Bench) -> Result<()> {
    println!("memory with {IDLE} kept connections after a request on each; MB of 2^20 bytes, PSS");
    println!("    {:<15} {:>9} {:>9} {:>18}", "", "before", "after", "kB a connection");
    for kind in bench.kinds() {
        if kind == Kind::Haproxy && haproxy_connections() < IDLE as u64 + 100 {
            println!("    haproxy         needs a higher limit of open files: `ulimit -n`");
            continue;
        }
        let proxy = bench.setting().start(kind)?;
        let before = proxy.process.memory();
        let mut load = Load::connect(proxy.address, IDLE, vec![get(HOST, "/small")])?;
        let report = load.run(Pace::Open(IDLE as f64 / ONCE.as_secs_f64()), ONCE)?;
        std::thread::sleep(SETTLE);
        let after = proxy.process.memory();
        println!(
            "    {:<15} {before:>9.1} {after:>9.1} {:>18.1}",
            kind.name(),
            (after - before) * 1024.0 / IDLE as f64
        );
        if report.failed > 0 {
            println!("      {} of them failed", report.failed);
        }
        if kind == Kind::Windlass {
            against_goal("    with all of them", after, GOAL, "MB");
        }
    }
    Ok(())
}
