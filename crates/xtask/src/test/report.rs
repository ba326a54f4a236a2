//! What came of the tests: sums, and what is said again at the end, where it is found.

use crate::run::Outcome;

/// So much is said again of each test that failed. All of it is further up.
const LINES: usize = 60;

/// So much is said again of a program that ended without saying what failed.
const LAST_LINES: usize = 40;

#[derive(Default)]
pub struct Report {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<Failure>,
    skips: Vec<String>,
}

/// A test, or a step, that failed.
struct Failure {
    name: String,
    said: Vec<String>,
}

impl Report {
    /// Counts a step as one test.
    pub fn step(&mut self, name: &str, outcome: &Outcome) {
        match outcome.success {
            true => self.passed += 1,
            false => self.fail(name, outcome),
        }
    }

    fn fail(&mut self, name: &str, outcome: &Outcome) {
        println!("FAILED: {name}");
        self.failed += 1;
        let from = outcome.lines.len().saturating_sub(LAST_LINES);
        let said = outcome.lines[from..].to_vec();
        self.failures.push(Failure { name: name.to_owned(), said });
    }

    /// Notes that tests will be skipped, and why.
    pub fn note(&mut self, why: String) {
        println!("{why}");
        self.skips.push(why);
    }

    /// Adds up a test program's own summary. A test that had to skip says so on a line of its own.
    pub fn program(&mut self, name: &str, outcome: &Outcome) {
        let (passed, failed) = (self.passed, self.failed);
        let mut skipped_by_themselves = 0;
        for line in &outcome.lines {
            if let Some(counts) = line.strip_prefix("test result: ") {
                self.passed += number_before(counts, " passed");
                self.failed += number_before(counts, " failed");
                self.skipped += number_before(counts, " ignored");
            } else if let Some(skip) = line.strip_prefix("SKIPPED") {
                self.skips.push(format!("{name}: {}", skip.trim_start_matches([':', ' '])));
                if line.starts_with("SKIPPED: all ") {
                    self.skipped += number_before(line, " container tests");
                } else {
                    // Its runner takes it for passed.
                    self.skipped += 1;
                    skipped_by_themselves += 1;
                }
            } else if is_summary(line) {
                // The container tests and those of buildpacks have runners of their own.
                self.passed += number_before(line, " passed");
                self.failed += number_before(line, " failed");
            }
        }
        self.passed = passed + (self.passed - passed).saturating_sub(skipped_by_themselves);
        // A program that is killed, or does not run, has no summary.
        if !outcome.success && self.failed == failed {
            self.fail(name, outcome);
        }
        self.failures.extend(failures(&outcome.lines).into_iter().map(|failure| Failure {
            name: format!("{name}: {}", failure.name),
            said: failure.said,
        }));
    }

    /// Says everything that matters again; the sums are the last line. Returns whether all is well.
    pub fn print(&self) -> bool {
        if !self.skips.is_empty() {
            println!("\nskipped:");
            self.skips.iter().for_each(|skip| println!("  {skip}"));
        }
        if !self.failures.is_empty() {
            println!("\nwhat failed, once more:");
            for failure in &self.failures {
                println!("\n---- {} ----", failure.name);
                failure.said.iter().take(LINES).for_each(|line| println!("{line}"));
            }
            println!("\nfailed:");
            self.failures.iter().for_each(|failure| println!("  {}", failure.name));
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        self.failed == 0
    }
}

/// Returns what a program's output says of each test that failed: the blocks that the standard test
/// runner, and that of the containers, write before their sums.
fn failures(lines: &[String]) -> Vec<Failure> {
    let mut found: Vec<Failure> = Vec::new();
    let mut is_within = false;
    for line in lines {
        // A serial console ends lines as terminals do.
        let line = line.trim_end();
        let header = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = header {
            found.push(Failure { name: name.to_owned(), said: Vec::new() });
            is_within = true;
        } else if line == "failures:" || line.starts_with("test result: ") || is_summary(line) {
            is_within = false;
        } else if let (true, Some(failure)) = (is_within, found.last_mut()) {
            failure.said.push(line.to_owned());
        }
    }
    // Shell scripts say it in a line, and go on.
    let said = lines.iter().filter_map(|line| line.strip_prefix("FAILED: "));
    found.extend(said.map(|line| Failure { name: line.to_owned(), said: Vec::new() }));
    found
}

/// Whether a line is a summary: `5 passed, 1 failed`.
fn is_summary(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" passed, ")
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

    fn outcome(success: bool, lines: &[&str]) -> Outcome {
        Outcome { success, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn counts_are_read_from_summaries() {
        let mut report = Report::default();
        let lines = [
            "test a ... ok",
            "SKIPPED e2e::x: no network",
            "SKIPPED: one_of_its_own: no root",
            "5 passed, 1 failed [\"one_of_its_own\"]",
            "SKIPPED: all 50 container tests: no root",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.06s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s",
        ];
        report.program("all", &outcome(false, &lines));
        assert_eq!((report.passed, report.failed, report.skipped), (18, 3, 53));
        assert_eq!(report.skips[0], "all: e2e::x: no network");
        report.program("buildpacks", &outcome(true, &["27 passed, 0 failed"]));
        assert_eq!((report.passed, report.failed), (45, 3));
        report.program("killed", &outcome(false, &["test a ... ok", "the last"]));
        assert_eq!((report.passed, report.failed), (45, 4));
        assert_eq!(report.failures.last().unwrap().said, ["test a ... ok", "the last"]);
        report.step("a step", &outcome(false, &[]));
        assert_eq!((report.passed, report.failed), (45, 5));
    }

    #[test]
    fn what_failed_is_found_in_the_output() {
        let lines = [
            "test a::b ... FAILED",
            "failures:",
            "---- a::b stdout ----",
            "panicked at x.rs:1",
            "---- c stdout ----\r",
            "why",
            "",
            "failures:",
            "    a::b",
            "    c",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored",
        ];
        let mut report = Report::default();
        report.program("e2e", &outcome(false, &lines));
        let found: Vec<_> =
            report.failures.iter().map(|f| (f.name.as_str(), f.said.join("|"))).collect();
        let expected = [("e2e: a::b", "panicked at x.rs:1"), ("e2e: c", "why|")];
        assert_eq!(found, expected.map(|(name, said)| (name, said.to_owned())));
    }
}
