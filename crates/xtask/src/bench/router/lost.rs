//! Requests lost while the router is changed: its table fifty times a second, its program, and
//! nobody who tells it anything.

use super::super::deploy::load::{Account, Load};
use super::super::numbers::against_goal;
use super::super::{BenchError, Result};
use super::Bench;
use super::backend;
use super::control::{Control, Route};
use super::peers::{HOST, Kind, Proxy, Setting};
use super::process::Process;
use std::path::Path;
use std::time::{Duration, Instant};

const RATE: f64 = 300.0;
const TIME: Duration = Duration::from_secs(12);
const EVERY: Duration = Duration::from_millis(20);
const UPGRADES: u32 = 6;
const DRAIN: Duration = Duration::from_secs(10);

pub fn run(bench: &Bench) -> Result<()> {
    println!(
        "requests lost at {RATE} a second for {} s each: of a hundred 12 take 500 ms and 3 take \
         3 s, half of the clients keep their connection",
        TIME.as_secs()
    );
    let mut lost = 0;
    lost += under_load(bench, "50 changes of the table a second", |proxy| swaps(bench, proxy))?;
    lost += under_load(bench, "six hot upgrades", |proxy| upgrades(bench, proxy))?;
    lost += under_load(bench, "nobody at the control socket", |proxy| {
        proxy.control = None;
        std::thread::sleep(TIME);
        Ok("nothing said".to_owned())
    })?;
    against_goal("requests lost", lost as f64, 0.0, "");
    if lost > 0 {
        return Err(BenchError::failed("requests were lost"));
    }
    Ok(())
}

fn under_load(
    bench: &Bench,
    what: &str,
    change: impl FnOnce(&mut Proxy) -> Result<String>,
) -> Result<usize> {
    let directory = bench.path().join(what.replace(' ', "-"));
    let setting = Setting { backend: bench.threads, directory: &directory, ..bench.setting() };
    let mut proxy = setting.start(Kind::Windlass)?;
    let load = Load::new(proxy.address, HOST, RATE);
    let done = std::thread::scope(|scope| {
        load.start(scope);
        let done = change(&mut proxy);
        load.stop();
        done
    })?;
    let account: Account = load.account();
    println!("    {what}: {} requests, {} lost; {done}", account.sent, account.lost());
    for (kind, count) in &account.lost {
        println!("      lost: {count:>5}  {kind}");
    }
    Ok(account.lost())
}

/// Leads the app to one of two backends in turn, and drains the other one as a deploy does.
fn swaps(bench: &Bench, proxy: &mut Proxy) -> Result<String> {
    let addresses = [bench.threads, backend::start_threads(bench.path())?];
    let socket = bench_socket(proxy)?;
    let mut draining = Vec::new();
    let control = proxy.control.as_mut().ok_or_else(|| BenchError::failed("no control"))?;
    let (begin, mut changes) = (Instant::now(), 0u32);
    while begin.elapsed() < TIME {
        // An instance that has left comes back under another id, as the control plane has it.
        let route = Route::new(changes, &[HOST], &[addresses[changes as usize % 2]], None);
        let route = route.of_app(1);
        control.upsert(&route)?;
        if changes > 0 && changes % 10 == 0 {
            let gone = Route::instance(changes - 1, addresses[(changes as usize - 1) % 2]);
            let mut other = Control::connect(&socket)?;
            draining.push(std::thread::spawn(move || other.drain(&gone, DRAIN)));
        }
        changes += 1;
        std::thread::sleep((begin + EVERY * changes).saturating_duration_since(Instant::now()));
    }
    let mut left = 0;
    for thread in draining {
        left += thread.join().map_err(|_| BenchError::failed("a drain panicked"))??;
    }
    Ok(format!("{changes} changes, {left} requests left by drains"))
}

/// Puts the same program in the router's place again and again.
fn upgrades(bench: &Bench, proxy: &mut Proxy) -> Result<String> {
    let socket = bench_socket(proxy)?;
    let table = socket.with_file_name("routes.json");
    let mut old = Vec::new();
    for _ in 0..UPGRADES {
        std::thread::sleep(TIME / UPGRADES);
        let next = next(bench, proxy, &socket, &table)?;
        old.push(std::mem::replace(&mut proxy.process, next));
    }
    let count = old.len();
    old.iter_mut().try_for_each(|old| old.wait(Duration::from_secs(90)))?;
    Ok(format!("{count} upgrades, each old program ended by itself"))
}

fn next(bench: &Bench, proxy: &mut Proxy, socket: &Path, table: &Path) -> Result<Process> {
    let (program, listen) = (bench.windlass.display().to_string(), proxy.address.to_string());
    let (socket_text, table) = (socket.display().to_string(), table.display().to_string());
    let arguments = [
        program.as_str(),
        "router",
        "--listen",
        &listen,
        "--control-socket",
        &socket_text,
        "--table-file",
        &table,
        "--take-over",
    ];
    let log = socket.with_file_name("output.log");
    let process = Process::start("windlass", &bench.cores.proxy, &arguments, &[], &log)?;
    let since = Instant::now();
    loop {
        // The old one has closed its connections to this socket when the new one answers.
        if let Ok(mut control) = Control::connect(socket)
            && control.pid().is_ok_and(|pid| process.has(pid))
        {
            proxy.control = Some(control);
            return Ok(process);
        }
        if since.elapsed() > DRAIN {
            return Err(BenchError::failed("the next router does not serve"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn bench_socket(proxy: &Proxy) -> Result<std::path::PathBuf> {
    let control = proxy.control.as_ref().ok_or_else(|| BenchError::failed("no control"))?;
    Ok(control.socket().to_owned())
}
