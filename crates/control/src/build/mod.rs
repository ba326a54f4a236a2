//! Build: from a source to an image by digest, or to a reason why not.

mod assets;
mod buildah;
mod buildpacks;
mod catalogue;
mod collect;
mod container;
mod disk;
mod dockerfile;
mod host_program;
mod jobs;
mod last_lines;
mod layers;
mod limits;
mod lint;
mod manifest;
mod output;
mod processes;
mod project_path;
mod pulled;
mod release_yaml;
mod source;
mod timings;
mod unpack;

pub(crate) use assets::unpack_buildpacks;
pub(crate) use buildah::IMAGE_LIMITS;
pub use catalogue::{BUNDLED_BUILDPACKS, BundledBuildpack, bundled_buildpack, bundled_version};
pub(crate) use disk::exceeded as disk_exceeded;
pub(crate) use jobs::{BuildJob, Builds, follow};
pub(crate) use manifest::Manifest;
pub(crate) use output::BuildOutput;
pub(crate) use source::Source;
pub(crate) use timings::Timings;

use crate::platform::now_ms;
use crate::records::{App, Build, BuildStatus};
use crate::run::APP_USER;
use crate::{Platform, PlatformError, Result};
use buildah::DockerBuild;
use container::ContainerOutcome;
pub(crate) use container::{RUN_STACK_TAG, missing_stack};
use processes::ProcessTypes;
use release_yaml::ReleaseYaml;
use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;
use windlass_oci::{ImageConfig, Layer};

/// A build that ended well.
pub(crate) struct Built {
    pub build: Build,
    pub image: Digest,
    pub processes: BTreeMap<ProcessType, String>,
    pub manifest: Manifest,
}

