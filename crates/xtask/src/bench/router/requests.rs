//! Processor time of a proxied request: HTTP/1.1, kept connections, small and medium answers.

use super::super::Result;
use super::super::numbers::{Samples, against_goal, in_turns};
use super::backend::{MEDIUM, SMALL, get};
use super::load::{Load, Pace};
use super::peers::{HOST, Kind, Proxy};
use super::{Bench, CONNECTIONS};
use std::time::Duration;

const ROUNDS: usize = 7;
const WARM: Duration = Duration::from_millis(700);
const TIME: Duration = Duration::from_secs(3);
/// Of the median ratio to nginx.
const GOAL: f64 = 1.0;

pub fn run(bench: &Bench) -> Result<()> {
    println!(
        "CPU of a proxied request, HTTP/1.1, {CONNECTIONS} kept connections that ask again at once"
    );
    for (path, size) in [("/small", SMALL), ("/medium", MEDIUM)] {
        let mut measured = bench
            .kinds()
            .into_iter()
            .map(|kind| Measured::start(bench, kind, path))
            .collect::<Result<Vec<_>>>()?;
        in_turns(ROUNDS, &mut measured, Measured::round)?;
        print(&measured, size);
    }
    Ok(())
}

/// One proxy and what it has shown so far.
struct Measured {
    proxy: Proxy,
    load: Load,
    /// Microseconds of processor time for each request.
    cpu: Samples,
    rate: Samples,
    failed: u64,
}

impl Measured {
    fn start(bench: &Bench, kind: Kind, path: &str) -> Result<Self> {
        let proxy = bench.setting().start(kind)?;
        let load = Load::connect(proxy.address, CONNECTIONS, vec![get(HOST, path)])?;
        let (cpu, rate) = (Samples::default(), Samples::default());
        Ok(Self { proxy, load, cpu, rate, failed: 0 })
    }

    fn round(&mut self) -> Result<()> {
        self.load.run(Pace::Closed, WARM)?;
        let before = self.proxy.process.cpu();
        let report = self.load.run(Pace::Closed, TIME)?;
        let used = self.proxy.process.cpu() - before;
        self.cpu.push(used * 1e6 / report.answers as f64);
        self.rate.push(report.rate());
        self.failed += report.failed;
        Ok(())
    }
}

fn print(measured: &[Measured], size: usize) {
    println!("  answers of {size} bytes, medians of {ROUNDS} rounds of {} s:", TIME.as_secs());
    println!(
        "    {:<15} {:>12} {:>12} {:>20} {:>8}",
        "", "µs CPU", "a second", "windlass ÷ it", "failed"
    );
    let ours = &measured[0];
    for theirs in measured {
        let ratios = ours.cpu.ratios(&theirs.cpu);
        let ratio = match theirs.proxy.kind {
            Kind::Windlass => String::new(),
            _ => format!("{:.2} ({:.2}–{:.2})", ratios.median(), ratios.best(), ratios.at(1.0)),
        };
        println!(
            "    {:<15} {:>12.1} {:>12.0} {ratio:>20} {:>8}",
            theirs.proxy.kind.name(),
            theirs.cpu.median(),
            theirs.rate.median(),
            theirs.failed
        );
    }
    if let Some(nginx) = measured.iter().find(|theirs| theirs.proxy.kind == Kind::Nginx) {
        let ratio = ours.cpu.ratios(&nginx.cpu).median();
        against_goal("  CPU, windlass ÷ nginx", ratio, GOAL, "");
    }
}
