//! Dockerfile builds: buildah on the host, under limits, and its image imported into our store.

use super::collect::GiveBack;
use super::container::BuildDirectories;
use super::dockerfile::Dockerfile;
use super::host_program::{PATH, environment, resources};
use super::layers::Uses;
use super::limits::Limit;
use super::processes::{self, ProcessTypes};
use super::{BuildOutput, Timings, disk, human_size};
use crate::records::App;
use crate::registry::RegistryAccess;
use crate::run::container_image::{self, ContainerImage};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_core::host_job::{HostJob, HostJobOutput, HostJobs};
use windlass_core::ids::Digest;
use windlass_core::instance::{ExitStatus, Resources};
use windlass_core::names::ProcessType;
use windlass_oci::ImportLimits;

/// The host's certificates, and where those are that somebody added to Debian's.
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const ADDED_CERTIFICATES: &str = "/usr/local/share/ca-certificates";

/// What a build that reaches a limit was at.
const DOING: &str = " in its Dockerfile";
/// How long the server's own calls of buildah may take.
const OWN_TIME: Duration = Duration::from_secs(5 * 60);

/// Where buildah may be installed.
const PATHS: [&str; 2] = ["/usr/local/bin", "/usr/bin"];

/// A larger image or one with more files is refused.
pub(crate) const IMAGE_LIMITS: ImportLimits = ImportLimits { bytes: 10 << 30, entries: 1_000_000 };

/// One build with a Dockerfile.
pub(super) struct DockerBuild<'a> {
    pub platform: &'a Platform,
    pub app: &'a App,
    pub source: &'a Path,
    /// A directory that is removed after the build.
    pub scratch: &'a Path,
    pub dockerfile: &'a Dockerfile,
    pub directories: &'a BuildDirectories,
    /// Logins for private base images.
    pub registries: &'a RegistryAccess,
}

/// An image that a Dockerfile made.
pub(super) struct DockerImage {
    pub image: Digest,
    /// Bytes of all its layers.
    pub size: u64,
    pub processes: BTreeMap<ProcessType, String>,
}

