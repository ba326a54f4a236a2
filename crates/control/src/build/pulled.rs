//! Images of registries: pulled with buildah and imported into our store.
//!
//! Each pull has a storage of its own, thrown away afterwards. In a shared one an image that
//! somebody pulled with a login would be there for everybody, and a tag that moved would be old.

use super::container::in_words;
use super::host_program::{environment, resources, run_lines};
use super::limits::Limit;
use super::{BuildOutput, Timings, disk, human_size};
use crate::platform::now_ms;
use crate::records::{Build, BuildStatus};
use crate::registry::{ImageReference, RegistryAccess, pull_failed};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_core::host_job::HostJob;
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;

/// How long what is left of a pull that was stopped is tried to be removed: buildah is being killed.
const REMOVE_LIMIT: Duration = Duration::from_secs(20);
const REMOVE_EVERY: Duration = Duration::from_millis(200);
/// More of what buildah says is not kept for an explanation, in bytes.
const SAID_BYTES: usize = 64 << 10;

/// An image that is in our store now.
pub(crate) struct Pulled {
    pub build: Build,
    pub image: Digest,
    pub processes: BTreeMap<ProcessType, String>,
    /// Of its manifest in the registry, for this machine's processor: `sha256:…`.
    pub digest: String,
}

impl Platform {
    /// Pulls an image for a build. Waits for a free build slot first. Dropping the future cancels.
    pub(crate) async fn pull_image(
        &self,
        build: Build,
        reference: &ImageReference,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<Pulled> {
        timings.build = Some(build.id);
        match self.pull_with_slot(&build, reference, output, timings).await {
            Ok((image, processes, digest, size)) => {
                let build = Build {
                    status: BuildStatus::Succeeded,
                    image: Some(image.clone()),
                    image_size: Some(size),
                    updated_at: now_ms(),
                    ..build
                };
                self.store().save_build(&build)?;
                Ok(Pulled { build, image, processes, digest })
            }
            Err(error) => {
                self.mark_failed(build, &error.to_string());
                Err(error)
            }
        }
    }

    async fn pull_with_slot(
        &self,
        build: &Build,
        reference: &ImageReference,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<(Digest, BTreeMap<ProcessType, String>, String, u64)> {
        let _slot = self.builds_under_way().slot(output).await?;
        output.heading(&format!("Pulling {reference}..."));
        timings.start("pull");
        let folder = PullFolder(self.images().staging_directory()?);
        let pull =
            Pull { platform: self, folder: &folder.0, access: self.registry_access()?, reference };
        let limits = &self.settings().build;
        let watched = [folder.0.clone()];
        let (archive, digest) = tokio::select! {
            done = tokio::time::timeout(limits.timeout, pull.archive(output)) => {
                done.map_err(|_| Limit::Time.reached(limits, ""))??
            }
            () = disk::exceeded(&watched, limits.disk_bytes) => {
                return Err(Limit::Disk.reached(limits, ""));
            }
        };
        timings.start("image");
        let image = self.import_container_image(archive).await?;
        let (image, processes) = self.processes_of(image).await?;
        let size = self.images().resolve(&image)?.layers.iter().map(|layer| layer.size).sum();
        output.detail(&format!("Digest: {digest}"));
        output.detail(&format!("Done: {}", human_size(size)));
        output.heading("Discovering process types");
        for (process, command) in &processes {
            output.detail(&format!("{process}: {command}"));
        }
        timings.stop();
        tracing::debug!(build = %build.id, %reference, digest, "pulled an image");
        Ok((image, processes, digest, size))
    }
}

/// One pull under way.
struct Pull<'a> {
    platform: &'a Platform,
    folder: &'a Path,
    access: RegistryAccess,
    reference: &'a ImageReference,
}

impl Pull<'_> {
    /// Returns the archive of the image and the digest of its manifest in the registry.
    async fn archive(&self, output: &mut BuildOutput) -> Result<(PathBuf, String)> {
        let reference = self.reference.to_string();
        let auth_file = self.access.auth_file().display().to_string();
        let pull = ["pull", "--policy", "always", "--authfile", &auth_file, "--", &reference];
        let progress = |line: &str| {
            if line.starts_with("Copying ") {
                output.detail(line);
            }
        };
        let said = self.buildah(&pull, progress).await?;
        let said = said.map_err(|said| {
            let has_login = self.platform.has_login_for(self.reference).unwrap_or_default();
            tracing::info!(%reference, %said, "an image could not be pulled");
            PlatformError::Invalid(pull_failed(self.reference, &said, has_login))
        })?;
        // Its identifier is the last thing that buildah says.
        let is_identifier =
            |line: &&str| line.len() == 64 && line.bytes().all(|digit| digit.is_ascii_hexdigit());
        let Some(identifier) = said.lines().rfind(is_identifier) else {
            return Err(PlatformError::Internal("buildah did not say what it pulled".into(), None));
        };
        let failed = |said: String| {
            tracing::error!(%reference, %said, "buildah failed on an image that it had pulled");
            PlatformError::Internal("the image that was pulled could not be taken".into(), None)
        };
        let format = "{{.FromImageDigest}}";
        let inspect = ["inspect", "--type", "image", "--format", format, identifier];
        let digest = self.buildah(&inspect, |_| ()).await?.map_err(failed)?.trim().to_owned();
        let archive = self.folder.join("image.tar");
        let target = format!("docker-archive:{}", archive.display());
        let push = ["push", "--quiet", identifier, &target];
        self.buildah(&push, |_| ()).await?.map_err(failed)?;
        Ok((archive, digest))
    }

