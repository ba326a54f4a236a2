//! `cargo xtask fuzz`: mutated inputs for the parsers, for as long as wanted.

use crate::run;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask fuzz http1 [--minutes N] [--seed S]

  http1        heads of requests and responses, and the chunked coding, at the router
  --minutes N  for each of them; side by side (1)
  --seed S     what the mutations begin with (1)";

pub fn main(arguments: &[String]) -> ExitCode {
    let Some((minutes, seed)) = read(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut test = Command::new(&cargo);
    test.args(["test", "--quiet", "--package", "windlass-router", "--lib"]);
    test.args(["http1::fuzz::", "--", "--nocapture"]).current_dir(run::root());
    test.env("WINDLASS_FUZZ_MINUTES", minutes).env("WINDLASS_FUZZ_SEED", seed);
    match test.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Returns the minutes and the seed.
fn read(arguments: &[String]) -> Option<(String, String)> {
    let [what, options @ ..] = arguments else { return None };
    if what != "http1" || options.len() % 2 != 0 {
        return None;
    }
    let (mut minutes, mut seed) = ("1".to_owned(), "1".to_owned());
    for option in options.chunks_exact(2) {
        let [name, value] = option else { return None };
        value.parse::<u64>().ok()?;
        match name.as_str() {
            "--minutes" => minutes.clone_from(value),
            "--seed" => seed.clone_from(value),
            _ => return None,
        }
    }
    Some((minutes, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = |text: &str| read(&text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
        let pair = |minutes: &str, seed: &str| Some((minutes.to_owned(), seed.to_owned()));
        assert_eq!(read("http1"), pair("1", "1"));
        assert_eq!(read("http1 --seed 7 --minutes 30"), pair("30", "7"));
        for wrong in ["", "http9", "http1 --minutes", "http1 --minutes x", "http1 --hours 1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
