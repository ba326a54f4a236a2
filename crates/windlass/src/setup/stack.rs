//! Builds a stack: the base system of apps, as a run image and a build image on top of it.

use super::SetupError;
use super::apt_sources;
use super::child::ChildCommand;
use super::lock::SetupLock;
use super::packages_in::installed;
use super::progress::{Progress, clock, size};
use super::recipe::{BUILD_SCRIPT, CONFIGURE_SCRIPT, RUN_SCRIPT, Recipe, Variant};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_core::ids::Digest;
use windlass_oci::{ImageConfig, ImageStore, OciError, digest_of};

/// Long enough for a slow line; a build that hangs ends all the same.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const USER_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const LABEL_RECIPE: &str = "windlass.stack.recipe";
const LABEL_BUILT: &str = "windlass.stack.built";

/// Whether a stack is in the image store.
#[derive(Debug)]
pub enum StackState {
    Missing,
    /// Half of it is there, or it is there and cannot be used.
    Incomplete(String),
    Ready(ReadyStack),
}

#[derive(Debug)]
pub struct ReadyStack {
    /// When it was built, as in RFC 3339.
    pub built: String,
    /// It was built by a Windlass that built it from something else.
    pub recipe_changed: bool,
}

/// Looks for both images of a stack.
pub fn stack_state(store: &ImageStore, name: &str) -> Result<StackState, SetupError> {
    let recipe = Recipe::of(name)?;
    let run = labels(store, &recipe.tag(&recipe.run))?;
    let build = labels(store, &recipe.tag(&recipe.build))?;
    let labels = match (run, build) {
        (Found::Nothing, Found::Nothing) => return Ok(StackState::Missing),
        (Found::Nothing, _) | (_, Found::Nothing) => {
            return Ok(StackState::Incomplete("one of its two images is missing".to_owned()));
        }
        (Found::Damaged(why), _) | (_, Found::Damaged(why)) => {
            return Ok(StackState::Incomplete(why));
        }
        (Found::Labels(run), Found::Labels(build)) => [run, build],
    };
    let current = recipe.digest();
    let recipe_changed = labels
        .iter()
        .any(|labels| labels.get(LABEL_RECIPE).map(String::as_str) != Some(current.as_str()));
    let built =
        labels[1].get(LABEL_BUILT).cloned().unwrap_or_else(|| "at an unknown time".to_owned());
    Ok(StackState::Ready(ReadyStack { built, recipe_changed }))
}

enum Found {
    Nothing,
    Damaged(String),
    Labels(BTreeMap<String, String>),
}

fn labels(store: &ImageStore, tag: &str) -> Result<Found, SetupError> {
    let Some(digest) = store.tag(tag)? else { return Ok(Found::Nothing) };
    match store.resolve(&digest) {
        Ok(image) => Ok(Found::Labels(image.config.labels)),
        Err(OciError::NoSuchImage(_)) => Ok(Found::Nothing),
        Err(OciError::Invalid(why)) => Ok(Found::Damaged(why)),
        Err(error) => Err(error.into()),
    }
}

/// Builds and tags both images. A run image of the same recipe that is there already is used,
/// unless `force` is set.
pub fn build(
    recipe: &Recipe,
    force: bool,
    store: &ImageStore,
    lock: &mut SetupLock,
    log: &mut dyn Write,
    out: &mut Progress,
) -> Result<(), SetupError> {
    let subject = format!("Stack {}", recipe.name);
    out.line(&subject, "building; this takes one to two minutes and about 700 MB");
    out.start();
    let sources = apt_sources::of_host(Path::new("/etc/apt"), recipe.suite);
    let mut builder = Builder { recipe, store, lock, log, out, sources };
    let run = match builder.finished_run_image()? {
        Some(image) if !force => image,
        _ => builder.run_image()?,
    };
    builder.build_image(&run)?;
    // The one sync of all that was written: after a power cut the tags must not point at holes.
    ChildCommand::new("sync", TIMEOUT, ["sync", "-f", &store.root().to_string_lossy()])
        .run(log, &mut |_| {})?;
    out.line(&subject, &format!("ready after {}", clock(out.elapsed())));
    Ok(())
}

struct Builder<'a> {
    recipe: &'a Recipe,
    store: &'a ImageStore,
    lock: &'a mut SetupLock,
    log: &'a mut dyn Write,
    out: &'a mut Progress,
    sources: Option<String>,
}

