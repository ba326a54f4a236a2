//! Manifests and indexes as they are pushed.
//!
//! Clients push the parts of an index before the index, some of them under its tag, so nothing is
//! refused because this server cannot run it: that is said when it is to be released. What it can
//! run is unpacked at once.

use super::manifest::{Blob, ImageManifest, Manifest};
use super::uploads::too_large;
use super::{DistributionError, Reference, Repository, Result};
use crate::build::IMAGE_LIMITS;
use crate::platform::now_ms;
use crate::records::{PushedManifest, User};
use crate::run::container_image;
use crate::{Platform, PlatformError};
use bytes::Bytes;
use std::path::PathBuf;
use windlass_core::ids::Digest;
use windlass_oci::{ImageIndex, NoneForUs, architecture, digest_of, for_other_platforms};

/// Configs of images larger than this are refused, in bytes.
const CONFIG_BYTES: u64 = 4 << 20;

/// What a manifest is to this server.
struct Taken {
    /// The digest of the image's config.
    config: Option<Digest>,
    /// What it is in the image store; `None` if it cannot be run here.
    image: Option<Digest>,
}

impl Platform {
    /// Takes a manifest whose blobs were pushed before, or an index whose manifests were, and
    /// unpacks an image that can be run here. Returns the digest of the document.
    ///
    /// # Errors
    /// `ManifestInvalid` with one line if it is damaged, too large or no image at all.
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
        let manifest = Manifest::read(&document, content_type)?;
        self.refuse_if_disk_is_full()?;
        let media_type = manifest.media_type().to_owned();
        let taken = match &manifest {
            Manifest::Image(image) => {
                let taken = self.take_image(repository, image).await?;
                self.keep_manifest(repository, &document, media_type, &taken, tag)?;
                taken
            }
            Manifest::Index { index, .. } => {
                self.adopt_built(repository, index).await?;
                // What it names is not collected before it is kept itself.
                let _collecting = self.distribution().collecting.read().await;
                let taken = self.take_index(repository, index)?;
                self.keep_manifest(repository, &document, media_type, &taken, tag)?;
                taken
            }
        };
        if let (Some(config), Some(_)) = (&taken.config, &taken.image) {
            let short = &config.hex()[..12];
            let line = format!("Push {} image {short} by user {}", repository.process, user.email);
            self.logs().append(repository.app.id, "app[api]", &line);
        }
        Ok(digest)
    }

    fn keep_manifest(
        &self,
        repository: &Repository,
        document: &[u8],
        media_type: String,
        taken: &Taken,
        tag: Option<&str>,
    ) -> Result<()> {
        let pushed = PushedManifest {
            app: repository.app.id,
            process: repository.process.clone(),
            digest: digest_of(document),
            media_type,
            document: document.to_vec(),
            config: taken.config.clone(),
            image: taken.image.clone(),
            pushed_at: now_ms(),
        };
        Ok(self.store().save_pushed_manifest(&pushed, tag)?)
    }

    async fn take_image(&self, repository: &Repository, manifest: &ImageManifest) -> Result<Taken> {
        let limit = self.settings().build.image_bytes;
        if manifest.size() > limit || manifest.config.size > CONFIG_BYTES {
            return Err(DistributionError::ManifestInvalid(too_large(limit)));
        }
        let config_file = self.blob_file_of(repository, &manifest.config).await?;
        let mut layers: Vec<(PathBuf, Digest)> = Vec::new();
        for layer in &manifest.layers {
            layers.push((self.blob_file_of(repository, layer).await?, layer.digest.clone()));
        }
        let config = tokio::fs::read(&config_file)
            .await
            .map_err(|error| PlatformError::internal("a pushed config is lost", error))?;
        let image = match manifest.why_not(&config) {
            Some(_) => None,
            None => Some(self.import_pushed(config, layers).await?),
        };
        Ok(Taken { config: Some(manifest.config.digest.clone()), image })
    }

    async fn import_pushed(
        &self,
        config: Vec<u8>,
        layers: Vec<(PathBuf, Digest)>,
    ) -> Result<Digest> {
        let stopped = "the import of a pushed image stopped";
        let turn = self.distribution().importing().acquire().await;
        let _turn = turn.map_err(|error| PlatformError::internal(stopped, error))?;
        self.refuse_if_disk_is_full()?;
        let images = self.images().clone();
        let imported = tokio::task::spawn_blocking(move || -> crate::Result<Digest> {
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

    /// Keeps images that were built here and that an index names as if they had been pushed:
    /// clients that find them in the repository do not push them.
    async fn adopt_built(&self, repository: &Repository, index: &ImageIndex) -> Result<()> {
        for entry in &index.manifests {
            if self.pushed(repository, &entry.digest)?.is_some() {
                continue;
            }
            let named = Reference::Digest(entry.digest.clone());
            let Ok(built) = self.registry_manifest(repository, &named, true) else { continue };
            let manifest = Manifest::read(&built.document, Some(&built.media_type))?;
            if let Manifest::Image(image) = manifest {
                let taken = self.take_image(repository, &image).await?;
                self.keep_manifest(repository, &built.document, built.media_type, &taken, None)?;
            }
        }
        Ok(())
    }

    fn take_index(&self, repository: &Repository, index: &ImageIndex) -> Result<Taken> {
        for entry in &index.manifests {
            let Some(part) = self.pushed(repository, &entry.digest)? else {
                return Err(DistributionError::ManifestBlobUnknown(entry.digest.clone()));
            };
            let size = part.document.len() as u64;
            if entry.size.is_some_and(|named| named != size) {
                return Err(DistributionError::ManifestInvalid(format!(
                    "the manifest {} has {size} bytes, not as many as the index says",
                    entry.digest
                )));
            }
        }
        let chosen = match index.for_this_machine() {
            Ok(entry) => self.pushed(repository, &entry.digest)?,
            Err(_) => None,
        };
        let chosen = chosen.filter(|chosen| chosen.image.is_some());
        let none = Taken { config: None, image: None };
        Ok(chosen.map_or(none, |chosen| Taken { config: chosen.config, image: chosen.image }))
    }

    fn pushed(&self, repository: &Repository, digest: &Digest) -> Result<Option<PushedManifest>> {
        Ok(self.store().pushed_manifest(repository.app.id, &repository.process, digest)?)
    }

    /// Returns the line why this server cannot run what was pushed.
    pub(crate) fn why_not_run(&self, pushed: &PushedManifest) -> String {
        let line = match Manifest::read(&pushed.document, Some(&pushed.media_type)) {
            Ok(Manifest::Index { index, .. }) => match index.for_this_machine() {
                Err(NoneForUs::Foreign(platforms)) => Some(for_other_platforms(&platforms)),
                Err(NoneForUs::Unclear(count)) => Some(format!(
                    "The index names {count} images and does not say for which platform each is."
                )),
                Err(NoneForUs::Empty) => Some("The index names no image.".to_owned()),
                Ok(_) => None,
            },
            Ok(Manifest::Image(image)) => {
                let file = self.distribution().blob_file(&image.config.digest);
                image.why_not(&std::fs::read(file).unwrap_or_default())
            }
            Err(_) => None,
        };
        let line = line.unwrap_or_else(|| "It is no image.".to_owned());
        format!(
            "What was pushed for {} cannot be run here. {line} Build it with --platform linux/{} and push it again.",
            pushed.process,
            architecture()
        )
    }
}
