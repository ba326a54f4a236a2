//! The build container: buildpacks on the build stack, under limits, as an unprivileged user.

use super::BuildOutput;
use super::host_program::resources;
use super::last_lines::LastLines;
use super::limits::Limit;
use super::processes::read_source_file;
use super::{assets, disk};
use crate::records::App;
use crate::run::APP_USER;
use crate::run::kill_and_forget;
use crate::{Platform, PlatformError, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use windlass_core::driver::AttachedOutput;
use windlass_core::ids::{BuildId, InstanceId};
use windlass_core::instance::{
    ExitStatus, InstanceKind, InstanceLabels, InstanceSpec, Mount, Output,
};

/// The image that builds run on.
pub(crate) const BUILD_STACK_TAG: &str = "stack/debian-12-build";
/// The image that apps run on.
pub(crate) const RUN_STACK_TAG: &str = "stack/debian-12-run";

/// More than this is not read of what a build leaves behind about itself, in bytes.
const RESULT_BYTES: u64 = 1 << 20;
/// How often a build is looked at for whether it has reached its limit of processes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the builder script wrote to `result.json`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct BuilderResult {
    pub outcome: String,
    #[serde(default)]
    pub name: Option<String>,
    /// Why nothing was built.
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub buildpacks: Vec<String>,
    #[serde(default)]
    pub stages: BTreeMap<String, f64>,
}

/// What came out of a build container that ended well.
pub(super) struct ContainerOutcome {
    pub result: BuilderResult,
    /// Raw output of `bin/release`.
    pub release: String,
}

/// The directories of one build that are removed with it.
pub(super) struct BuildDirectories {
    pub environment: PathBuf,
    pub results: PathBuf,
    root: PathBuf,
}

impl Drop for BuildDirectories {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn io(what: &'static str) -> impl Fn(std::io::Error) -> PlatformError {
    move |source| PlatformError::internal(what, source)
}

impl Platform {
    /// Makes the environment directory (secrets: on the run directory's tmpfs) and the one for results.
    pub(super) fn build_directories(
        &self,
        id: BuildId,
        config_vars: &BTreeMap<String, String>,
    ) -> Result<BuildDirectories> {
        let failed = io("the directories of a build could not be made");
        // Others on this machine may pass through the run directory, but cannot look around here,
        // and the build's own directory has a name that cannot be guessed.
        let builds = self.settings().run_directory.join("builds");
        std::fs::create_dir_all(&builds).map_err(&failed)?;
        std::fs::set_permissions(&builds, std::fs::Permissions::from_mode(0o711))
            .map_err(&failed)?;
        let root = builds.join(id.to_string());
        let (environment, results) = (root.join("env"), root.join("out"));
        let directories = BuildDirectories { environment, results, root };
        for directory in [&directories.environment, &directories.results] {
            std::fs::create_dir_all(directory).map_err(&failed)?;
        }
        for (name, value) in config_vars {
            std::fs::write(directories.environment.join(name), value).map_err(&failed)?;
        }
        // Writable for the build's user, whatever number that is outside.
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&directories.results, open).map_err(&failed)?;
        Ok(directories)
    }

    /// Returns the cache directory of an app, owned by the build's user.
    pub(super) fn cache_directory(&self, app: &App) -> Result<PathBuf> {
        let failed = io("the build cache could not be made");
        let cache = self.settings().data_directory.join("caches").join(app.id.to_string());
        std::fs::create_dir_all(&cache).map_err(&failed)?;
        // When it was used last, for the collection of old caches.
        std::fs::File::open(&cache)
            .and_then(|directory| directory.set_modified(SystemTime::now()))
            .map_err(&failed)?;
        chown(&cache, Some(APP_USER), Some(APP_USER)).map_err(&failed)?;
        Ok(cache)
    }

