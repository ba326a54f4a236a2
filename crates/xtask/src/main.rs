//! Repository chores: `cargo xtask test`, `cargo xtask tidy`, `cargo xtask bench`.
#![forbid(unsafe_code)]

mod bench;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <test | tidy | bench>

  test   set up what the tests need and run all of them (needs root)
  tidy   check the repository's own rules
  bench  measure: push, start, idle (see `cargo xtask bench`)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("test") => test::main(),
        Some("tidy") => tidy::main(),
        Some("bench") => bench::main(&arguments[1..]),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
