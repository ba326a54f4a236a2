//! Processor time of a request over HTTP/2 with 100 streams on a connection, by `h2load`.

use super::super::numbers::{Samples, against_goal};
use super::super::server::output;
use super::super::{BenchError, Result};
use super::Bench;
use super::peers::{HOST, Kind, Proxy, Setting};
use std::process::Command;

const ROUNDS: usize = 5;
const REQUESTS: u64 = 30_000;
const CONNECTIONS: &str = "4";
const STREAMS: &str = "100";
/// Of nginx's processor time.
const GOAL: f64 = 1.0;

pub fn run(bench: &Bench) -> Result<()> {
    if !crate::run::is_installed("h2load") {
        println!("h2load is not installed (nghttp2-client): HTTP/2 is not measured");
        return Ok(());
    }
    println!(
        "CPU of a request over HTTP/2 with TLS, {CONNECTIONS} connections of {STREAMS} streams, \
         answers of 100 bytes, medians of {ROUNDS} rounds"
    );
    let setting = Setting { certificate: bench.certificate.as_ref(), ..bench.setting() };
    let kinds = bench.kinds();
    let proxies = kinds.iter().map(|kind| setting.start(*kind)).collect::<Result<Vec<_>>>()?;
    let mut cpu = vec![Samples::default(); proxies.len()];
    let mut rate = cpu.clone();
    for proxy in &proxies {
        load(bench, proxy)?;
    }
    for _ in 0..ROUNDS {
        for (number, proxy) in proxies.iter().enumerate() {
            let before = proxy.process.cpu();
            rate[number].push(load(bench, proxy)?);
            cpu[number].push((proxy.process.cpu() - before) * 1e6 / REQUESTS as f64);
        }
    }
    println!("    {:<15} {:>12} {:>12} {:>15}", "", "µs CPU", "a second", "windlass ÷ it");
    for (number, kind) in kinds.iter().enumerate() {
        let ratio = cpu[0].ratios(&cpu[number]).median();
        println!(
            "    {:<15} {:>12.1} {:>12.0} {ratio:>15.2}",
            kind.name(),
            cpu[number].median(),
            rate[number].median()
        );
        if *kind == Kind::Nginx {
            against_goal("  CPU, windlass ÷ nginx", ratio, GOAL, "");
        }
    }
    Ok(())
}

/// Sends the requests; returns how many were answered a second.
fn load(bench: &Bench, proxy: &Proxy) -> Result<f64> {
    let address = proxy.tls.ok_or_else(|| BenchError::failed("no TLS address"))?;
    let mut h2load = Command::new("timeout");
    h2load.args(["--kill-after=5", "60", "taskset", "--cpu-list", &bench.cores.others, "h2load"]);
    h2load.args(["-n", &REQUESTS.to_string(), "-c", CONNECTIONS, "-m", STREAMS, "-t", "1"]);
    h2load.arg(format!("--connect-to={address}"));
    h2load.arg(format!("https://{HOST}:{}/small", address.port()));
    let said = output("h2load", &mut h2load)?;
    let (rate, succeeded) = read(&said);
    if succeeded != REQUESTS {
        return Err(BenchError::Failed(format!("{}: {said}", proxy.kind.name())));
    }
    Ok(rate)
}

/// Reads answers a second, and how many were good.
fn read(said: &str) -> (f64, u64) {
    let before = |word: &str| {
        let text = said.split_once(word)?.0;
        text.rsplit(' ').next()
    };
    let rate = before(" req/s").and_then(|rate| rate.parse().ok());
    let good = before(" 2xx").and_then(|count| count.parse().ok());
    (rate.unwrap_or(f64::NAN), good.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_h2load_says_is_read() {
        let said = "finished in 1.02s, 19512.34 req/s, 2.50MB/s\n\
                    requests: 20000 total, 20000 started, 20000 done, 19999 succeeded, 1 failed\n\
                    status codes: 19999 2xx, 0 3xx, 0 4xx, 1 5xx\n";
        assert_eq!(super::read(said), (19512.34, 19_999));
    }
}