impl Platform {
    /// Builds a source. Waits for a free build slot first. Dropping the future cancels the build.
    pub(crate) async fn build_source(
        &self,
        app: &App,
        job: &BuildJob,
        source: &Source,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<Built> {
        let build = job.build.clone();
        timings.build = Some(build.id);
        match self.build_with_slot(app, &build, source, output, timings).await {
            Ok((image, size, processes, buildpack, manifest)) => {
                let build = Build {
                    status: BuildStatus::Succeeded,
                    buildpack,
                    buildpacks: manifest.buildpacks.clone(),
                    image: Some(image.clone()),
                    image_size: Some(size),
                    updated_at: now_ms(),
                    ..build
                };
                self.store().save_build(&build)?;
                self.logs().append(app.id, "app[api]", "Build succeeded");
                Ok(Built { build, image, processes, manifest })
            }
            Err(error) => {
                self.mark_failed(build, &error.to_string());
                Err(error)
            }
        }
    }

    fn mark_failed(&self, build: Build, reason: &str) {
        let app = build.app;
        let failed = Build {
            status: BuildStatus::Failed,
            failure: Some(reason.to_owned()),
            updated_at: now_ms(),
            ..build
        };
        if let Err(error) = self.store().save_build(&failed) {
            tracing::error!(build = %failed.id, %error, "a failed build could not be marked");
        }
        self.logs().append(
            app,
            "app[api]",
            "Build failed -- check your build output: windlass builds:output",
        );
    }

    async fn build_with_slot(
        &self,
        app: &App,
        build: &Build,
        source: &Source,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<(Digest, u64, BTreeMap<ProcessType, String>, Option<String>, Manifest)> {
        let _slot = self.builds_under_way().slot(output).await?;
        timings.start("checkout");
        let staging = Staging(self.images().staging_directory()?);
        let build_directory = staging.0.join("fs/app");
        crate::platform::make_directory(&build_directory)?;
        chown(&build_directory, Some(APP_USER), Some(APP_USER)).map_err(|source| {
            PlatformError::internal("the build directory could not be made", source)
        })?;
        source.write_to(&build_directory, &staging.0).await?;
        let config_vars = self.config_vars(app)?;
        let folder = project_path::enter(&build_directory, &staging.0, &config_vars).await?;
        if let Some(folder) = folder {
            output.heading(&format!("Using the folder {folder} of the source"));
        }
        // Before anything is built: a mistake here should not cost minutes.
        processes::read_procfile(&build_directory.join("Procfile"))?;
        let mut manifest = self.read_manifest(app, &build_directory, output)?;
        timings.start("buildpacks");
        let directories = self.build_directories(build.id, &manifest.config_vars)?;
        let container = self.wants_container(app)?;
        if (manifest.buildpacks.is_empty() || container)
            && let Some(dockerfile) = dockerfile::find(&build_directory, &manifest.config_vars)?
        {
            self.lint(&build_directory, &staging.0, &dockerfile, &manifest, output).await?;
            let registries = self.registry_access()?;
            let docker = DockerBuild {
                platform: self,
                app,
                source: &build_directory,
                scratch: &staging.0,
                dockerfile: &dockerfile,
                directories: &directories,
                registries: &registries,
            };
            let built = docker.run(output, timings).await?;
            manifest.warn_of_missing_processes(&built.processes, output);
            let name = Some("Dockerfile".to_owned());
            return Ok((built.image, built.size, built.processes, name, manifest));
        }
        if container {
            return Err(no_dockerfile(app));
        }
        let version = source.version().unwrap_or_default();
        let outcome = self
            .run_builder(app, &build_directory, version, &directories, &manifest.buildpacks, output)
            .await?;
        timings.add_stages(&outcome.result.stages);
        timings.start("image");
        let release = ReleaseYaml::parse(&outcome.release)?;
        if self.is_first_deploy(app)? {
            manifest.add_buildpack_defaults(release.config_vars, &release.addons, output)?;
        }
        let processes = processes::discover(&build_directory, release.default_process_types)?;
        describe_processes(&processes, output);
        manifest.warn_of_missing_processes(&processes.all(), output);
        manifest.buildpacks = outcome.result.buildpacks.clone();
        output.heading("Compressing...");
        let (image, layer) = self.make_image(&staging.0, &processes, &outcome).await?;
        output.detail(&format!("Done: {}", human_size(layer.size)));
        check_size(layer.size, self.settings().build.image_bytes)?;
        timings.stop();
        Ok((image, layer.size, processes.all(), outcome.result.name, manifest))
    }

    /// Puts the build directory in place as a layer on the run stack.
    async fn make_image(
        &self,
        staging: &Path,
        processes: &ProcessTypes,
        outcome: &ContainerOutcome,
    ) -> Result<(Digest, Layer)> {
        let stack = self.run_stack()?;
        let web = processes.all().get(&ProcessType::web()).cloned();
        let config = slug_config(outcome.result.name.as_deref(), web.as_ref());
        let (images, staging) = (self.images().clone(), staging.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let layer = images.commit_layer(&staging)?;
            let image = images.put_image(Some(&stack), std::slice::from_ref(&layer), &config)?;
            Ok::<_, windlass_oci::OciError>((image, layer))
        });
        Ok(made
            .await
            .map_err(|error| PlatformError::internal("the image could not be made", error))??)
    }
}

impl Platform {
    /// Returns the image that apps of buildpacks run on.
    pub(crate) fn run_stack(&self) -> Result<Digest> {
        self.images().tag(RUN_STACK_TAG)?.ok_or_else(container::missing_stack)
    }
}

fn no_dockerfile(app: &App) -> PlatformError {
    PlatformError::Invalid(format!(
        "The stack of {0} is container, and the source has no Dockerfile. Add one, push an image with `windlass \
         container:push`, or let buildpacks build it: `windlass stack:set debian-12 --app {0}`.",
        app.name
    ))
}

/// Returns the config of the image of an app that buildpacks built.
pub(crate) fn slug_config(buildpack: Option<&str>, web: Option<&String>) -> ImageConfig {
    let mut labels = BTreeMap::new();
    if let Some(name) = buildpack {
        labels.insert("windlass.buildpack".to_owned(), name.to_owned());
    }
    ImageConfig {
        env: vec!["HOME=/app".to_owned(), "PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
        entrypoint: Vec::new(),
        cmd: web.map(|command| crate::run::launch_command(command)).unwrap_or_default(),
        working_dir: Some("/app".to_owned()),
        user: Some(APP_USER.to_string()),
        labels,
        ..ImageConfig::default()
    }
}

/// A staging directory, removed unless the layer was moved out of it.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn describe_processes(processes: &ProcessTypes, output: &mut BuildOutput) {
    let list = |types: &BTreeMap<ProcessType, String>| -> String {
        let names: Vec<&str> = types.keys().map(ProcessType::as_str).collect();
        if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
    };
    output.heading("Discovering process types");
    output.detail(&format!("Procfile declares types     -> {}", list(&processes.from_procfile)));
    if !processes.from_buildpack.is_empty() {
        output
            .detail(&format!("Default types for buildpack -> {}", list(&processes.from_buildpack)));
    }
}

/// Refuses what would take too much of the disk with every release.
fn check_size(size: u64, limit: u64) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(PlatformError::Invalid(format!(
        "The app with its dependencies is {}, over the limit of {} (`build.image` in windlass.toml on the server). \
         What it does not need can be left out with a .slugignore file.",
        human_size(size),
        human_size(limit)
    )))
}

/// Returns bytes as Heroku shows them: `43.7M`, `812K`.
fn human_size(bytes: u64) -> String {
    let kilobytes = bytes as f64 / 1024.0;
    if kilobytes >= 1024.0 {
        format!("{:.1}M", kilobytes / 1024.0)
    } else {
        format!("{}K", kilobytes.ceil())
    }
}
