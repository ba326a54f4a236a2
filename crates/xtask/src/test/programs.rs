//! The test programs of the workspace: built by cargo once, and run without it, so that they can
//! run side by side.

use super::MINUTE;
use crate::run::{Outcome, errors_shown, shown};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Package and target: `windlass-api doors`.
    pub name: String,
    pub path: PathBuf,
    /// The package's folder, in which it runs.
    pub folder: PathBuf,
}

/// Builds all of them, and what they run. The outcome's lines are cargo's errors.
pub fn build() -> (Outcome, Vec<Program>) {
    let arguments = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let mut built = errors_shown("cargo", &arguments, 60 * MINUTE);
    let programs = built.lines.iter().filter_map(|line| program(line)).collect();
    built.lines.retain(|line| !line.starts_with('{'));
    (built, programs)
}

/// Returns the test program that a line of cargo says it has built.
fn program(line: &str) -> Option<Program> {
    let told: Value = serde_json::from_str(line).ok()?;
    if told["reason"] != "compiler-artifact" || told["profile"]["test"] != true {
        return None;
    }
    let path = PathBuf::from(told["executable"].as_str()?);
    let folder = Path::new(told["manifest_path"].as_str()?).parent()?.to_owned();
    let package = told["package_id"].as_str()?.rsplit(['/', '#']).next()?.split('@').next()?;
    // Where folder and package have one name, the id has only the version behind the `#`.
    let package = match package.starts_with(|c: char| c.is_ascii_digit()) {
        true => folder.file_name()?.to_str()?,
        false => package,
    };
    let target = told["target"]["name"].as_str()?;
    let name = match told["target"]["kind"][0].as_str()? {
        "test" => format!("{package} {target}"),
        _ => format!("{package} units"),
    };
    Some(Program { name, path, folder })
}

/// Runs a program: [`shown`](crate::run::shown) or [`silent`](crate::run::silent).
type Run = fn(&str, &[&str], Duration) -> Outcome;

impl Program {
    pub fn run(&self, run: Run, threads: usize, limit: Duration) -> Outcome {
        self.run_with(run, threads, &[], limit)
    }

    /// Runs one of its tests, with nothing beside it.
    pub fn run_one(&self, test: &str, limit: Duration) -> Outcome {
        self.run_with(shown, 1, &["--exact", test], limit)
    }

    fn run_with(&self, run: Run, threads: usize, more: &[&str], limit: Duration) -> Outcome {
        let folder = self.folder.display().to_string();
        let manifest = format!("CARGO_MANIFEST_DIR={folder}");
        let threads = format!("RUST_TEST_THREADS={threads}");
        let path = self.path.display().to_string();
        let mut arguments = vec!["-C", &folder, &manifest, &threads, &path];
        arguments.extend(more);
        run("env", &arguments, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_of_programs() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///x/crates/api#windlass-api@0.1.0","manifest_path":"/x/crates/api/Cargo.toml","target":{"kind":["test"],"name":"doors"},"profile":{"test":true},"executable":"/x/target/debug/deps/doors-1"}"#;
        let doors = program(line).unwrap();
        assert_eq!(
            (doors.name.as_str(), doors.folder.to_str()),
            ("windlass-api doors", Some("/x/crates/api"))
        );
        let units = line.replace("\"test\"]", "\"lib\"]");
        assert_eq!(program(&units).unwrap().name, "windlass-api units");
        let same =
            line.replace("crates/api", "crates/xtask").replace("windlass-api@0.1.0", "0.1.0");
        assert_eq!(program(&same).unwrap().name, "xtask doors");
        for other in [&line.replace("\"test\":true", "\"test\":false"), "   Compiling x", "{}"] {
            assert_eq!(program(other), None, "{other}");
        }
    }
}
