//! `cargo xtask bench`: measures the release build, beside a peer where there is one.

mod build;
mod client;
pub mod deploy;
pub mod door;
mod idle;
pub mod machine;
mod numbers;
mod push;
mod router;
pub mod server;
mod start;

use crate::run;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str =
    "usage: cargo xtask bench <push | start | idle | client | build | deploy | router> [options]   (as root)

  push   git push to served, by stage            [--runs 10]
  start  container start beside crun and runc    [--runs 50]
  idle   memory of server, router and shims      [--apps 0,10,100]
  client what a person waits for, with many apps  [--apps 500]
  build  second pushes, the build container's overhead, and what a hostile
         build does to served apps; 4 minutes    [--parts second-push,overhead,burden]
  deploy requests lost by deploys, beside nginx; rollback, scaling, 500 instances,
         200 deploys in a row; 8 minutes [--parts deploy,rollback,scale,many,growth]
  router cost of requests, transfers, handshakes, connections and a large table, requests
         lost by changes; beside nginx, HAProxy and Caddy; 12 minutes
         [--parts requests,latency,bulk,idle,table,lost,tls,http2]
         [--peers nginx,nginx-buffered,haproxy,caddy]

The stack is that of /var/lib/windlass (or WINDLASS_DATA_DIRECTORY): `windlass setup` builds it.";

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0}")]
    Failed(String),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
}

impl BenchError {
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }
}

pub type Result<T> = std::result::Result<T, BenchError>;

/// Runs the bench that is named.
pub fn main(arguments: &[String]) -> ExitCode {
    let outcome =
        match arguments.first().map(String::as_str) {
            Some("push") => option(arguments, "--runs", "10")
                .and_then(|runs| number(&runs))
                .and_then(|runs| push::run(&compiled()?, runs)),
            Some("start") => option(arguments, "--runs", "50")
                .and_then(|runs| number(&runs))
                .and_then(|runs| start::run(&compiled()?, runs)),
            Some("idle") => option(arguments, "--apps", "0,10,100")
                .and_then(|list| list.split(',').map(number).collect::<Result<Vec<_>>>())
                .and_then(|counts| idle::run(&compiled()?, &counts)),
            Some("client") => option(arguments, "--apps", "500")
                .and_then(|apps| number(&apps))
                .and_then(|apps| client::run(&compiled()?, apps)),
            Some("build") => option(arguments, "--parts", "all")
                .and_then(|parts| build::run(&compiled()?, &parts)),
            Some("deploy") => option(arguments, "--parts", "all")
                .and_then(|parts| deploy::run(&compiled()?, &parts)),
            Some("router") => router::Options::parse(&arguments[1..])
                .and_then(|options| router::run(&compiled()?, &options)),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the value of the only option that a bench knows.
fn option(arguments: &[String], name: &str, default: &str) -> Result<String> {
    match &arguments[1..] {
        [] => Ok(default.to_owned()),
        [option, value] if option == name => Ok(value.clone()),
        other => Err(BenchError::Failed(format!("{other:?} is not understood\n\n{USAGE}"))),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| BenchError::Failed(format!("{text:?} is no number")))
}

/// The programs that are measured.
pub struct Programs {
    pub windlass: PathBuf,
    /// The driver alone, for `bench start`.
    pub starter: PathBuf,
}

/// Builds them in the release profile, as one build, so that they share their crates. With
/// `WINDLASS_BENCH_PROGRAM` nothing is built and that program is measured.
pub fn compiled() -> Result<Programs> {
    if let Some(windlass) = std::env::var_os("WINDLASS_BENCH_PROGRAM").map(PathBuf::from) {
        let starter = windlass.with_file_name("examples").join("start");
        return Ok(Programs { windlass, starter });
    }
    let arguments = [
        "build",
        "--release",
        "--package",
        "windlass",
        "--package",
        "windlass-runtime",
        "--bin",
        "windlass",
        "--example",
        "start",
    ];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments)
        .current_dir(run::root())
        .stdin(Stdio::null())
        .status()
        .map_err(BenchError::io("cargo"))?;
    if !status.success() {
        return Err(BenchError::failed("the release build failed"));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| run::root().join("target"), PathBuf::from);
    let release = target.join("release");
    Ok(Programs { windlass: release.join("windlass"), starter: release.join("examples/start") })
}
