//! `cargo xtask tidy`: the repository's own rules, one line a finding.

use crate::run::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Which crates of ours a crate may depend on outside its tests (design: allowed edges).
const EDGES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("wire", &[]),
    ("store", &["core"]),
    ("oci", &["core"]),
    ("router", &["core"]),
    ("dns", &["core"]),
    ("runtime", &["core", "oci"]),
    ("control", &["core", "store", "oci", "dns"]),
    ("api", &["core", "control", "wire"]),
    ("cli", &["wire", "connect"]),
    ("connect", &["wire"]),
    ("testkit", &["core", "store", "oci", "control"]),
    ("windlass", &["core", "store", "oci", "router", "dns", "runtime", "control", "api", "cli"]),
    ("xtask", &["core", "oci", "runtime"]),
];

/// Longer source files are hard to read; tests may be longer.
const LINES: usize = 400;
const TEST_LINES: usize = 600;

/// Names that must not be in the repository: registries and this workplace. Spelt in halves, so
/// that this file passes its own check.
const FORBIDDEN: &[(&str, &str)] = &[
    ("registry.npmjs", ".org"),
    ("pypi.or", "g"),
    ("static.crates", ".io"),
    ("index.crates", ".io"),
    ("deb.debia", "n.org"),
    ("/wor", "k/main"),
    ("/wor", "k/shared"),
];

pub fn main() -> ExitCode {
    let mut findings = Vec::new();
    let files = tracked_files();
    check_edges(&mut findings);
    for file in &files {
        check_file(file, &mut findings);
    }
    check_commands(&files, &mut findings);
    check_specification(&files, &mut findings);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", files.len(), findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the files that git tracks or would track, relative to the root.
fn tracked_files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

fn check_edges(findings: &mut Vec<String>) {
    let crates = std::fs::read_dir(root().join("crates")).into_iter().flatten().flatten();
    for name in crates.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let manifest = format!("crates/{name}/Cargo.toml");
        let Ok(text) = std::fs::read_to_string(root().join(&manifest)) else { continue };
        let Some((_, allowed)) = EDGES.iter().find(|(of, _)| *of == name) else {
            findings.push(format!("{manifest}:1: the crate {name} has no allowed edges; add it to EDGES in crates/xtask/src/tidy.rs"));
            continue;
        };
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                section = line;
            }
            let ours =
                line.strip_prefix("windlass-").and_then(|rest| rest.split(['.', ' ', '=']).next());
            if let (Some(ours), true) = (ours, section == "[dependencies]")
                && !allowed.contains(&ours)
            {
                findings.push(format!("{manifest}:{}: {name} may not depend on {ours}; see ARCHITECTURE.md, allowed edges", number + 1));
            }
        }
    }
}

fn check_file(path: &Path, findings: &mut Vec<String>) {
    let Ok(text) = std::fs::read_to_string(root().join(path)) else { return };
    let name = path.display().to_string();
    if name.ends_with(".rs") {
        check_source(&name, &text, findings);
    }
    if name.ends_with(".lock") || name.ends_with("package-lock.json") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        for (first, second) in FORBIDDEN {
            if line.contains(&format!("{first}{second}")) {
                findings.push(format!("{name}:{}: names {first}{second}; a registry or path of one machine does not belong here", number + 1));
            }
        }
    }
}

fn check_source(name: &str, text: &str, findings: &mut Vec<String>) {
    let is_test =
        name.contains("/tests/") || name.ends_with("tests.rs") || name.contains("/testkit/");
    let (lines, limit) = (text.lines().count(), if is_test { TEST_LINES } else { LINES });
    if lines > limit {
        findings
            .push(format!("{name}:{limit}: {lines} lines; split it by topic (at most {limit})"));
    }
    let marker = ["TO", "DO"].concat();
    for (number, line) in text.lines().enumerate() {
        if line.contains(&marker) {
            findings.push(format!("{name}:{}: {marker}; make it an issue or do it", number + 1));
        }
        let is_code = !line.trim_start().starts_with("//");
        if is_code
            && line.contains("unsafe ")
            && !name.starts_with("crates/runtime/")
            && !name.ends_with("tidy.rs")
        {
            findings.push(format!(
                "{name}:{}: unsafe outside crates/runtime; move it there with its reason",
                number + 1
            ));
        }
    }
}

/// Every `windlass VERB` in a document must be a command.
fn check_commands(files: &[PathBuf], findings: &mut Vec<String>) {
    let Some(known) = known_commands() else {
        findings
            .push("target/debug/windlass:1: cannot be run; build it first: cargo build".to_owned());
        return;
    };
    for path in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for verb in verbs(line) {
                if !known.contains(&verb) {
                    findings.push(format!(
                        "{}:{}: there is no command `windlass {verb}`",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
}

fn known_commands() -> Option<BTreeSet<String>> {
    let output =
        Command::new(root().join("target/debug/windlass")).arg("commands").output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.lines().map(str::to_owned).collect())
}

/// Returns the words that follow `windlass ` where it is called: after a back-tick, a prompt or at
/// the beginning of a line. Two words may make one name: `config set`.
fn verbs(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("windlass ") {
        let before = line[..at].trim_end_matches("sudo ").trim_end_matches(' ');
        let is_call = before.is_empty() || before.ends_with(['`', '$', '#', '|', '/']);
        let rest = &line[at + "windlass ".len()..];
        let verb: String =
            rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == ':' || *c == '-').collect();
        let is_verb = verb.starts_with(|c: char| c.is_ascii_lowercase());
        if is_call && is_verb && !line.contains("git push windlass") {
            found.push(verb);
        }
    }
    found
}

/// A promise names its test as `path::name` or says that it is pending; a named test must exist.
fn check_specification(files: &[PathBuf], findings: &mut Vec<String>) {
    let Ok(text) = std::fs::read_to_string(root().join("SPECIFICATION.md")) else { return };
    let sources: String = files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| std::fs::read_to_string(root().join(path)).ok())
        .collect();
    for (number, line) in text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2).filter(|code| code.contains("::")) {
            let test = name.rsplit("::").next().unwrap_or_default();
            if !sources.contains(&format!("fn {test}(")) {
                findings.push(format!("SPECIFICATION.md:{}: there is no test {name}", number + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_where_windlass_is_called() {
        let table: &[(&str, &[&str])] = &[
            ("    windlass create bibly", &["create"]),
            ("run `windlass config:set A=b` and `windlass ps`", &["config:set", "ps"]),
            ("$ sudo windlass setup", &["setup"]),
            ("the windlass binary", &[]),
            ("git push windlass main", &[]),
            ("cd windlass && ls", &[]),
            ("`windlass <verb>`", &[]),
        ];
        for (line, expected) in table {
            assert_eq!(verbs(line), *expected, "{line}");
        }
    }
}
