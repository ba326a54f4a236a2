//! `cargo xtask sim`: the seeded simulations, with as many seeds as wanted.

use crate::run;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--seed S]

  --seeds N  play the histories of the seeds 0 to N-1 (300)
  --seed S   play this one alone; prints the log of the decisions";

/// The test that is run: its package, its target, and a part of its name.
const SIMULATIONS: &[(&str, &str, &str)] = &[
    // The decisions, on a clock of their own: equal seeds log equally.
    ("windlass-core", "simulation", "histories"),
    // The control plane, with the simulated driver and router.
    ("windlass-control", "platform", "simulation::"),
    // The same, with a crash before and after each effect of each operation.
    ("windlass-control", "platform", "crashes_of_the_server::"),
];

pub fn main(arguments: &[String]) -> ExitCode {
    let (variable, value) = match arguments {
        [] => ("WINDLASS_SEEDS", "300"),
        [name, value] if name == "--seeds" && is_number(value) => {
            ("WINDLASS_SEEDS", value.as_str())
        }
        [name, value] if name == "--seed" && is_number(value) => ("WINDLASS_SEED", value.as_str()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut code = ExitCode::SUCCESS;
    for (package, target, name) in SIMULATIONS {
        let mut test = Command::new(&cargo);
        test.args(["test", "--quiet", "--package", package, "--test", target]);
        test.args([name, "--", "--nocapture"]).current_dir(run::root()).env(variable, value);
        if !test.status().is_ok_and(|status| status.success()) {
            eprintln!("sim: {package} {name} failed");
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}
