//! `windlass doctor`: says whether this machine can run Windlass, and what to do if not.

mod host;
mod kernel;
mod ports;

use crate::setup::{StackState, image_directory, stack_state};
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use windlass_oci::ImageStore;

/// What to look at and how to show it.
#[derive(Clone, Debug)]
pub struct DoctorArgs {
    pub data_dir: PathBuf,
    /// The stack that should be there, for example `debian-12`.
    pub suite: String,
    /// What the server is going to listen on: a name for each, for example `router`.
    pub addresses: Vec<(String, SocketAddr)>,
    /// Write JSON instead of a table.
    pub json: bool,
    /// Colour the marks of the table.
    pub colour: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Windlass runs, but something is worse than it could be.
    Warn,
    /// Windlass does not run like this.
    Fail,
}

/// What was found in one place.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub name: String,
    pub status: Status,
    pub found: String,
    /// What to do about it: a command where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Ok, found: found.into(), mend: None }
    }

    fn warn(name: &str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Warn,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn fail(name: &str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Fail,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }
}

/// Makes all checks and writes what they found. Returns true if none failed.
pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> io::Result<bool> {
    let checks = checks(args);
    let well = checks.iter().all(|check| check.status != Status::Fail);
    if args.json {
        let document = serde_json::json!({ "ok": well, "checks": checks });
        writeln!(out, "{document:#}")?;
    } else {
        write_table(&checks, args.colour, out)?;
    }
    Ok(well)
}

/// Makes all checks. Changes nothing.
#[must_use]
pub fn checks(args: &DoctorArgs) -> Vec<Check> {
    let mut checks = vec![host::root()];
    checks.extend(kernel::checks());
    checks.push(host::memory());
    checks.push(host::disk(&args.data_dir));
    checks.extend(host::tools());
    checks.push(stack(args));
    checks.extend(args.addresses.iter().map(|(name, address)| ports::check(name, *address)));
    checks
}

fn stack(args: &DoctorArgs) -> Check {
    let name = format!("stack {}", args.suite);
    let images = image_directory(&args.data_dir);
    if !images.join("index.json").exists() {
        return Check::fail(&name, "not built yet", "windlass setup");
    }
    match ImageStore::open(&images)
        .map_err(Into::into)
        .and_then(|store| stack_state(&store, &args.suite))
    {
        Ok(StackState::Ready(stack)) if stack.recipe_changed => Check::warn(
            &name,
            format!("built {}, from an older recipe", age(&stack.built)),
            "windlass setup --force",
        ),
        Ok(StackState::Ready(stack)) => Check::ok(&name, format!("built {}", age(&stack.built))),
        Ok(StackState::Missing) => Check::fail(&name, "not built yet", "windlass setup"),
        Ok(StackState::Incomplete(why)) => Check::fail(&name, why, "windlass setup"),
        Err(error) => Check::fail(&name, error.to_string(), "windlass setup"),
    }
}

/// Turns a time as in RFC 3339 into how long ago that is.
fn age(built: &str) -> String {
    let Ok(built_at) = built.parse::<jiff::Timestamp>() else { return built.to_owned() };
    let minutes = (jiff::Timestamp::now().as_second() - built_at.as_second()) / 60;
    match minutes {
        ..2 => "just now".to_owned(),
        2..120 => format!("{minutes} minutes ago"),
        120..2880 => format!("{} hours ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

fn write_table(checks: &[Check], colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    for check in checks {
        let (mark, code) = match check.status {
            Status::Ok => ("ok  ", 32),
            Status::Warn => ("warn", 33),
            Status::Fail => ("FAIL", 31),
        };
        let mark = if colour { format!("\x1b[{code}m{mark}\x1b[0m") } else { mark.to_owned() };
        writeln!(out, "{mark}  {:<width$}  {}", check.name, check.found)?;
        if let Some(mend) = &check.mend {
            writeln!(out, "      {:<width$}  → {mend}", "")?;
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    match (count(Status::Fail), count(Status::Warn)) {
        (0, 0) => writeln!(out, "\nAll is well."),
        (0, warnings) => writeln!(out, "\nNothing stands in the way; {warnings} to look at."),
        (failures, _) => writeln!(out, "\nWindlass cannot run like this: {failures} to mend."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(data_dir: &std::path::Path) -> DoctorArgs {
        DoctorArgs {
            data_dir: data_dir.to_owned(),
            suite: "debian-12".to_owned(),
            addresses: vec![("router".to_owned(), "127.0.0.1:0".parse().unwrap())],
            json: false,
            colour: false,
        }
    }

    #[test]
    fn a_missing_stack_fails_and_names_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        assert!(!run(&args(folder.path()), &mut out).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("FAIL  stack debian-12"), "{text}");
        assert!(text.contains("→ windlass setup"), "{text}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "a check changes nothing");
    }

    #[test]
    fn json_has_all_checks() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        run(&DoctorArgs { json: true, ..args(folder.path()) }, &mut out).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["ok"], false);
        let names: Vec<&str> = document["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["name"].as_str().unwrap())
            .collect();
        for name in [
            "root",
            "kernel",
            "overlayfs",
            "cgroups",
            "memory",
            "disk",
            "git",
            "stack debian-12",
            "router",
        ] {
            assert!(names.contains(&name), "{name} of {names:?}");
        }
    }

    #[test]
    fn the_table_is_aligned_and_counts() {
        let checks = [
            Check::ok("short", "a"),
            Check::warn("much longer", "b", "mend it"),
            Check::fail("x", "c", "again"),
        ];
        let mut out = Vec::new();
        write_table(&checks, false, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ok    short        a\nwarn  much longer  b\n                   → mend it\nFAIL  x            c\n\
             \x20                  → again\n\nWindlass cannot run like this: 1 to mend.\n"
        );
    }
}
