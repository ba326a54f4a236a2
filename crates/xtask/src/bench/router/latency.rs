//! How long requests take at 70 % of what nginx can do.

use super::super::Result;
use super::super::numbers::{Samples, against_goal};
use super::backend::get;
use super::load::{Load, Pace};
use super::peers::{HOST, Kind, Proxy};
use super::{Bench, CONNECTIONS};
use std::time::Duration;

const ROUNDS: usize = 5;
const WARM: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(5);
/// Of nginx's maximum.
const SHARE: f64 = 0.7;

pub fn run(bench: &Bench) -> Result<()> {
    let kinds = bench.kinds();
    let start = |kind: &Kind| -> Result<(Proxy, Load)> {
        let proxy = bench.setting().start(*kind)?;
        let load = Load::connect(proxy.address, CONNECTIONS, vec![get(HOST, "/small")])?;
        Ok((proxy, load))
    };
    let mut proxies = kinds.iter().map(start).collect::<Result<Vec<_>>>()?;
    // Without nginx its place is taken by the last peer, or by ourselves.
    let reference = kinds.iter().position(|kind| *kind == Kind::Nginx).unwrap_or(kinds.len() - 1);
    let mut maximum = Samples::default();
    for _ in 0..3 {
        let load = &mut proxies[reference].1;
        load.run(Pace::Closed, WARM)?;
        maximum.push(load.run(Pace::Closed, TIME)?.rate());
    }
    let rate = SHARE * maximum.median();
    println!(
        "time of a request of 100 bytes at {rate:.0} a second, 70 % of what {} does, from when it \
         was due; medians of {ROUNDS} rounds of {} s",
        kinds[reference].name(),
        TIME.as_secs()
    );
    let mut times = vec![[Samples::default(), Samples::default(), Samples::default()]; kinds.len()];
    let mut failed = vec![0; kinds.len()];
    for _ in 0..ROUNDS {
        for (number, (_, load)) in proxies.iter_mut().enumerate() {
            load.run(Pace::Open(rate), WARM)?;
            let report = load.run(Pace::Open(rate), TIME)?;
            for (samples, share) in times[number].iter_mut().zip([0.5, 0.99, 0.999]) {
                samples.push(report.times.at(share));
            }
            failed[number] += report.failed;
        }
    }
    println!("    {:<15} {:>9} {:>9} {:>9} {:>8}", "ms", "p50", "p99", "p99.9", "failed");
    for (number, kind) in kinds.iter().enumerate() {
        let [p50, p99, p999] = &times[number];
        println!(
            "    {:<15} {:>9.3} {:>9.3} {:>9.3} {:>8}",
            kind.name(),
            p50.median(),
            p99.median(),
            p999.median(),
            failed[number]
        );
    }
    if kinds[reference] == Kind::Nginx {
        against_goal("  p99", times[0][1].median(), times[reference][1].median(), "ms");
    }
    Ok(())
}
