//! `bench router`: what a request, a connection and a change cost at our router, beside nginx,
//! HAProxy and Caddy, all in one run on the loopback, before the same backend.

mod backend;
mod bulk;
mod control;
mod http2;
mod idle;
mod latency;
mod load;
mod lost;
mod peers;
mod process;
mod requests;
mod table;
mod tls;

use super::server::Directory;
use super::{BenchError, Programs, Result, machine};
use backend::Backend;
use peers::{Certificate, Kind, Setting};
use process::Cores;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub const PARTS: &str = "requests,latency,bulk,idle,table,lost,tls,http2";
/// Connections to a proxy, each with one request at a time.
const CONNECTIONS: usize = 64;

/// What is asked of the bench.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    parts: Vec<String>,
    peers: Vec<Kind>,
}

impl Options {
    /// Reads `--parts` and `--peers`, each a list separated by commas.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            parts: PARTS.split(',').map(str::to_owned).collect(),
            peers: Kind::ALL[1..].to_vec(),
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().map(String::as_str).unwrap_or_default();
            let values = value.split(',').filter(|value| !value.is_empty());
            match name.as_str() {
                "--parts" => options.parts = values.map(part).collect::<Result<_>>()?,
                "--peers" => options.peers = values.map(peer).collect::<Result<_>>()?,
                other => return Err(BenchError::Failed(format!("{other:?} is not understood"))),
            }
        }
        Ok(options)
    }
}

fn part(name: &str) -> Result<String> {
    let is_known = PARTS.split(',').any(|part| part == name);
    let unknown = || BenchError::Failed(format!("{name:?} is none of {PARTS}"));
    is_known.then(|| name.to_owned()).ok_or_else(unknown)
}

fn peer(name: &str) -> Result<Kind> {
    let found = Kind::ALL[1..].iter().find(|kind| kind.name() == name);
    found.copied().ok_or_else(|| BenchError::Failed(format!("{name:?} is no known peer")))
}

/// What all parts need.
pub struct Bench {
    windlass: PathBuf,
    peers: Vec<Kind>,
    cores: Cores,
    backend: Backend,
    /// For what is large or slow.
    threads: SocketAddr,
    certificate: Option<Certificate>,
    /// Goes last.
    directory: Directory,
}

impl Bench {
    fn setting(&self) -> Setting<'_> {
        Setting {
            windlass: &self.windlass,
            directory: &self.directory.0,
            cores: &self.cores,
            backend: self.backend.address,
            certificate: None,
        }
    }

    /// Ours, then the peers that are wanted and installed.
    fn kinds(&self) -> Vec<Kind> {
        [Kind::Windlass].into_iter().chain(self.peers.iter().copied()).collect()
    }

    fn path(&self) -> &Path {
        &self.directory.0
    }
}

pub fn run(programs: &Programs, options: &Options) -> Result<()> {
    machine::print();
    raise_file_limit()?;
    let cores = Cores::split()?;
    pin(&cores)?;
    let (missing, peers): (Vec<Kind>, Vec<Kind>) =
        options.peers.iter().partition(|kind| !kind.is_installed());
    for kind in missing {
        println!("{} is not installed: not compared", kind.name());
    }
    let directory = Directory::new()?;
    let mut bench = Bench {
        windlass: programs.windlass.clone(),
        peers,
        backend: Backend::start(&directory.0, &cores)?,
        threads: backend::start_threads(&directory.0)?,
        certificate: None,
        cores,
        directory,
    };
    println!(
        "each proxy: {} worker on core {}, access log on; load and backend on core {}\n",
        bench.cores.workers, bench.cores.proxy, bench.cores.others
    );
    for part in &options.parts {
        let since = Instant::now();
        match part.as_str() {
            "requests" => requests::run(&bench)?,
            "latency" => latency::run(&bench)?,
            "bulk" => bulk::run(&bench)?,
            "idle" => idle::run(&bench)?,
            "table" => table::run(&bench)?,
            "lost" => lost::run(&bench)?,
            _ => {
                if bench.certificate.is_none() {
                    bench.certificate = Some(tls::certificate(bench.path())?);
                }
                if part == "tls" { tls::run(&bench)? } else { http2::run(&bench)? }
            }
        }
        println!("  ({part} took {:.0} s)\n", since.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Ten thousand connections are as many files, here and in a proxy.
fn raise_file_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| BenchError::io("the limit on open files")(error.into()))
}

/// Keeps this process, which makes the load, from the proxy's core.
fn pin(cores: &Cores) -> Result<()> {
    let mut wanted = rustix::thread::CpuSet::new();
    cores.others().for_each(|core| wanted.set(core));
    rustix::thread::sched_setaffinity(None, &wanted)
        .map_err(|error| BenchError::io("the load's cores")(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(parse(&[]).unwrap().parts.join(","), PARTS);
        let options = parse(&["--parts", "idle,table", "--peers", "nginx"]).unwrap();
        assert_eq!((options.parts.len(), options.peers), (2, vec![Kind::Nginx]));
        assert_eq!(parse(&["--peers", ""]).unwrap().peers, []);
        assert!(parse(&["--parts", "nothing"]).is_err() && parse(&["--fast"]).is_err());
    }
}
