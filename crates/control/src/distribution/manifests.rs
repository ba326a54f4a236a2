//! Manifests: pushed ones, and those of images that were built here.

use super::blobs::release_named;
use super::manifest::is_index;
use super::{DistributionError, Reference, Repository, Result};
use crate::records::{PushedManifest, Release};
use crate::{Platform, PlatformError};
use bytes::Bytes;
use std::collections::BTreeSet;
use windlass_core::ids::Digest;
use windlass_oci::{IMAGE_MANIFEST_TYPE, ImageIndex};

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
    /// Finds a manifest: one that was pushed, else that of a release's image. `latest` is then the
    /// current release's, `v12` that of release 12. Who does not take indexes and asks for the tag
    /// of one gets the manifest of its image for this server.
    pub fn registry_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        takes_indexes: bool,
    ) -> Result<StoredManifest> {
        let (app, process) = (repository.app.id, &repository.process);
        let digest = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(tag) => self.store().registry_tags(app, process)?.remove(tag),
        };
        if let Some(digest) = &digest
            && let Some(pushed) = self.store().pushed_manifest(app, process, digest)?
        {
            let exactly = takes_indexes || matches!(reference, Reference::Digest(_));
            return Ok(if exactly { pushed } else { self.in_index(pushed)? }.into());
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

    /// Returns the manifest of an index that is for this server; the index itself if there is none.
    fn in_index(&self, index: PushedManifest) -> Result<PushedManifest> {
        let mut at = index.clone();
        // An index may hold an index. None holds itself.
        while is_index(&at.media_type) {
            let read = serde_json::from_slice::<ImageIndex>(&at.document).ok();
            let chosen = read.as_ref().and_then(|index| index.for_this_machine().ok());
            let Some(chosen) = chosen else { return Ok(index) };
            match self.store().pushed_manifest(index.app, &index.process, &chosen.digest)? {
                Some(found) => at = found,
                None => return Ok(index),
            }
        }
        Ok(at)
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
        if self.registry_manifest(repository, &Reference::Tag("latest".to_owned()), true).is_ok() {
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
