//! Manifests: pushed ones, and those of images that were built here.

use super::blobs::release_named;
use super::manifest::{Blob, ImageManifest};
use super::uploads::too_large;
use super::{DistributionError, Reference, Repository, Result};
use crate::build::IMAGE_LIMITS;
use crate::platform::now_ms;
use crate::records::{PushedManifest, Release, User};
use crate::run::container_image;
use crate::{Platform, PlatformError};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::PathBuf;
use windlass_core::ids::Digest;
use windlass_oci::{IMAGE_MANIFEST_TYPE, digest_of};

/// Configs of images larger than this are refused, in bytes.
const CONFIG_BYTES: u64 = 4 << 20;
/// In how many of the newest releases images are looked for.
const RELEASES: u32 = 100;

/// A manifest that a repository has.
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub document: Bytes,
}

impl From<PushedManifest> for StoredManifest {
    fn from(pushed: PushedManifest) -> Self {
        let PushedManifest { digest, media_type, document, .. } = pushed;
        Self { digest, media_type, document: document.into() }
    }
}

impl Platform {
    /// Takes a manifest whose blobs were pushed before, and unpacks its image. Returns its digest.
    ///
    /// # Errors
    /// `ManifestInvalid` with one line if the image cannot be run here.
    pub async fn push_manifest(
        &self,
        user: &User,
        repository: &Repository,
        reference: &Reference,
        content_type: Option<&str>,
        document: Bytes,
    ) -> Result<Digest> {
        let digest = digest_of(&document);
        let tag = match reference {
            Reference::Digest(named) if *named != digest => {
                return Err(DistributionError::DigestInvalid(format!(
                    "the manifest has the digest {digest}, not {named}"
                )));
            }
            Reference::Digest(_) => None,
            Reference::Tag(tag) => Some(tag.as_str()),
        };
        let manifest = ImageManifest::read(&document, content_type)?;
        let limit = self.settings().build.image_bytes;
        if manifest.size() > limit || manifest.config.size > CONFIG_BYTES {
            return Err(DistributionError::ManifestInvalid(too_large(limit)));
        }
        let image = self.import_pushed(repository, &manifest).await?;
        let pushed = PushedManifest {
            app: repository.app.id,
            process: repository.process.clone(),
            digest: digest.clone(),
            media_type: manifest.media_type,
            document: document.to_vec(),
            config: manifest.config.digest.clone(),
            image,
            pushed_at: now_ms(),
        };
        self.store().save_pushed_manifest(&pushed, tag)?;
        let short = &manifest.config.digest.hex()[..12];
        let line = format!("Push {} image {short} by user {}", repository.process, user.email);
        self.logs().append(repository.app.id, "app[api]", &line);
        Ok(digest)
    }

    async fn import_pushed(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
    ) -> Result<Digest> {
        let config = self.blob_file_of(repository, &manifest.config).await?;
        let mut layers: Vec<(PathBuf, Digest)> = Vec::new();
        for layer in &manifest.layers {
            layers.push((self.blob_file_of(repository, layer).await?, layer.digest.clone()));
        }
        let stopped = "the import of a pushed image stopped";
        let turn = self.distribution().importing().acquire().await;
        let _turn = turn.map_err(|error| PlatformError::internal(stopped, error))?;
        self.refuse_if_disk_is_full()?;
        let images = self.images().clone();
        let imported = tokio::task::spawn_blocking(move || -> crate::Result<Digest> {
            let config = std::fs::read(&config)
                .map_err(|error| PlatformError::internal("a pushed config is lost", error))?;
            Ok(images.import_blobs(config, &layers, &IMAGE_LIMITS, container_image::mark)?)
        });
        let imported = imported.await.map_err(|error| PlatformError::internal(stopped, error))?;
        imported.map_err(|error| match error {
            PlatformError::Invalid(why) => DistributionError::ManifestInvalid(why),
            other => other.into(),
        })
    }

    async fn blob_file_of(&self, repository: &Repository, blob: &Blob) -> Result<PathBuf> {
        let content = match self.registry_blob(repository, &blob.digest) {
            Err(DistributionError::BlobUnknown(digest)) => {
                return Err(DistributionError::ManifestBlobUnknown(digest));
            }
            found => found?,
        };
        if content.size() != blob.size {
            return Err(DistributionError::ManifestInvalid(format!(
                "the blob {} has {} bytes, not {}",
                blob.digest,
                content.size(),
                blob.size
            )));
        }
        self.file_of_blob(repository, &blob.digest, content).await
    }

    /// Finds a manifest: one that was pushed, else that of a release's image. `latest` is then the
    /// current release's, `v12` that of release 12.
    pub fn registry_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<StoredManifest> {
        let (app, process) = (repository.app.id, &repository.process);
        let digest = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(tag) => self.store().registry_tags(app, process)?.remove(tag),
        };
        if let Some(digest) = &digest
            && let Some(pushed) = self.store().pushed_manifest(app, process, digest)?
        {
            return Ok(pushed.into());
        }
        let image = match (digest, release_named(reference)) {
            (Some(digest), _) => self.built_images(repository)?.into_iter().find(|i| *i == digest),
            (None, Some(version)) => match self.release(&repository.app, version) {
                Ok(release) => image_in(&release, repository),
                Err(PlatformError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            },
            (None, None) => None,
        };
        let image = image.ok_or(DistributionError::ManifestUnknown)?;
        let Ok(documents) = self.images().documents(&image) else {
            return Err(DistributionError::ManifestUnknown);
        };
        Ok(StoredManifest {
            digest: image,
            media_type: IMAGE_MANIFEST_TYPE.to_owned(),
            document: documents.manifest.into(),
        })
    }

    /// Returns a repository's tags in order: those that were pushed, and those of kept releases.
    pub fn registry_tags(&self, repository: &Repository) -> Result<Vec<String>> {
        let (app, process) = (&repository.app, &repository.process);
        let mut tags: BTreeSet<String> =
            self.store().registry_tags(app.id, process)?.into_keys().collect();
        for release in self.releases(app, RELEASES)? {
            let kept = image_in(&release, repository).filter(|i| self.images().resolve(i).is_ok());
            if kept.is_some() {
                tags.insert(format!("v{}", release.version));
            }
        }
        if self.registry_manifest(repository, &Reference::Tag("latest".to_owned())).is_ok() {
            tags.insert("latest".to_owned());
        }
        Ok(tags.into_iter().collect())
    }

    /// Removes a tag, or a manifest with all its tags. What was released stays.
    pub fn delete_manifest(&self, repository: &Repository, reference: &Reference) -> Result<()> {
        let (app, process) = (repository.app.id, &repository.process);
        let removed = match reference {
            Reference::Tag(tag) => self.store().delete_registry_tag(app, process, tag)?,
            Reference::Digest(digest) => {
                self.store().delete_pushed_manifest(app, process, digest)?
            }
        };
        if removed { Ok(()) } else { Err(DistributionError::ManifestUnknown) }
    }

    /// Returns the images that releases run for a repository's process type, the newest first.
    pub(super) fn built_images(&self, repository: &Repository) -> Result<Vec<Digest>> {
        let mut images = Vec::new();
        for release in self.releases(&repository.app, RELEASES)? {
            if let Some(image) = image_in(&release, repository)
                && !images.contains(&image)
            {
                images.push(image);
            }
        }
        Ok(images)
    }
}

/// Returns the image that a release runs for a repository's process type.
fn image_in(release: &Release, repository: &Repository) -> Option<Digest> {
    let process = &repository.process;
    release.processes.contains_key(process).then(|| release.image_of(process).cloned()).flatten()
}
