//! Build: from a source to an image by digest, or to a reason why not.

mod assets;
mod container;
mod output;
mod processes;
mod source;
mod timings;

pub(crate) use assets::unpack_buildpacks;
pub(crate) use output::BuildOutput;
pub(crate) use timings::Timings;

use crate::platform::now_ms;
use crate::records::{App, Build, BuildStatus, User};
use crate::run::APP_USER;
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use container::{ContainerOutcome, RUN_STACK_TAG};
use processes::ProcessTypes;
use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use windlass_core::ids::{BuildId, Digest};
use windlass_core::names::ProcessType;
use windlass_oci::{ImageConfig, Layer};

/// Where the source of a build is.
pub(crate) struct Source {
    pub repository: PathBuf,
    pub commit: String,
}

/// A build that ended well.
pub(crate) struct Built {
    pub build: Build,
    pub image: Digest,
    pub processes: BTreeMap<ProcessType, String>,
}

impl Platform {
    /// Builds a source. Waits for a free build slot first. Dropping the future cancels the build.
    pub(crate) async fn build_source(
        &self,
        user: &User,
        app: &App,
        source: &Source,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<Built> {
        let now = now_ms();
        let build = Build {
            id: BuildId::random(),
            app: app.id,
            user: user.id,
            status: BuildStatus::Pending,
            commit: Some(source.commit.clone()),
            buildpack: None,
            image: None,
            image_size: None,
            failure: None,
            created_at: now,
            updated_at: now,
        };
        self.store().save_build(&build)?;
        timings.build = Some(build.id);
        output.keep_in(&self.build_output_file(&build));
        self.logs().append(app.id, "app[api]", &format!("Build started by user {}", user.email));
        let mut unfinished = UnfinishedBuild { platform: self, build: Some(build.clone()) };
        let outcome = self.build_with_slot(app, &build, source, output, timings).await;
        unfinished.build = None;
        match outcome {
            Ok((image, layer, processes, buildpack)) => {
                let build = Build {
                    status: BuildStatus::Succeeded,
                    buildpack,
                    image: Some(image.clone()),
                    image_size: Some(layer.size),
                    updated_at: now_ms(),
                    ..build
                };
                self.store().save_build(&build)?;
                self.logs().append(app.id, "app[api]", "Build succeeded");
                Ok(Built { build, image, processes })
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
    ) -> Result<(Digest, Layer, BTreeMap<ProcessType, String>, Option<String>)> {
        if self.build_slots().available_permits() == 0 {
            output.heading("Waiting: the server builds other apps...");
        }
        let _slot = self
            .build_slots()
            .acquire()
            .await
            .map_err(|error| PlatformError::internal("no build slot", error))?;
        timings.start("checkout");
        let staging = Staging(self.images().staging_directory()?);
        let build_directory = staging.0.join("fs/app");
        crate::platform::make_directory(&build_directory)?;
        chown(&build_directory, Some(APP_USER), Some(APP_USER)).map_err(|source| {
            PlatformError::internal("the build directory could not be made", source)
        })?;
        source::check_out(&source.repository, &source.commit, &build_directory, &staging.0).await?;
        // Before anything is built: a mistake here should not cost minutes.
        processes::read_procfile(&build_directory.join("Procfile"))?;
        timings.start("buildpacks");
        let directories = self.build_directories(build.id, &self.config_vars(app)?)?;
        let outcome =
            self.run_builder(app, &build_directory, &source.commit, &directories, output).await?;
        timings.add_stages(&outcome.result.stages);
        timings.start("image");
        let processes = processes::discover(&build_directory, &outcome.release)?;
        describe_processes(&processes, output);
        output.heading("Compressing...");
        let (image, layer) = self.make_image(&staging.0, &processes, &outcome).await?;
        output.detail(&format!("Done: {}", human_size(layer.size)));
        timings.stop();
        Ok((image, layer, processes.all(), outcome.result.name))
    }

    /// Puts the build directory in place as a layer on the run stack.
    async fn make_image(
        &self,
        staging: &Path,
        processes: &ProcessTypes,
        outcome: &ContainerOutcome,
    ) -> Result<(Digest, Layer)> {
        let stack = self.images().tag(RUN_STACK_TAG)?.ok_or_else(container::missing_stack)?;
        let mut labels = BTreeMap::new();
        if let Some(name) = &outcome.result.name {
            labels.insert("windlass.buildpack".to_owned(), name.clone());
        }
        let web = processes.all().get(&ProcessType::web()).cloned();
        let config = ImageConfig {
            env: vec!["HOME=/app".to_owned(), "PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
            entrypoint: Vec::new(),
            cmd: web.map(|command| crate::run::launch_command(&command)).unwrap_or_default(),
            working_dir: Some("/app".to_owned()),
            user: Some(APP_USER.to_string()),
            labels,
        };
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

    fn build_output_file(&self, build: &Build) -> PathBuf {
        let directory = self.settings().data_directory.join("builds").join(build.app.to_string());
        directory.join(format!("{}.log", build.id))
    }

    /// Returns what a build said, from the beginning to its end.
    pub fn build_output(&self, build: &Build) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(16);
        let (platform, build) = (self.clone(), build.clone());
        tokio::spawn(async move {
            let path = platform.build_output_file(&build);
            let mut sent = 0;
            loop {
                let running = matches!(platform.store().build(build.app, build.id), Ok(Some(now)) if now.status == BuildStatus::Pending);
                let bytes = tokio::fs::read(&path).await.unwrap_or_default();
                if bytes.len() > sent
                    && sender.send(Bytes::copy_from_slice(&bytes[sent..])).await.is_err()
                {
                    return;
                }
                sent = bytes.len().max(sent);
                if !running || sender.is_closed() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        receiver
    }
}

/// Marks a build as failed when it is dropped before its end.
struct UnfinishedBuild<'a> {
    platform: &'a Platform,
    build: Option<Build>,
}

impl Drop for UnfinishedBuild<'_> {
    fn drop(&mut self) {
        if let Some(build) = self.build.take() {
            self.platform.mark_failed(build, "canceled: the client went away");
        }
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

/// Returns bytes as Heroku shows them: `43.7M`, `812K`.
fn human_size(bytes: u64) -> String {
    let kilobytes = bytes as f64 / 1024.0;
    if kilobytes >= 1024.0 {
        format!("{:.1}M", kilobytes / 1024.0)
    } else {
        format!("{}K", kilobytes.ceil())
    }
}
