//! Slugs: that of each build, and those that clients send. A slug is released as it is, by any app
//! whose people may deploy the app it is of.

use super::{DeployOptions, ReleaseRequest};
use crate::build::{IMAGE_LIMITS, slug_config};
use crate::distribution::Pieces;
use crate::platform::now_ms;
use crate::records::{App, Build, NewRelease, Release, Slug, User};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use windlass_core::access::Permission;
use windlass_core::ids::{BuildId, Digest, SlugId};
use windlass_core::names::ProcessType;
use windlass_core::release::ReleaseManifest;
use windlass_oci::{ImportLimits, OciError};

/// Pieces of an archive that goes out, in bytes.
const PIECE: usize = 256 * 1024;

/// What a client says of a slug that it is going to send.
#[derive(Clone, Debug, Default)]
pub struct SlugRequest {
    pub processes: BTreeMap<String, String>,
    pub commit: Option<String>,
    pub commit_description: Option<String>,
    /// `SHA256:` and 64 hexadecimal digits.
    pub checksum: Option<String>,
    pub buildpack: Option<String>,
}

/// The archive of a slug.
pub enum SlugArchive {
    /// As it was sent.
    File(PathBuf),
    /// The files of a build or of a slug that was released, packed on demand.
    Layer(Digest),
}

impl Platform {
    /// Makes a slug that an archive is to be sent for.
    ///
    /// # Errors
    /// `Invalid` if it has no process type, or a bad one.
    pub fn create_slug(&self, user: &User, app: &App, request: SlugRequest) -> Result<Slug> {
        let mut processes = BTreeMap::new();
        for (name, command) in request.processes {
            if command.trim().is_empty() || command.contains('\0') {
                return Err(PlatformError::Invalid(format!(
                    "process_types: {name:?} has no command."
                )));
            }
            processes.insert(name.parse::<ProcessType>()?, command);
        }
        if processes.is_empty() {
            return Err(PlatformError::Invalid(
                "A slug needs process_types: {\"web\": \"COMMAND\"}.".to_owned(),
            ));
        }
        if let Some(checksum) = &request.checksum {
            digest_in(checksum)?;
        }
        let now = now_ms();
        let slug = Slug {
            id: SlugId::random(),
            app: app.id,
            user: user.id,
            processes,
            commit: request.commit,
            commit_description: request.commit_description,
            checksum: request.checksum,
            buildpack: request.buildpack,
            size: None,
            image: None,
            created_at: now,
            updated_at: now,
        };
        self.store().save_slug(&slug)?;
        Ok(slug)
    }

    /// Returns a slug that was sent for an app, or that one of its releases runs.
    pub fn slug(&self, app: &App, id: &str) -> Result<Slug> {
        let missing = || PlatformError::NotFound { resource: "slug" };
        let id: SlugId = id.parse().map_err(|_| missing())?;
        let released = self.store().releases_of_slug(id, Some(app.id))?;
        if let Some(sent) = self.store().slug(id)?
            && (sent.app == app.id || !released.is_empty())
        {
            return Ok(sent);
        }
        let released = released.into_iter().find(|release| self.slug_of(release) == Some(id));
        self.built_slug_of(id, &released.ok_or_else(missing)?)
    }

    /// Returns the slug that a release runs; `None` if it runs images.
    #[must_use]
    pub fn slug_of(&self, release: &Release) -> Option<SlugId> {
        let build = release.build.map(|build| SlugId(build.0));
        let slug = release.manifest.slug.or(build)?;
        (self.stack_of(release) != super::CONTAINER_STACK).then_some(slug)
    }

    /// Returns the slug of a build; `None` if it failed or made an image.
    #[must_use]
    pub fn slug_of_build(&self, build: &Build) -> Option<SlugId> {
        let image = build.image.as_ref()?;
        (self.stack_of_image(Some(image)) == super::BUILDPACK_STACK).then_some(SlugId(build.id.0))
    }

