//! A gigabyte down and up over one connection. Neither end touches the bytes, so that the proxy is
//! what limits it.

use super::super::numbers::Samples;
use super::super::{BenchError, Result};
use super::Bench;
use super::backend::{LARGE, discard};
use super::peers::{HOST, Kind, Proxy, Setting};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);
/// Of nginx's throughput.
const GOAL: f64 = 0.9;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Down,
    Up,
}

pub fn run(bench: &Bench) -> Result<()> {
    println!("1 GiB over one connection, medians of {ROUNDS} rounds");
    let kinds = bench.kinds();
    for direction in [Direction::Down, Direction::Up] {
        let setting = Setting { backend: bench.threads, ..bench.setting() };
        let start = |kind: &Kind| setting.start(*kind);
        let proxies = kinds.iter().map(start).collect::<Result<Vec<_>>>()?;
        let mut speed = vec![Samples::default(); proxies.len()];
        let mut cpu = speed.clone();
        for _ in 0..ROUNDS {
            for (number, proxy) in proxies.iter().enumerate() {
                let (before, since) = (proxy.process.cpu(), Instant::now());
                transfer(proxy, direction, &bench.path().join("large"))
                    .map_err(BenchError::io(proxy.kind.name()))?;
                speed[number].push(LARGE as f64 / 1e6 / since.elapsed().as_secs_f64());
                cpu[number].push(proxy.process.cpu() - before);
            }
        }
        let name = if direction == Direction::Down { "download" } else { "upload" };
        println!("    {name:<15} {:>9} {:>12} {:>20}", "MB/s", "CPU s/GiB", "windlass ÷ it");
        for (number, kind) in kinds.iter().enumerate() {
            let ratios = speed[0].ratios(&speed[number]);
            println!(
                "    {:<15} {:>9.0} {:>12.2} {:>20.2}",
                kind.name(),
                speed[number].median(),
                cpu[number].median(),
                ratios.median()
            );
            if *kind == Kind::Nginx {
                let reached = if ratios.median() >= GOAL { "reached" } else { "MISSED" };
                println!("      goal: at least {GOAL} of nginx: {reached}");
            }
        }
    }
    Ok(())
}

fn transfer(proxy: &Proxy, direction: Direction, file: &Path) -> io::Result<()> {
    let stream = TcpStream::connect(proxy.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut stream = BufReader::new(stream);
    let (what, length) = match direction {
        Direction::Down => ("GET /download", 0),
        Direction::Up => ("POST /upload", LARGE),
    };
    let head = format!("{what} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    if direction == Direction::Up {
        io::copy(&mut File::open(file)?.take(length), stream.get_mut())?;
    }
    let (status, length) = read_head(&mut stream)?;
    if status != 200 {
        return Err(io::Error::other(format!("answered {status}")));
    }
    discard(&mut stream, length)
}

/// Returns the status and the length of the body.
fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, u64)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut length = 0;
    while !line.trim_end().is_empty() {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    Ok((status, length))
}
