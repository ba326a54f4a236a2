//! How long requests take at 70 % of what nginx can do.

use super::super::Result;
use super::super::numbers::{Samples, against_goal, in_turns};
use super::backend::get;
use super::load::{Load, Pace};
use super::peers::{HOST, Kind, Proxy};
use super::{Bench, CONNECTIONS};
use std::time::Duration;

const ROUNDS: usize = 9;
const WARM: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(3);
/// Of nginx's maximum.
const SHARE: f64 = 0.7;
/// Of the median ratio of nginx's p99. Pairs of rounds, since what else the machine does can make
/// one round take ten times another, whoever the proxy is.
const GOAL: f64 = 1.0;

pub fn run(bench: &Bench) -> Result<()> {
    let mut measured = bench
        .kinds()
        .into_iter()
        .map(|kind| Measured::start(bench, kind))
        .collect::<Result<Vec<_>>>()?;
    // Without nginx its place is taken by the last peer, or by ourselves.
    let reference = measured.iter().position(|one| one.proxy.kind == Kind::Nginx);
    let reference = reference.unwrap_or(measured.len() - 1);
    let rate = SHARE * measured[reference].maximum()?;
    println!(
        "time of a request of 100 bytes at {rate:.0} a second, 70 % of what {} does, from when it \
         was due; medians of {ROUNDS} rounds of {} s",
        measured[reference].proxy.kind.name(),
        TIME.as_secs()
    );
    in_turns(ROUNDS, &mut measured, |one| one.round(rate))?;
    print(&measured);
    Ok(())
}

/// One proxy and what it has shown so far.
struct Measured {
    proxy: Proxy,
    load: Load,
    /// Milliseconds, a sample each round.
    p50: Samples,
    p99: Samples,
    p999: Samples,
    failed: u64,
}

impl Measured {
    fn start(bench: &Bench, kind: Kind) -> Result<Self> {
        let proxy = bench.setting().start(kind)?;
        let load = Load::connect(proxy.address, CONNECTIONS, vec![get(HOST, "/small")])?;
        let (p50, p99, p999) = Default::default();
        Ok(Self { proxy, load, p50, p99, p999, failed: 0 })
    }

    /// Answers a second, as fast as they come.
    fn maximum(&mut self) -> Result<f64> {
        let mut rates = Samples::default();
        for _ in 0..3 {
            self.load.run(Pace::Closed, WARM)?;
            rates.push(self.load.run(Pace::Closed, TIME)?.rate());
        }
        Ok(rates.median())
    }

    fn round(&mut self, rate: f64) -> Result<()> {
        self.load.run(Pace::Open(rate), WARM)?;
        let report = self.load.run(Pace::Open(rate), TIME)?;
        self.p50.push(report.times.at(0.5));
        self.p99.push(report.times.at(0.99));
        self.p999.push(report.times.at(0.999));
        self.failed += report.failed;
        Ok(())
    }
}

fn print(measured: &[Measured]) {
    println!(
        "    {:<15} {:>9} {:>9} {:>9} {:>24} {:>8}",
        "ms", "p50", "p99", "p99.9", "p99, windlass ÷ it", "failed"
    );
    let ours = &measured[0];
    for theirs in measured {
        let ratios = ours.p99.ratios(&theirs.p99);
        let ratio = match theirs.proxy.kind {
            Kind::Windlass => String::new(),
            // The quartiles: single rounds differ tenfold.
            _ => format!("{:.2} ({:.2}–{:.2})", ratios.median(), ratios.at(0.25), ratios.at(0.75)),
        };
        println!(
            "    {:<15} {:>9.3} {:>9.3} {:>9.3} {ratio:>24} {:>8}",
            theirs.proxy.kind.name(),
            theirs.p50.median(),
            theirs.p99.median(),
            theirs.p999.median(),
            theirs.failed
        );
    }
    if let Some(nginx) = measured.iter().find(|theirs| theirs.proxy.kind == Kind::Nginx) {
        let ratio = ours.p99.ratios(&nginx.p99).median();
        against_goal("  p99, windlass ÷ nginx", ratio, GOAL, "");
    }
}