    fn built_slug_of(&self, id: SlugId, release: &Release) -> Result<Slug> {
        let build = match self.store().releases_of_slug(id, None)?.last() {
            Some(first) => self.store().build(first.app, BuildId(id.0))?,
            None => None,
        };
        let layer = release.image.as_ref().and_then(|image| self.top_layer(image));
        Ok(Slug {
            id,
            app: release.app,
            user: release.user,
            processes: release.processes.clone(),
            commit: release.commit.clone(),
            commit_description: None,
            checksum: layer.as_ref().map(|layer| format!("SHA256:{}", layer.hex())),
            size: build.as_ref().and_then(|build| build.image_size),
            buildpack: build.as_ref().and_then(|build| build.buildpack.clone()),
            image: release.image.clone(),
            created_at: build.as_ref().map_or(release.created_at, |build| build.created_at),
            updated_at: build.map_or(release.updated_at, |build| build.updated_at),
        })
    }

    fn top_layer(&self, image: &Digest) -> Option<Digest> {
        Some(self.images().resolve(image).ok()?.layers.last()?.diff_id.clone())
    }

    /// Returns where the archive of a slug is.
    pub fn slug_archive(&self, app: &App, id: &str) -> Result<SlugArchive> {
        let slug = self.slug(app, id)?;
        let Some(image) = &slug.image else {
            let file = self.slug_file(slug.id);
            return if file.exists() { Ok(SlugArchive::File(file)) } else { Err(not_sent()) };
        };
        let layer = self.top_layer(image).ok_or_else(|| {
            PlatformError::Invalid("The files of this slug are no longer kept.".to_owned())
        })?;
        Ok(SlugArchive::Layer(layer))
    }

    /// Returns a layer as a compressed archive, piece by piece. After an error nothing more comes.
    #[must_use]
    pub fn compressed_layer(&self, layer: Digest) -> mpsc::Receiver<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(4);
        let images = self.images().clone();
        tokio::task::spawn_blocking(move || {
            let out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
            let mut out = GzEncoder::new(out, Compression::fast());
            let packed = images.write_layer_tar(&layer, &mut out).map_err(io::Error::other);
            let packed = packed.and_then(|()| out.finish()?.flush());
            if let Err(error) = packed {
                tracing::warn!(%error, "a slug was not sent to its end");
                let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
            }
        });
        receiver
    }

    pub(crate) fn slug_file(&self, id: SlugId) -> PathBuf {
        self.settings().data_directory.join("slugs").join(format!("{id}.tgz"))
    }

    /// Releases a slug with the current config vars and returns once it is current.
    pub async fn release_slug(
        &self,
        user: &User,
        app: &App,
        id: &str,
        description: Option<String>,
    ) -> Result<Release> {
        self.refuse_if_locked(app)?;
        let missing = || PlatformError::NotFound { resource: "slug" };
        let id: SlugId = id.parse().map_err(|_| missing())?;
        let what = match self.store().slug(id)? {
            Some(slug) => {
                self.require_slug(user, app, slug.app)?;
                self.unpacked(slug).await?
            }
            None => self.built_slug(user, app, id)?,
        };
        let image = what.image.filter(|image| self.images().resolve(image).is_ok());
        let image = image.ok_or_else(|| {
            PlatformError::Invalid("The files of this slug are no longer kept.".to_owned())
        })?;
        let description = description.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| {
            match &what.commit {
                Some(commit) => format!("Deploy {}", commit.chars().take(8).collect::<String>()),
                None => format!("Deploy slug {}", &id.to_string()[..8]),
            }
        });
        let _turn = self.release_turn(app).await;
        let new = NewRelease {
            app: app.id,
            description,
            user: user.id,
            build: None,
            image: Some(image),
            config_vars: self.config_vars(app)?,
            processes: what.processes,
            manifest: ReleaseManifest { slug: Some(id), ..what.manifest },
            commit: what.commit,
        };
        let options = DeployOptions { may_be_canary: true, ..DeployOptions::default() };
        let request = ReleaseRequest { new, even_if_broken: false };
        Ok(self.release_and_deploy_with(user, app, request, options).await?.release)
    }

    /// Refuses slugs of apps that the user may not deploy, as if there were none.
    fn require_slug(&self, user: &User, app: &App, of: windlass_core::ids::AppId) -> Result<()> {
        if of == app.id {
            return Ok(());
        }
        let missing = PlatformError::NotFound { resource: "slug" };
        let Some(owner) = self.store().app(of)? else { return Err(missing) };
        let may = self.permissions(user, &owner)?.contains(Permission::Deploy);
        if may { Ok(()) } else { Err(missing) }
    }

    fn built_slug(&self, user: &User, app: &App, id: SlugId) -> Result<Releasable> {
        let released = self.store().releases_of_slug(id, None)?;
        let release = released.into_iter().find(|release| {
            self.slug_of(release) == Some(id) && self.require_slug(user, app, release.app).is_ok()
        });
        let release = release.ok_or(PlatformError::NotFound { resource: "slug" })?;
        Ok(Releasable {
            image: release.image,
            processes: release.processes,
            commit: release.commit,
            manifest: release.manifest,
        })
    }

    /// Makes an image of a slug that was sent, unless that was done before.
    async fn unpacked(&self, mut slug: Slug) -> Result<Releasable> {
        if slug.image.is_none() {
            if slug.size.is_none() {
                return Err(not_sent());
            }
            let image = self.image_of_slug(&slug).await?;
            slug = Slug { image: Some(image), updated_at: now_ms(), ..slug };
            self.store().save_slug(&slug)?;
            let _ = std::fs::remove_file(self.slug_file(slug.id));
        }
        Ok(Releasable {
            image: slug.image,
            processes: slug.processes,
            commit: slug.commit,
            manifest: ReleaseManifest::default(),
        })
    }

    async fn image_of_slug(&self, slug: &Slug) -> Result<Digest> {
        let stopped = "a slug could not be unpacked";
        let turn = self.distribution().importing().acquire().await;
        let _turn = turn.map_err(|error| PlatformError::internal(stopped, error))?;
        self.refuse_if_disk_is_full()?;
        let stack = self.run_stack()?;
        let config =
            slug_config(slug.buildpack.as_deref(), slug.processes.get(&ProcessType::web()));
        let limits = ImportLimits { bytes: self.settings().build.image_bytes, ..IMAGE_LIMITS };
        let (images, file) = (self.images().clone(), self.slug_file(slug.id));
        let made = tokio::task::spawn_blocking(move || {
            let layer = images.layer_of_archive(&file, &limits, prepare)?;
            images.put_image(Some(&stack), &[layer], &config)
        });
        Ok(made.await.map_err(|error| PlatformError::internal(stopped, error))??)
    }
}

