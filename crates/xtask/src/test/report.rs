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
    /// Tests that failed beside others and passed alone.
    unsteady: Vec<Failure>,
    skips: Vec<String>,
}

/// A test, or a step, that failed.
struct Failure {
    name: String,
    said: Vec<String>,
    /// Of a test in a program: which.
    test: Option<(String, String)>,
}

impl Failure {
    fn print(&self) {
        println!("\n---- {} ----", self.name);
        self.said.iter().take(LINES).for_each(|line| println!("{line}"));
    }
}

impl Report {
    /// Returns that of one run of a program.
    pub fn of(program: &str, outcome: &Outcome) -> Self {
        let mut report = Self::default();
        report.program(program, outcome);
        report
    }

    /// Whether tests ran, and each of them passed.
    pub fn has_only_passed(&self) -> bool {
        self.passed > 0 && self.failed == 0 && self.skipped == 0
    }

    /// Returns how much failed: steps as well as tests.
    pub fn failed(&self) -> usize {
        usize::try_from(self.failed).unwrap_or(usize::MAX)
    }

    /// Returns program and name of each test that failed.
    pub fn failed_tests(&self) -> Vec<(String, String)> {
        self.failures.iter().filter_map(|failure| failure.test.clone()).collect()
    }

    /// Takes a test that failed for one that is unsteady: it has passed when nothing ran beside it.
    pub fn passed_alone(&mut self, program: &str, test: &str) {
        let is_it = |failure: &mut Failure| {
            failure.test.as_ref().is_some_and(|(of, name)| of == program && name == test)
        };
        let passed: Vec<_> = self.failures.extract_if(.., is_it).collect();
        let number = u64::try_from(passed.len()).unwrap_or_default();
        self.failed = self.failed.saturating_sub(number);
        self.passed += number;
        self.unsteady.extend(passed);
    }

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
        self.failures.push(Failure { name: name.to_owned(), said, test: None });
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
        self.failures.extend(failures(name, &outcome.lines));
    }

    /// Says everything that matters again; the sums are the last line. Returns whether all is well.
    pub fn print(&self) -> bool {
        if !self.skips.is_empty() {
            println!("\nskipped:");
            self.skips.iter().for_each(|skip| println!("  {skip}"));
        }
        if !self.unsteady.is_empty() {
            println!("\nunsteady: failed beside others, passed alone (counted as passed):");
            self.unsteady.iter().for_each(|test| println!("  {}", test.name));
            self.unsteady.iter().for_each(Failure::print);
        }
        if !self.failures.is_empty() {
            println!("\nwhat failed, once more:");
            self.failures.iter().for_each(Failure::print);
            println!("\nfailed:");
            self.failures.iter().for_each(|failure| println!("  {}", failure.name));
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        self.failed == 0
    }
}

/// Returns what a program's output says of each test that failed: the blocks that the standard test
/// runner, and that of the containers, write before their sums.
fn failures(program: &str, lines: &[String]) -> Vec<Failure> {
    let mut found: Vec<Failure> = Vec::new();
    let mut is_within = false;
    for line in lines {
        // A serial console ends lines as terminals do.
        let line = line.trim_end();
        let header = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = header {
            let test = Some((program.to_owned(), name.to_owned()));
            found.push(Failure { name: format!("{program}: {name}"), said: Vec::new(), test });
            is_within = true;
        } else if line == "failures:" || line.starts_with("test result: ") || is_summary(line) {
            is_within = false;
        } else if let (true, Some(failure)) = (is_within, found.last_mut()) {
            failure.said.push(line.to_owned());
        }
    }
    // Shell scripts say it in a line, and go on.
    let said = lines.iter().filter_map(|line| line.strip_prefix("FAILED: "));
    found.extend(said.map(|line| Failure {
        name: format!("{program}: {line}"),
        said: Vec::new(),
        test: None,
    }));
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
        assert_eq!(report.failed_tests().len(), 2);
        report.passed_alone("e2e", "c");
        report.passed_alone("another", "a::b");
        assert_eq!((report.passed, report.failed, report.unsteady.len()), (4, 1, 1));
        assert_eq!(report.failed_tests(), [("e2e".to_owned(), "a::b".to_owned())]);
    }

    #[test]
    fn a_test_has_passed_alone_only_if_it_ran() {
        let summary = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured";
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 211 filtered out";
        let skipped = ["SKIPPED e2e::x: no network", summary];
        for (success, lines, expected) in [
            (true, &[summary][..], true),
            (true, &[none][..], false),
            (true, &skipped[..], false),
            (false, &[summary][..], false),
        ] {
            let report = Report::of("e2e", &outcome(success, lines));
            assert_eq!(report.has_only_passed(), expected, "{lines:?}");
        }
    }
}
