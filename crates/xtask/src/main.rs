//! Repository chores: `cargo xtask test`, `cargo xtask vm`, `cargo xtask tidy`, `cargo xtask bench`,
//! `cargo xtask sim`, `cargo xtask fuzz`, `cargo xtask chaos`, `cargo xtask clients`.
#![forbid(unsafe_code)]

mod bench;
mod chaos;
mod clients;
mod fuzz;
mod run;
mod sim;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <test | vm | tidy | bench | sim | fuzz | chaos | clients>

  test   set up what the tests need and run all of them (needs root)
  vm     run the container tests on cgroup v2, in a virtual machine (`vm memory`: by part of a name)
  tidy   check the repository's own rules
  bench  measure: push, start, idle, build, deploy, router (see `cargo xtask bench`)
  sim    seeded simulations with faults: --seeds N, --seed S
  fuzz   mutated inputs for the router's parsers: --minutes N, --seed S
  chaos  kill the parts of a real server under load: --minutes M, --seed S (needs root)
  clients  bring Heroku's CLI and libraries, which some tests run";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("test") => test::main(),
        Some("vm") => vm::main(&arguments[1..]),
        Some("tidy") => tidy::main(),
        Some("bench") => bench::main(&arguments[1..]),
        Some("sim") => sim::main(&arguments[1..]),
        Some("fuzz") => fuzz::main(&arguments[1..]),
        Some("chaos") => chaos::main(&arguments[1..]),
        Some("clients") => clients::main(),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