    /// Runs buildah to its end on the storage of this pull. Returns what it said: `Ok` if it ended
    /// well.
    async fn buildah(
        &self,
        arguments: &[&str],
        mut each: impl FnMut(&str) + Send,
    ) -> Result<std::result::Result<String, String>> {
        let text = |path: PathBuf| path.display().to_string();
        let (storage, run) = (text(self.folder.join("storage")), text(self.folder.join("run")));
        let fixed =
            ["buildah", "--root", &storage, "--runroot", &run, "--storage-driver", "overlay"];
        let mut environment = environment(self.folder, self.folder);
        environment.extend(self.access.environment());
        let limits = &self.platform.settings().build;
        let job = HostJob {
            command: fixed.iter().chain(arguments).map(ToString::to_string).collect(),
            environment,
            working_directory: self.folder.to_owned(),
            resources: resources(limits),
            confined_to: None,
        };
        let mut said = String::new();
        let status = run_lines(self.platform.host_jobs()?, job, |line| {
            each(line);
            if said.len() < SAID_BYTES {
                said.push_str(line);
                said.push('\n');
            }
        });
        match status.await? {
            Some(status) if status.code == 0 => Ok(Ok(said)),
            Some(status) if status.out_of_memory => Err(Limit::Memory.reached(limits, "")),
            Some(status) if status.out_of_processes => Err(Limit::Processes.reached(limits, "")),
            // What could not start: a program that is not there.
            Some(status) if status.code == 127 => Err(PlatformError::Invalid(
                "Images are pulled with buildah, which is not installed on the server: run `windlass setup` there."
                    .to_owned(),
            )),
            Some(_) => Ok(Err(said)),
            None => Err(PlatformError::Invalid("The pull was lost; try again.".to_owned())),
        }
    }
}

/// The folder of a pull. What buildah, which may just be being killed, still writes to it goes too.
struct PullFolder(PathBuf);

impl Drop for PullFolder {
    fn drop(&mut self) {
        let folder = self.0.clone();
        std::thread::spawn(move || {
            let end = Instant::now() + REMOVE_LIMIT;
            while let Err(error) = std::fs::remove_dir_all(&folder) {
                if error.kind() == std::io::ErrorKind::NotFound {
                    return;
                }
                if Instant::now() > end {
                    tracing::warn!(folder = %folder.display(), %error, limit = in_words(REMOVE_LIMIT), "what was pulled could not be removed");
                    return;
                }
                std::thread::sleep(REMOVE_EVERY);
            }
        });
    }
}