/// What a release of a slug is made of.
struct Releasable {
    image: Option<Digest>,
    processes: BTreeMap<ProcessType, String>,
    commit: Option<String>,
    manifest: ReleaseManifest,
}

fn not_sent() -> PlatformError {
    PlatformError::Invalid(
        "Nothing was sent for this slug, or more than a day ago: PUT its archive to blob.url."
            .to_owned(),
    )
}

/// Reads `SHA256:` and 64 hexadecimal digits.
pub(super) fn digest_in(checksum: &str) -> Result<Digest> {
    let lower = checksum.to_ascii_lowercase();
    lower.parse().map_err(|_| {
        PlatformError::Invalid(format!(
            "{checksum:?} is not a checksum: use SHA256: and 64 hexadecimal digits."
        ))
    })
}

/// Makes what a slug's archive held the layer of an app: files in `/app` alone, the app's own.
fn prepare(fs: &Path) -> std::result::Result<(), OciError> {
    let failed = |error: io::Error| OciError::Archive(format!("The slug cannot be read: {error}."));
    let refused =
        |what: &str| OciError::Archive(format!("A slug holds ./app/ alone; this {what}."));
    let mut has_app = false;
    for entry in std::fs::read_dir(fs).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != "app" || !entry.file_type().map_err(failed)?.is_dir() {
            return Err(refused(&format!("has {}", entry.file_name().to_string_lossy())));
        }
        has_app = true;
    }
    if !has_app {
        return Err(refused("has no such folder"));
    }
    super::slug_files::own(&fs.join("app")).map_err(failed)
}

#[cfg(test)]
#[path = "slug_tests.rs"]
mod tests;