    /// Runs the builder script over `build_directory`; its output goes to `output`. A failed build
    /// is an `Err(Invalid)` that names the buildpack, its phase and its last lines, or the limit.
    pub(super) async fn run_builder(
        &self,
        app: &App,
        build_directory: &Path,
        commit: &str,
        directories: &BuildDirectories,
        buildpacks: &[String],
        output: &mut BuildOutput,
    ) -> Result<ContainerOutcome> {
        let mut spec = self.builder_spec(app, build_directory, commit, directories)?;
        spec.environment.insert("WINDLASS_BUILDPACKS".to_owned(), buildpacks.join(" "));
        let id = spec.id.clone();
        let mut attached = self.driver().start_attached(spec).await?;
        let mut last_lines = LastLines::default();
        let drive = async {
            loop {
                match attached.output.recv().await {
                    Some(AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes)) => {
                        last_lines.add(&bytes);
                        output.write(bytes)
                    }
                    Some(AttachedOutput::Exited(status)) => return Some(status),
                    None => return None,
                }
            }
        };
        let watched = self.watched_directories(app, &id, build_directory, directories);
        let limits = &self.settings().build;
        let ended = tokio::select! {
            ended = drive => Ok(ended),
            () = tokio::time::sleep(limits.timeout) => Err(Limit::Time),
            () = disk::exceeded(&watched, limits.disk_bytes) => Err(Limit::Disk),
            () = self.out_of_processes(&id) => Err(Limit::Processes),
        };
        drop(attached);
        let reached = |limit: Limit| Err(limit.reached(limits, &doing(directories)));
        let outcome = match ended {
            Err(limit) => reached(limit),
            Ok(None) => {
                Err(PlatformError::Invalid("The build container was lost; push again.".into()))
            }
            // What was written since the last look counts too; in which phase is not known.
            Ok(Some(_)) if disk::is_over(&watched, limits.disk_bytes).await => {
                Err(Limit::Disk.reached(limits, ""))
            }
            Ok(Some(status)) if status.code != 0 && status.out_of_memory => reached(Limit::Memory),
            Ok(Some(status)) if status.code != 0 && status.out_of_processes => {
                reached(Limit::Processes)
            }
            Ok(Some(status)) => judge_builder(&status, directories, &last_lines),
        };
        // One that reached a limit may still be ending: what it wrote is given back only then.
        kill_and_forget(self.driver(), &id).await;
        outcome
    }

    /// Everything that a build can write to.
    fn watched_directories(
        &self,
        app: &App,
        id: &InstanceId,
        build_directory: &Path,
        directories: &BuildDirectories,
    ) -> Vec<PathBuf> {
        let cache = self.settings().data_directory.join("caches").join(app.id.to_string());
        let mut watched = vec![build_directory.to_owned(), cache, directories.results.clone()];
        watched.extend(self.driver().writable_directory(id));
        watched
    }

    /// Returns once a build has reached its limit of processes: a fork bomb would go on and on.
    async fn out_of_processes(&self, id: &InstanceId) {
        while !self.driver().is_out_of_processes(id) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn builder_spec(
        &self,
        app: &App,
        build_directory: &Path,
        commit: &str,
        directories: &BuildDirectories,
    ) -> Result<InstanceSpec> {
        let image = self.images().tag(BUILD_STACK_TAG)?.ok_or_else(missing_stack)?;
        let id = InstanceId::random("build", 1);
        let inside = format!("/tmp/build_{}", &id.as_str()[id.as_str().len() - 8..]);
        let limits = &self.settings().build;
        let owned = |source: &Path, target: &str| Mount {
            source: source.to_owned().into(),
            target: target.to_owned(),
            writable: true,
            id_mapped: true,
        };
        let foreign = |source: &Path, target: &str, writable| Mount {
            source: source.to_owned().into(),
            target: target.to_owned(),
            writable,
            id_mapped: false,
        };
        Ok(InstanceSpec {
            labels: InstanceLabels {
                app: app.id,
                app_name: app.name.clone(),
                kind: InstanceKind::Build,
                process: "build".parse()?,
                index: 1,
                release: None,
                time_limit_ms: None,
                generation: 0,
            },
            image,
            command: ["/bin/bash", "/windlass/builder.sh"].map(str::to_owned).to_vec(),
            working_directory: "/app".to_owned(),
            environment: builder_environment(&inside, commit, &id, &limits.environment),
            user: APP_USER,
            group: None,
            mounts: vec![
                foreign(&assets::directory(&self.settings().data_directory), "/windlass", false),
                foreign(&directories.results, "/windlass/out", true),
                foreign(&directories.environment, "/tmp/env", false),
                owned(build_directory, &inside),
                owned(&self.cache_directory(app)?, "/tmp/cache"),
            ],
            resources: resources(limits),
            port: None,
            output: Output::Attached { terminal: None },
            id,
        })
    }
}

/// Returns what the build was at when it ended: ` in bin/compile of the buildpack python`, or nothing.
fn doing(directories: &BuildDirectories) -> String {
    let text = read_result(&directories.results.join("phase"));
    let plain = |line: &&str| !line.is_empty() && line.len() < 300 && !line.contains('\x1b');
    let mut lines = text.lines().filter(plain);
    match (lines.next(), lines.next()) {
        (Some(phase), Some(buildpack)) => format!(" in {phase} of the buildpack {buildpack}"),
        _ => String::new(),
    }
}

/// Reads what the build left behind. It may be anything: its user can write there, so a link is not
/// followed.
fn read_result(path: &Path) -> String {
    let read = read_source_file(path, RESULT_BYTES).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&read).into_owned()
}

fn judge_builder(
    status: &ExitStatus,
    directories: &BuildDirectories,
    last_lines: &LastLines,
) -> Result<ContainerOutcome> {
    let text = read_result(&directories.results.join("result.json"));
    match serde_json::from_str::<BuilderResult>(&text) {
        Ok(result) if status.code == 0 && result.outcome == "succeeded" => {
            let release = read_result(&directories.results.join("release.yml"));
            Ok(ContainerOutcome { result, release })
        }
        Ok(result) => Err(PlatformError::Invalid(why_not_built(&result, last_lines))),
        Err(_) => Err(PlatformError::Invalid(format!(
            "The build ended with status {}{} before it had a result.",
            status.code,
            doing(directories)
        ))),
    }
}

/// Returns the builder's reason and the last lines of the buildpack, if it was one's.
fn why_not_built(result: &BuilderResult, last_lines: &LastLines) -> String {
    let mut text = result.reason.clone();
    if result.outcome == "no_buildpack" {
        return text;
    }
    let name = result.name.as_deref().unwrap_or_default();
    let lines = last_lines.after(&format!("{name} app detected"));
    if !lines.is_empty() {
        text.push_str(" Its last lines:");
    }
    for line in lines {
        text.push_str("\n    ");
        text.push_str(&line);
    }
    text
}

pub(super) fn in_words(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 120 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

pub(crate) fn missing_stack() -> PlatformError {
    PlatformError::Invalid(
        "The stack debian-12 is not built on this server: run `windlass setup` there.".into(),
    )
}

/// Heroku's build environment: config vars are in `ENV_DIR` only.
fn builder_environment(
    build_directory: &str,
    commit: &str,
    id: &InstanceId,
    configured: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own = [
        ("HOME", "/app"),
        ("STACK", "debian-12"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("BUILD_DIR", build_directory),
        ("CACHE_DIR", "/tmp/cache"),
        ("ENV_DIR", "/tmp/env"),
        ("SOURCE_VERSION", commit),
        ("REQUEST_ID", id.as_str()),
        ("DYNO", "build.1"),
    ];
    let mut environment = configured.clone();
    environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment
}
