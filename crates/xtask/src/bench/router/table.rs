//! A table of 100,000 domains: what a request costs with it, what it weighs, and how soon a change
//! of one app in it is seen.

use super::super::numbers::{Samples, against_goal};
use super::super::{BenchError, Result};
use super::backend::get;
use super::control::Route;
use super::load::{Load, Pace};
use super::peers::{Kind, Proxy};
use super::{Bench, CONNECTIONS, backend};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const APPS: u32 = 10_000;
const DOMAINS_PER_APP: u32 = 10;
/// Requests go to these apps, of the small table and spread over the large one.
const ASKED: u32 = 10;
const ROUNDS: usize = 9;
const WARM: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(3);
const SWAPS: usize = 200;
const SEEN_LIMIT: Duration = Duration::from_secs(5);

const GOAL_RATIO: f64 = 1.05;
const GOAL_SWAP: f64 = 5.0;

pub fn run(bench: &Bench) -> Result<()> {
    let mut small = Tabled::start(bench, (0..ASKED).map(|at| at * APPS / ASKED).collect(), 1)?;
    let mut large = Tabled::start(bench, (0..APPS).collect(), DOMAINS_PER_APP)?;
    println!(
        "a table of {} domains, {APPS} apps and targets: told and saved in {:.0} ms, {:.1} MB \
         (PSS); with {ASKED} domains {:.1} MB",
        APPS * DOMAINS_PER_APP,
        large.told.as_secs_f64() * 1e3,
        large.memory,
        small.memory
    );
    let mut ratios = Samples::default();
    let (mut few, mut many) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        few.push(small.round()?);
        many.push(large.round()?);
    }
    ratios.extend(&many.ratios(&few));
    println!(
        "    CPU of a request: {:.1} µs, with {ASKED} domains {:.1} µs",
        many.median(),
        few.median()
    );
    against_goal("  large ÷ small", ratios.median(), GOAL_RATIO, "");
    swaps(bench, &mut large.proxy)
}

/// A router with a table.
struct Tabled {
    proxy: Proxy,
    load: Load,
    told: Duration,
    memory: f64,
}

fn host(app: u32, number: u32) -> String {
    format!("www{number}.customer-{app}.example.com")
}

impl Tabled {
    fn start(bench: &Bench, apps: Vec<u32>, domains: u32) -> Result<Self> {
        let mut setting = bench.setting();
        let directory = bench.path().join(format!("table-{}", apps.len()));
        setting.directory = &directory;
        let mut proxy = setting.start(Kind::Windlass)?;
        let routes: Vec<Route> =
            apps.iter().map(|app| route(*app, domains, bench.backend.address)).collect();
        let since = Instant::now();
        if let Some(control) = &mut proxy.control {
            control.sync(&routes)?;
        }
        let told = since.elapsed();
        // What the message needed is given back after a moment.
        std::thread::sleep(Duration::from_secs(2));
        let memory = proxy.process.memory();
        let asked = (0..ASKED).map(|at| get(&host(at * APPS / ASKED, 0), "/small")).collect();
        let load = Load::connect(proxy.address, CONNECTIONS, asked)?;
        Ok(Self { proxy, load, told, memory })
    }

    /// Returns the microseconds of processor time for each request.
    fn round(&mut self) -> Result<f64> {
        self.load.run(Pace::Closed, WARM)?;
        let before = self.proxy.process.cpu();
        let report = self.load.run(Pace::Closed, TIME)?;
        if report.failed > 0 {
            return Err(BenchError::Failed(format!("{} requests failed", report.failed)));
        }
        Ok((self.proxy.process.cpu() - before) * 1e6 / report.answers as f64)
    }
}

fn route(app: u32, domains: u32, target: SocketAddr) -> Route {
    let hosts: Vec<String> = (0..domains).map(|number| host(app, number)).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    Route::new(app, &hosts, &[target], None)
}

/// Leads an app to another backend and back, and asks until the other one answers.
fn swaps(bench: &Bench, proxy: &mut Proxy) -> Result<()> {
    let addresses = [bench.threads, backend::start_threads(bench.path())?];
    let routes = addresses.map(|address| route(0, DOMAINS_PER_APP, address));
    let Some(control) = &mut proxy.control else { return Ok(()) };
    let mut stream = TcpStream::connect(proxy.address).map_err(BenchError::io("the router"))?;
    stream.set_nodelay(true).map_err(BenchError::io("the router"))?;
    let (mut seen, mut saved) = (Samples::default(), Samples::default());
    for number in 0..SWAPS {
        let at = number % addresses.len();
        let since = Instant::now();
        control.begin_upsert(&routes[at])?;
        while ask(&mut stream).map_err(BenchError::io("the router"))? != addresses[at].port() {
            if since.elapsed() > SEEN_LIMIT {
                return Err(BenchError::failed("a change is not seen"));
            }
        }
        seen.push(since.elapsed().as_secs_f64() * 1e3);
        control.answer()?;
        saved.push(since.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "    {SWAPS} changes of one app: seen after {:.2} ms (median), {:.2} ms (p99); on disk \
         after {:.0} ms",
        seen.median(),
        seen.at(0.99),
        saved.median()
    );
    against_goal("  a change is seen, p99", seen.at(0.99), GOAL_SWAP, "ms");
    Ok(())
}

/// Returns the port of the backend that answers.
fn ask(stream: &mut TcpStream) -> std::io::Result<u16> {
    stream.write_all(&get(&host(0, 0), "/who"))?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && body.len() >= 5
        {
            return body.parse().map_err(std::io::Error::other);
        }
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
