//! hadolint over a Dockerfile before it is built, where the server has it.

use super::BuildOutput;
use super::Manifest;
use super::dockerfile::Dockerfile;
use super::host_program::{environment, run_lines};
use crate::{Platform, PlatformError, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_core::host_job::{HostJob, HostJobs};
use windlass_core::instance::Resources;

/// The config var that says what findings lead to.
const MODE: &str = "WINDLASS_DOCKERFILE_LINT";
/// The app's own settings of hadolint, at the top of the source.
const SETTINGS: [&str; 2] = [".hadolint.yaml", ".hadolint.yml"];

/// hadolint reads one file and is done in milliseconds.
const TIME_LIMIT: Duration = Duration::from_secs(20);
const MEMORY_BYTES: u64 = 512 << 20;
const PROCESSES: u32 = 64;
/// More output is not read, in bytes, and more findings are only counted.
const REPORT_BYTES: usize = 1 << 20;
const SHOWN: usize = 50;

/// What findings lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Warn,
    /// Errors and warnings end the build.
    Fail,
    Off,
}

impl Mode {
    fn of(config_vars: &BTreeMap<String, String>) -> Result<Self> {
        match config_vars.get(MODE).map(String::as_str) {
            None | Some("" | "warn") => Ok(Self::Warn),
            Some("error") => Ok(Self::Fail),
            Some("off") => Ok(Self::Off),
            Some(other) => Err(PlatformError::Invalid(format!(
                "{MODE} is {other:?}; it can be warn, error or off."
            ))),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Finding {
    line: u64,
    code: String,
    message: String,
    level: String,
}

impl Finding {
    fn is_serious(&self) -> bool {
        self.level == "error" || self.level == "warning"
    }

    /// `Dockerfile:3 DL3008 Pin versions in apt get install.`
    fn shown(&self, file: &str) -> String {
        // A parser's message has several lines.
        let message: Vec<&str> = self.message.split_whitespace().collect();
        format!("{file}:{} {} {}", self.line, self.code, message.join(" "))
    }
}

/// A Dockerfile to look at.
struct Lint<'a> {
    jobs: &'a dyn HostJobs,
    /// Where programs are: a `PATH`.
    path: Option<&'a OsStr>,
    /// The source, and the Dockerfile in it.
    source: &'a Path,
    dockerfile: &'a Path,
    scratch: &'a Path,
    config_vars: &'a BTreeMap<String, String>,
}

impl Lint<'_> {
    /// Shows what hadolint finds. Where it is not installed, or does not work, nothing is held up.
    ///
    /// # Errors
    /// `Invalid` if there is an error or a warning and the app wants those to end its builds.
    async fn run(&self, output: &mut BuildOutput) -> Result<()> {
        let mode = Mode::of(self.config_vars)?;
        if mode == Mode::Off {
            return Ok(());
        }
        let Some(hadolint) = self.path.and_then(find_hadolint) else {
            if mode == Mode::Fail {
                output.error(&format!(
                    "Warning: {MODE} is set, but hadolint is not installed on the server: the Dockerfile was not looked at."
                ));
            }
            return Ok(());
        };
        output.heading("Linting the Dockerfile with hadolint...");
        let findings = match tokio::time::timeout(TIME_LIMIT, self.findings(&hadolint)).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(why)) => {
                output.error(&format!("Warning: hadolint could not look at it: {why}."));
                return Ok(());
            }
            Err(_) => {
                let limit = TIME_LIMIT.as_secs();
                output.error(&format!("Warning: hadolint took longer than {limit} s; left out."));
                return Ok(());
            }
        };
        self.show(&findings, output);
        let serious = findings.iter().filter(|finding| finding.is_serious()).count();
        if mode == Mode::Fail && serious > 0 {
            let findings = if serious == 1 { "finding" } else { "findings" };
            return Err(PlatformError::Invalid(format!(
                "The Dockerfile has {serious} {findings} of hadolint that {MODE}=error does not let pass."
            )));
        }
        Ok(())
    }

    fn show(&self, findings: &[Finding], output: &mut BuildOutput) {
        // The Dockerfile's path has no links any more.
        let source = self.source.canonicalize().unwrap_or_else(|_| self.source.to_owned());
        let file = self.dockerfile.strip_prefix(source).unwrap_or(self.dockerfile);
        let file = file.display().to_string();
        for finding in findings.iter().take(SHOWN) {
            output.error(&finding.shown(&file));
        }
        match findings.len() {
            0 => output.detail("Nothing to complain about."),
            count if count > SHOWN => output.error(&format!("and {} more", count - SHOWN)),
            _ => {}
        }
    }

    async fn findings(&self, hadolint: &Path) -> std::result::Result<Vec<Finding>, String> {
        let text = |path: &Path| path.display().to_string();
        let mut command = vec![text(hadolint), "--no-fail".into(), "--no-color".into()];
        command.extend(["--format", "json"].map(str::to_owned));
        if let Some(settings) = self.settings() {
            command.extend(["--config".to_owned(), text(&settings)]);
        }
        command.push(text(self.dockerfile));
        let job = HostJob {
            command,
            environment: environment(self.scratch, self.scratch),
            working_directory: self.scratch.to_owned(),
            resources: Resources {
                memory_bytes: Some(MEMORY_BYTES),
                cpu_millis: None,
                cpu_shares: Some(256),
                processes: Some(PROCESSES),
                spared_processors: 0,
            },
            confined_to: None,
        };
        let mut said = String::new();
        let ended = run_lines(self.jobs, job, |line| {
            if said.len() < REPORT_BYTES {
                said.push_str(line);
                said.push('\n');
            }
        });
        let ended = ended.await.map_err(|error| error.to_string())?;
        let findings = parse(&said);
        if findings.is_none() || ended.as_ref().is_none_or(|status| status.code != 0) {
            tracing::warn!(?ended, %said, "hadolint failed");
        }
        findings.ok_or_else(|| match ended {
            Some(status) => format!("it ended with status {}", status.code),
            None => "it was lost".to_owned(),
        })
    }

    /// Returns the app's own settings. A link could lead to any file of the server, whose words an
    /// error would then show.
    fn settings(&self) -> Option<PathBuf> {
        let mut files = SETTINGS.iter().map(|name| self.source.join(name));
        files.find(|file| file.symlink_metadata().is_ok_and(|file| file.is_file()))
    }
}

impl Platform {
    /// Looks at the Dockerfile of a build.
    pub(super) async fn lint(
        &self,
        source: &Path,
        scratch: &Path,
        dockerfile: &Dockerfile,
        manifest: &Manifest,
        output: &mut BuildOutput,
    ) -> Result<()> {
        let path = std::env::var_os("PATH");
        let lint = Lint {
            jobs: self.host_jobs()?,
            path: path.as_deref(),
            source,
            dockerfile: &dockerfile.file,
            scratch,
            config_vars: &manifest.config_vars,
        };
        lint.run(output).await
    }
}

/// Reads the report; what stands before it are words about the settings.
fn parse(said: &str) -> Option<Vec<Finding>> {
    let reports = said.match_indices('[').map(|(at, _)| &said[at..]);
    reports.take(100).find_map(|report| {
        serde_json::Deserializer::from_str(report).into_iter::<Vec<Finding>>().next()?.ok()
    })
}

fn find_hadolint(path: &OsStr) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join("hadolint")).find(|program| program.is_file())
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
