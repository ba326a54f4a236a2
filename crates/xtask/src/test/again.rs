//! What failed once runs once more, alone.
//!
//! Some six hundred of the tests start servers, containers, browsers and routers, six at a time
//! beside a virtual machine on two cores: what they wait for comes late now and then. A test that
//! fails alone as well is broken; one that passes alone is unsteady, which is said at the end with
//! what it said when it failed, so that somebody looks at it.

use super::programs::Program;
use super::report::Report;
use super::{CONTAINERS, MINUTE, VIRTUAL_MACHINE};
use crate::run::{Outcome, shown};
use crate::vm;

/// More failures than these are no accident: none of them runs again.
const MOST: usize = 5;

/// Runs the tests that failed once more, if there are few, and notes which pass now.
pub fn run(programs: &[Program], report: &mut Report) {
    if report.failed() > MOST {
        return;
    }
    for (program, test) in report.failed_tests() {
        println!("\nonce more, alone: {program}: {test}");
        let Some(outcome) = run_one(programs, &program, &test) else { continue };
        if Report::of(&program, &outcome).has_only_passed() {
            report.passed_alone(&program, &test);
        }
    }
}

/// `None` if the program has no way to run one of its tests.
fn run_one(programs: &[Program], program: &str, test: &str) -> Option<Outcome> {
    let find = |name: &str| programs.iter().find(|program| program.name == name);
    if program != VIRTUAL_MACHINE {
        return Some(find(program)?.run_one(test, 30 * MINUTE));
    }
    let machine = vm::prepare(&find(CONTAINERS)?.path, &[test.to_owned()]);
    Some(match machine {
        Ok(machine) => machine.boot(shown),
        Err(why) => Outcome { success: false, lines: vec![why] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program of which a run fails, but not that of the test `steady` alone.
    fn program(folder: &std::path::Path) -> Program {
        let path = folder.join("program");
        let script = "#!/bin/sh\n[ \"$1 $2\" = '--exact steady' ] || exit 1\n\
            echo 'test result: ok. 1 passed; 0 failed; 0 ignored; 7 filtered out'\n";
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Program { name: "p".to_owned(), path, folder: folder.to_owned() }
    }

    fn report_of(failed: &[&str]) -> Report {
        let blocks = failed.iter().map(|name| format!("---- {name} stdout ----"));
        let sum = format!("test result: FAILED. 3 passed; {} failed; 0 ignored", failed.len());
        let lines = blocks.chain([sum]).collect();
        Report::of("p", &Outcome { success: false, lines })
    }

    #[test]
    fn what_fails_alone_too_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let programs = [program(folder.path())];
        let mut report = report_of(&["steady", "broken"]);
        run(&programs, &mut report);
        assert_eq!(report.failed_tests(), [("p".to_owned(), "broken".to_owned())]);
        assert_eq!(report.failed(), 1);
        let mut report = report_of(&["steady"; MOST + 1]);
        run(&programs, &mut report);
        assert_eq!(report.failed(), MOST + 1, "too many");
    }
}
