//! `cargo xtask fuzz`: mutated inputs for the parsers, for as long as wanted.

use crate::run;
use std::process::{Command, ExitCode};

const USAGE: &str =
    "usage: cargo xtask fuzz <http1 | heads | http3 | proxy | images> [--minutes N] [--seed S]

  http1        heads of requests and responses, and the chunked coding, at the router
  heads        heads of HTTP/2 and HTTP/3 that become those of HTTP/1
  http3        frames of HTTP/3
  proxy        headers of the PROXY protocol
  images       layers, their compression and the documents of images
  --minutes N  for each of them; side by side (1)
  --seed S     what the mutations begin with (1)";

pub fn main(arguments: &[String]) -> ExitCode {
    let Some(Wanted { package, tests, minutes, seed }) = read(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut test = Command::new(&cargo);
    test.args(["test", "--quiet", "--package", package, "--lib"]);
    test.args([tests, "--", "--nocapture"]).current_dir(run::root());
    test.env("WINDLASS_FUZZ_MINUTES", minutes).env("WINDLASS_FUZZ_SEED", seed);
    match test.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Which tests are run, and how.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    package: &'static str,
    /// The part of their names that they share.
    tests: &'static str,
    minutes: String,
    seed: String,
}

fn read(arguments: &[String]) -> Option<Wanted> {
    let [what, options @ ..] = arguments else { return None };
    let (package, tests) = match what.as_str() {
        "http1" => ("windlass-router", "http1::fuzz::"),
        "heads" => ("windlass-router", "proxy::fuzz::"),
        "http3" => ("windlass-router", "http3::fuzz::"),
        "proxy" => ("windlass-router", "listen::fuzz::"),
        "images" => ("windlass-oci", "fuzz::"),
        _ => return None,
    };
    if options.len() % 2 != 0 {
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
    Some(Wanted { package, tests, minutes, seed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = |text: &str| read(&text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
        let wanted = |of: &'static str, tests, minutes: &str, seed: &str| {
            let (minutes, seed) = (minutes.to_owned(), seed.to_owned());
            Some(Wanted { package: of, tests, minutes, seed })
        };
        assert_eq!(read("http1"), wanted("windlass-router", "http1::fuzz::", "1", "1"));
        assert_eq!(
            read("proxy --seed 7 --minutes 30"),
            wanted("windlass-router", "listen::fuzz::", "30", "7")
        );
        assert_eq!(read("images"), wanted("windlass-oci", "fuzz::", "1", "1"));
        for wrong in ["", "http9", "http1 --minutes", "http1 --minutes x", "http1 --hours 1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
