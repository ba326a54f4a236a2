//! The build container: buildpacks on the build stack, under limits, as an unprivileged user.

use super::BuildOutput;
use super::{assets, disk};
use crate::records::App;
use crate::run::APP_USER;
use crate::{Platform, PlatformError, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use windlass_core::driver::AttachedOutput;
use windlass_core::ids::{BuildId, InstanceId};
use windlass_core::instance::{
    ExitStatus, InstanceKind, InstanceLabels, InstanceSpec, Mount, Output, Resources,
};

/// The image that builds run on.
pub(crate) const BUILD_STACK_TAG: &str = "stack/debian-12-build";
/// The image that apps run on.
pub(crate) const RUN_STACK_TAG: &str = "stack/debian-12-run";

/// What the builder script wrote to `result.json`.
#[derive(Debug, Deserialize)]
pub(super) struct BuilderResult {
    pub outcome: String,
    #[serde(default)]
    pub name: Option<String>,
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
        chown(&cache, Some(APP_USER), Some(APP_USER)).map_err(&failed)?;
        Ok(cache)
    }

    /// Runs the builder script over `build_directory`; its output goes to `output`. A failed build
    /// is an `Err(Invalid)` whose message is its last line for the pusher.
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
        let drive = async {
            loop {
                match attached.output.recv().await {
                    Some(AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes)) => {
                        output.write(bytes)
                    }
                    Some(AttachedOutput::Exited(status)) => return Some(status),
                    None => return None,
                }
            }
        };
        let watched = self.watched_directories(app, &id, build_directory, directories);
        let limit = self.settings().build.disk_bytes;
        let ended = tokio::select! {
            ended = tokio::time::timeout(self.settings().build.timeout, drive) => Ok(ended),
            () = disk::exceeded(&watched, limit) => Err(disk::explanation(limit)),
        };
        drop(attached);
        let outcome = match ended {
            Err(over) => Err(over),
            Ok(Err(_)) => {
                let limit = in_words(self.settings().build.timeout);
                Err(PlatformError::Invalid(format!(
                    "The build took longer than its limit of {limit} and was stopped."
                )))
            }
            Ok(Ok(None)) => {
                Err(PlatformError::Invalid("The build container was lost; push again.".into()))
            }
            // What was written since the last look counts too.
            Ok(Ok(Some(_))) if disk::is_over(&watched, limit).await => {
                Err(disk::explanation(limit))
            }
            Ok(Ok(Some(status))) => self.judge_builder(&status, directories),
        };
        if let Err(error) = self.driver().forget(&id).await {
            tracing::warn!(instance = %id, %error, "a build container could not be forgotten");
        }
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

    fn judge_builder(
        &self,
        status: &ExitStatus,
        directories: &BuildDirectories,
    ) -> Result<ContainerOutcome> {
        let result = std::fs::read(directories.results.join("result.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<BuilderResult>(&bytes).ok());
        if status.out_of_memory && status.code != 0 {
            let megabytes = self.settings().build.memory_bytes >> 20;
            return Err(PlatformError::Invalid(format!(
                "The build was killed: it needed more than its memory limit of {megabytes}M."
            )));
        }
        match result {
            Some(result) if status.code == 0 && result.outcome == "succeeded" => {
                let release = std::fs::read_to_string(directories.results.join("release.yml"))
                    .unwrap_or_default();
                Ok(ContainerOutcome { result, release })
            }
            // The builder has said why.
            Some(_) => Err(PlatformError::Invalid(String::new())),
            None => Err(PlatformError::Invalid(format!(
                "The build ended with status {} before it had a result.",
                status.code
            ))),
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
            source: source.to_owned(),
            target: target.to_owned(),
            writable: true,
            id_mapped: true,
        };
        let foreign = |source: &Path, target: &str, writable| Mount {
            source: source.to_owned(),
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
            resources: Resources {
                memory_bytes: Some(limits.memory_bytes),
                cpu_millis: (limits.cpu_millis > 0).then_some(limits.cpu_millis),
                // A quarter of an instance's share: a build must not slow what is served.
                cpu_shares: Some(256),
                processes: Some(limits.processes),
            },
            port: None,
            output: Output::Attached { terminal: None },
            id,
        })
    }
}

pub(super) fn in_words(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 120 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

pub(super) fn missing_stack() -> PlatformError {
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