impl Builder<'_> {
    fn finished_run_image(&self) -> Result<Option<Digest>, SetupError> {
        let tag = self.recipe.tag(&self.recipe.run);
        let current = self.recipe.digest();
        match labels(self.store, &tag)? {
            Found::Labels(labels)
                if labels.get(LABEL_RECIPE).map(String::as_str) == Some(current.as_str()) =>
            {
                Ok(self.store.tag(&tag)?)
            }
            _ => Ok(None),
        }
    }

    fn run_image(&mut self) -> Result<Digest, SetupError> {
        let started = Instant::now();
        let staging = self.new_staging()?;
        let hook = write_script(&staging, "configure_dpkg.sh", CONFIGURE_SCRIPT)?;
        let script = write_script(&staging, "run_layer.sh", RUN_SCRIPT)?;
        let packages = self.recipe.run.packages.join(",");
        let mut arguments =
            vec![script, staging.clone(), hook, self.recipe.suite.into(), packages.into()];
        if let Some(sources) = &self.sources {
            let path = staging.join("debian.sources");
            std::fs::write(&path, sources)
                .map_err(SetupError::io("cannot write", &path.display().to_string()))?;
            arguments.push(path);
        }
        let run = &self.recipe.run;
        self.execute("mmdebstrap", &arguments, run, 0.0..0.38)?;
        self.finish(None, run, &staging, started, 0.40)
    }

    fn build_image(&mut self, run: &Digest) -> Result<(), SetupError> {
        let started = Instant::now();
        let staging = self.new_staging()?;
        let script = write_script(&staging, "build_layer.sh", BUILD_SCRIPT)?;
        let image = self.store.resolve(run)?;
        let [lower] = image.layer_directories.as_slice() else {
            return Err(SetupError::Unusable(format!(
                "the run image {run} has not exactly one layer; use --force"
            )));
        };
        let https = self.sources.as_deref().is_some_and(apt_sources::use_https);
        let ca_bundle = if https && Path::new(CA_BUNDLE).exists() { CA_BUNDLE } else { "" };
        let mut arguments = vec![script, staging.clone(), lower.clone(), ca_bundle.into()];
        arguments.extend(self.recipe.build.packages.iter().map(PathBuf::from));
        let build = &self.recipe.build;
        self.execute("apt-get", &arguments, build, 0.40..0.95)?;
        self.finish(Some(run), build, &staging, started, 0.97)?;
        Ok(())
    }

    fn new_staging(&mut self) -> Result<PathBuf, SetupError> {
        let staging = self.store.staging_directory()?;
        self.lock.record(&staging)?;
        Ok(staging)
    }

    /// Runs a script, moving the bar through its part of the whole.
    fn execute(
        &mut self,
        tool: &str,
        script: &[PathBuf],
        variant: &Variant,
        part: std::ops::Range<f64>,
    ) -> Result<(), SetupError> {
        let what = format!("{tool} for the {} image", variant.name);
        let command = ChildCommand::contained(&what, TIMEOUT, script);
        let mut doing = "fetching the package lists".to_owned();
        let mut steps = 0;
        let out = &mut *self.out;
        let result = command.run(self.log, &mut |line| {
            if let Some(line) = line {
                steps += u32::from(is_package_step(line));
                if let Some(now) = describe(line) {
                    doing = format!("{}: {now}", variant.name);
                }
            }
            let fraction = (f64::from(steps) / f64::from(variant.expected_steps)).min(1.0);
            out.update(part.start + fraction * (part.end - part.start), &doing);
        });
        if result.is_err() {
            self.remove_staging(&script[1]);
        }
        result
    }

    fn remove_staging(&mut self, staging: &Path) {
        if let Err(error) = self.store.discard_staging(staging) {
            tracing::warn!(%error, "left a staging directory behind; the next setup removes it");
        } else if let Err(error) = self.lock.forget_all() {
            tracing::warn!(%error, "cannot clear the record of staging directories");
        }
    }

    /// Makes the layer and the image, and tags it.
    fn finish(
        &mut self,
        base: Option<&Digest>,
        variant: &Variant,
        staging: &Path,
        started: Instant,
        fraction: f64,
    ) -> Result<Digest, SetupError> {
        self.out.update(fraction, &format!("{}: storing the image", variant.name));
        let packages = installed(&staging.join("fs"));
        let layer = self.store.commit_layer(staging)?;
        self.lock.forget_all()?;
        let config = image_config(self.recipe, variant, &packages);
        let image = self.store.put_image(base, std::slice::from_ref(&layer), &config)?;
        self.store.set_tag(&self.recipe.tag(variant), &image)?;
        let (size, time) = (size(layer.size), clock(started.elapsed()));
        let added = if base.is_some() { " more" } else { "" };
        let text = format!("{} packages, {size}{added}, in {time}", packages.len());
        self.out.line(&format!("  {} image", variant.name), &text);
        Ok(image)
    }
}