impl DockerBuild<'_> {
    /// Builds. What fails for a reason of the source is an `Err(Invalid)` whose message is the last
    /// line for whoever deploys.
    pub(super) async fn run(
        &self,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<DockerImage> {
        self.prepare()?;
        output.heading("Building with the Dockerfile...");
        let builds = self.platform.builds_under_way();
        let mut give_back = GiveBack(Some(self.platform.clone()));
        let _storage = match builds.storage().try_read() {
            Ok(storage) => storage,
            Err(_) => {
                output.detail("Waiting: the server removes layers that nobody uses...");
                builds.storage().read().await
            }
        };
        timings.start("dockerfile");
        let archive = self.within_limits(output).await?;
        give_back.0 = None;
        timings.start("image");
        let image = self.platform.import_container_image(archive).await?;
        let built = self.describe(image, output)?;
        output.detail(&format!("Done: {}", human_size(built.size)));
        timings.stop();
        Ok(built)
    }

    /// Builds until a limit is reached. Sparse files count in full: they would be written in full.
    async fn within_limits(&self, output: &mut BuildOutput) -> Result<PathBuf> {
        let limits = &self.platform.settings().build;
        let reached = |limit: Limit| Err(limit.reached(limits, DOING));
        let watched = [storage(self.platform), self.scratch.to_owned()];
        let before = disk::used(&watched).await;
        let most = before.saturating_add(limits.disk_bytes);
        let work = async {
            let image = self.build_image(output).await?;
            // What was written since the last look counts too, before it is all copied.
            if disk::is_over(&watched, most).await {
                return reached(Limit::Disk);
            }
            self.export(&image, output).await
        };
        tokio::select! {
            done = work => done,
            () = tokio::time::sleep(limits.timeout) => reached(Limit::Time),
            () = disk::exceeded(&watched, most) => reached(Limit::Disk),
        }
    }

    fn prepare(&self) -> Result<()> {
        if !PATHS.iter().any(|folder| Path::new(folder).join("buildah").is_file()) {
            return Err(PlatformError::Invalid(
                "A Dockerfile is built with buildah, which is not installed on the server: run `windlass setup` there, or `apt-get install buildah`."
                    .to_owned(),
            ));
        }
        crate::platform::make_directory(&directory(self.platform))?;
        crate::platform::make_directory(&run_directory(self.platform))
    }

    /// Returns all folders of the host that a step of the Dockerfile can reach if it gets out of its
    /// own root, as older versions of buildah let it.
    fn folders(&self) -> Vec<PathBuf> {
        let registries = self.registries.auth_file();
        let registries = registries.parent().map(Path::to_owned);
        let own = [self.scratch, self.source, &self.directories.environment];
        let shared = [directory(self.platform), run_directory(self.platform)];
        shared.into_iter().chain(own.map(Path::to_owned)).chain(registries).collect()
    }

    /// Returns the identifier of the image that was built.
    async fn build_image(&self, output: &mut BuildOutput) -> Result<String> {
        let identifier = self.scratch.join("image-id");
        self.buildah(self.build_arguments(&identifier)?, output).await?;
        let built = std::fs::read_to_string(&identifier)
            .map_err(|error| PlatformError::internal("buildah did not say what it built", error))?;
        Ok(built.trim().to_owned())
    }

    /// Returns the archive of an image.
    async fn export(&self, image: &str, output: &mut BuildOutput) -> Result<PathBuf> {
        let archive = self.scratch.join("image.tar");
        let target = format!("docker-archive:{}", archive.display());
        let push = ["push", "--quiet", image, &target].map(str::to_owned);
        self.buildah(push.to_vec(), output).await?;
        Ok(archive)
    }

    fn describe(&self, image: Digest, output: &mut BuildOutput) -> Result<DockerImage> {
        let images = self.platform.images();
        let size = images.resolve(&image)?.layers.iter().map(|layer| layer.size).sum();
        let container = ContainerImage::of(images, &image)?;
        let command = container.and_then(|container| container.default_command());
        let from_procfile = processes::read_procfile(&self.source.join("Procfile"))?;
        let of_image = command.filter(|_| !from_procfile.contains_key(&ProcessType::web()));
        let from_buildpack = of_image.map(|command| (ProcessType::web(), command));
        let types =
            ProcessTypes { from_procfile, from_buildpack: from_buildpack.into_iter().collect() };
        output.heading("Discovering process types");
        for (process, command) in types.all() {
            output.detail(&format!("{process}: {command}"));
        }
        Ok(DockerImage { image, size, processes: types.all() })
    }

    fn build_arguments(&self, identifier: &Path) -> Result<Vec<String>> {
        // Whoever may change the root leaves one that was only changed.
        let fixed = "bud --layers --force-rm --isolation chroot --network host --pull=false \
                     --cap-drop CAP_SYS_CHROOT";
        let mut command: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
        let dockerfile = self.dockerfile;
        let environment = &self.directories.environment;
        let mut option = |name: &str, value: String| {
            command.push(name.to_owned());
            command.push(value);
        };
        option("--iidfile", identifier.display().to_string());
        option("--tag", format!("localhost/windlass/{}", self.app.id));
        option("--file", dockerfile.file.display().to_string());
        option("--authfile", self.registries.auth_file().display().to_string());
        if let Some(target) = &dockerfile.target {
            option("--target", target.clone());
        }
        for name in &dockerfile.arguments {
            // Its value comes from the environment: arguments can be seen by others.
            option("--build-arg", name.clone());
        }
        for name in secrets(environment)? {
            let file = environment.join(&name);
            option("--secret", format!("id={name},src={}", file.display()));
        }
        if has_added_certificates() {
            for path in [CA_BUNDLE, ADDED_CERTIFICATES] {
                option("--volume", format!("{path}:{path}:ro"));
            }
        }
        command.push(dockerfile.context.display().to_string());
        Ok(command)
    }

    /// Runs buildah to its end; what it says goes to `output`.
    async fn buildah(&self, rest: Vec<String>, output: &mut BuildOutput) -> Result<()> {
        let limits = &self.platform.settings().build;
        let job = HostJob {
            command: command(self.platform, rest),
            environment: self.environment(),
            working_directory: directory(self.platform),
            resources: resources(limits),
            confined_to: Some(self.folders()),
        };
        let jobs = self.platform.driver().host_jobs().ok_or_else(|| {
            PlatformError::Invalid("This server's driver cannot build Dockerfiles.".to_owned())
        })?;
        let invalid = |message: String| Err(PlatformError::Invalid(message));
        let mut uses = Uses::default();
        let ended = follow(jobs, job, output, &mut uses).await;
        uses.mark(&storage(self.platform));
        match ended? {
            Some(status) if status.code == 0 => Ok(()),
            Some(status) if status.out_of_memory => Err(Limit::Memory.reached(limits, DOING)),
            Some(status) if status.out_of_processes => Err(Limit::Processes.reached(limits, DOING)),
            Some(status) => invalid(format!(
                "The Dockerfile could not be built (status {}); see above.",
                status.code
            )),
            None => invalid("The build was lost; push again.".to_owned()),
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let fixed = environment(&directory(self.platform), self.scratch);
        let arguments = self.dockerfile.arguments.iter().map(|name| {
            let value = std::fs::read_to_string(self.directories.environment.join(name));
            (name.clone(), value.unwrap_or_default())
        });
        // What buildah itself needs comes last: an argument may have the same name.
        arguments.chain(fixed).chain(self.registries.environment()).collect()
    }
}

fn directory(platform: &Platform) -> PathBuf {
    platform.settings().data_directory.join("buildah")
}

fn run_directory(platform: &Platform) -> PathBuf {
    platform.settings().run_directory.join("buildah")
}

/// Where buildah keeps images and layers.
pub(super) fn storage(platform: &Platform) -> PathBuf {
    directory(platform).join("storage")
}

/// Returns the command line of buildah on that storage.
fn command(platform: &Platform, rest: Vec<String>) -> Vec<String> {
    let storage = storage(platform).display().to_string();
    let run = run_directory(platform).display().to_string();
    let fixed = ["buildah", "--root", &storage, "--runroot", &run, "--storage-driver", "overlay"];
    fixed.into_iter().map(str::to_owned).chain(rest).collect()
}

/// Runs buildah for the server itself, with nobody else on the storage. What it says is the error.
pub(super) async fn run_alone(platform: &Platform, rest: &[&str]) -> Result<()> {
    let failed =
        |what: String| Err(PlatformError::internal(&what, std::io::Error::other("buildah")));
    let Some(jobs) = platform.driver().host_jobs() else { return Ok(()) };
    let home = directory(platform);
    let environment = [("PATH", PATH.to_owned()), ("HOME", home.display().to_string())];
    let job = HostJob {
        command: command(platform, rest.iter().map(|word| (*word).to_owned()).collect()),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        working_directory: home,
        resources: Resources { cpu_shares: Some(256), ..Resources::default() },
        confined_to: None,
    };
    let (client, mut said) = tokio::sync::mpsc::unbounded_channel();
    let mut output = BuildOutput::to(client);
    let mut uses = Uses::default();
    let work = follow(jobs, job, &mut output, &mut uses);
    let status = tokio::time::timeout(OWN_TIME, work).await;
    let mut text = Vec::new();
    while let Ok(bytes) = said.try_recv() {
        text.extend_from_slice(&bytes);
    }
    let text = String::from_utf8_lossy(&text);
    match status {
        Err(_) => failed(format!("buildah {} took longer than {OWN_TIME:?}", rest[0])),
        Ok(Ok(Some(status))) if status.code == 0 => Ok(()),
        Ok(Ok(status)) => {
            let code = status.map_or(-1, |status| status.code);
            failed(format!("buildah {} ended with status {code}: {}", rest[0], text.trim()))
        }
        Ok(Err(error)) => Err(error),
    }
}

impl Platform {
    /// Imports the archive of an image that brings its own processes.
    pub(crate) async fn import_container_image(&self, archive: PathBuf) -> Result<Digest> {
        let images = self.images().clone();
        let imported = tokio::task::spawn_blocking(move || {
            images.import_archive(&archive, &IMAGE_LIMITS, container_image::mark)
        });
        let imported = imported.await;
        Ok(imported.map_err(|error| PlatformError::internal("the import stopped", error))??)
    }
}

async fn follow(
    jobs: &dyn HostJobs,
    job: HostJob,
    output: &mut BuildOutput,
    uses: &mut Uses,
) -> Result<Option<ExitStatus>> {
    let mut said = jobs.run(job).await?;
    let mut rest = Vec::new();
    let mut ended = None;
    while let Some(item) = said.recv().await {
        match item {
            HostJobOutput::Output(bytes) => {
                rest.extend_from_slice(&bytes);
                let lines = indented(&mut rest);
                uses.note(&lines);
                output.write(lines);
            }
            HostJobOutput::Ended(status) => ended = Some(status),
        }
    }
    if !rest.is_empty() {
        rest.push(b'\n');
        output.write(indented(&mut rest));
    }
    Ok(ended)
}

/// Takes the whole lines out of `bytes` and indents them as Heroku does.
fn indented(bytes: &mut Vec<u8>) -> Bytes {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines: Vec<u8> = bytes.drain(..end).collect();
    let mut out = Vec::with_capacity(lines.len() + 64);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(b"       ");
        out.extend_from_slice(line);
    }
    Bytes::from(out)
}

/// Returns the names of the config vars, each of which is a file.
fn secrets(environment: &Path) -> Result<Vec<String>> {
    let names = std::fs::read_dir(environment).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    });
    names.map_err(|error| PlatformError::internal("the config vars of a build are gone", error))
}

/// Whether somebody has added certificates to the host's, as companies do whose network looks into
/// TLS. Only then builds get the host's: a file that is mounted cannot be replaced by an image's own
/// package.
fn has_added_certificates() -> bool {
    let is_certificate = |entry: &std::fs::DirEntry| {
        entry.path().extension().is_some_and(|extension| extension == "crt")
    };
    Path::new(CA_BUNDLE).is_file()
        && std::fs::read_dir(ADDED_CERTIFICATES)
            .is_ok_and(|entries| entries.flatten().any(|entry| is_certificate(&entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_indented() {
        let mut bytes = b"one\ntwo\nthr".to_vec();
        assert_eq!(&indented(&mut bytes)[..], b"       one\n       two\n");
        assert_eq!(bytes, b"thr");
    }
}