fn image_config(recipe: &Recipe, variant: &Variant, packages: &[String]) -> ImageConfig {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ImageConfig {
        env: vec![USER_PATH.to_owned()],
        entrypoint: Vec::new(),
        cmd: vec!["/bin/bash".to_owned()],
        working_dir: Some("/app".to_owned()),
        user: Some("1000:1000".to_owned()),
        labels: BTreeMap::from([
            label("windlass.stack.name", recipe.name),
            label("windlass.stack.suite", recipe.suite),
            label("windlass.stack.variant", variant.name),
            label("windlass.stack.packages", digest_of(packages.join("\n").as_bytes()).as_str()),
            label("windlass.stack.package-count", &packages.len().to_string()),
            label(LABEL_RECIPE, recipe.digest().as_str()),
            label(LABEL_BUILT, &format!("{:.0}", jiff::Timestamp::now())),
        ]),
        ..ImageConfig::default()
    }
}

/// Writes an executable file beside the `fs` of a staging directory.
fn write_script(staging: &Path, name: &str, text: &str) -> Result<PathBuf, SetupError> {
    let path = staging.join(name);
    std::fs::write(&path, text)
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)))
        .map_err(SetupError::io("cannot write", &path.display().to_string()))?;
    Ok(path)
}

/// Says whether a line of apt or dpkg tells of one more package fetched, unpacked or set up.
pub fn is_package_step(line: &str) -> bool {
    ["Get:", "Unpacking ", "Setting up "].iter().any(|start| line.starts_with(start))
}

/// Says in a few words what a line of output tells.
fn describe(line: &str) -> Option<String> {
    let package = |rest: &str| rest.split([' ', ':']).next().unwrap_or_default().to_owned();
    if let Some(rest) = line.strip_prefix("Unpacking ") {
        Some(format!("unpacking {}", package(rest)))
    } else if let Some(rest) = line.strip_prefix("Setting up ") {
        Some(format!("setting up {}", package(rest)))
    } else if line.starts_with("Get:") {
        Some("fetching packages".to_owned())
    } else if line.starts_with("I: extracting") {
        Some("extracting the essential packages".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::recipe::DEBIAN_12;

    #[test]
    fn lines_of_apt_are_told_in_few_words() {
        assert_eq!(
            describe("Setting up libc6:amd64 (2.36-9) ...").as_deref(),
            Some("setting up libc6")
        );
        assert_eq!(describe("Unpacking git (1:2.39) ...").as_deref(), Some("unpacking git"));
        assert_eq!(describe("Reading package lists..."), None);
        assert!(is_package_step("Get:12 http://deb.example/debian x"));
        assert!(!is_package_step("Selecting previously unselected package x."));
    }

    #[test]
    fn a_stack_is_ready_when_both_images_are_there_and_of_this_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::open(folder.path()).unwrap();
        assert!(matches!(stack_state(&store, "debian-12").unwrap(), StackState::Missing));
        let staging = store.staging_directory().unwrap();
        let layer = store.commit_layer(&staging).unwrap();
        let mut config = image_config(&DEBIAN_12, &DEBIAN_12.run, &[]);
        let image = store.put_image(None, std::slice::from_ref(&layer), &config).unwrap();
        store.set_tag("stack/debian-12-run", &image).unwrap();
        assert!(matches!(stack_state(&store, "debian-12").unwrap(), StackState::Incomplete(_)));
        store.set_tag("stack/debian-12-build", &image).unwrap();
        let StackState::Ready(stack) = stack_state(&store, "debian-12").unwrap() else {
            panic!("not ready")
        };
        assert!(!stack.recipe_changed);
        assert!(stack.built.ends_with('Z'), "{}", stack.built);

        config.labels.insert(LABEL_RECIPE.to_owned(), "sha256:another".to_owned());
        let image = store.put_image(None, std::slice::from_ref(&layer), &config).unwrap();
        store.set_tag("stack/debian-12-build", &image).unwrap();
        let StackState::Ready(stack) = stack_state(&store, "bookworm").unwrap() else {
            panic!("not ready")
        };
        assert!(stack.recipe_changed);

        std::fs::remove_dir_all(store.layer_directory(&layer.diff_id)).unwrap();
        assert!(matches!(stack_state(&store, "debian-12").unwrap(), StackState::Incomplete(_)));
        assert!(Recipe::of("solaris").is_err());
    }
}
