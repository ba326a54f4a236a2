//! Removes what no image needs.

use crate::files::{age, remove_tree};
use crate::store::parse_manifest;
use crate::{ImageStore, OciError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_core::ids::Digest;

/// How long an image, layer or staging directory stays although nothing refers to it (yet):
/// between a build and the record of its release nothing does.
pub const UNUSED_GRACE: Duration = Duration::from_secs(60 * 60);

/// What must stay, by hexadecimal digest.
#[derive(Default)]
struct Needed {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
}

impl ImageStore {
    /// Removes every image that is neither tagged nor in `keep`, and then every layer and blob that
    /// no image left needs, if older than [`UNUSED_GRACE`]. Returns the number of images removed.
    /// Removes nothing and fails if an image that must stay cannot be read.
    pub fn collect(&self, keep: &BTreeSet<Digest>) -> Result<usize, OciError> {
        self.collect_older_than(keep, UNUSED_GRACE)
    }

    /// As [`ImageStore::collect`], with another age. A build that runs meanwhile may lose its
    /// layer if the age is shorter than the build.
    pub fn collect_older_than(
        &self,
        keep: &BTreeSet<Digest>,
        minimum: Duration,
    ) -> Result<usize, OciError> {
        let rubbish = self.new_staging("rubbish")?;
        let removed = {
            let _lock = self.lock_exclusive()?;
            let young_manifests = self.manifests_younger_than(minimum)?;
            let needed = self.needed(keep, young_manifests)?;
            move_unused(&self.layers(), &needed.layers, minimum, Some("layer.json"), &rubbish)?;
            let blobs = move_unused(&self.blobs(), &needed.blobs, minimum, None, &rubbish)?;
            blobs.iter().filter(|path| is_manifest(path)).count()
        };
        // Large trees are removed without the lock: nobody waits for it.
        remove_tree(&rubbish)?;
        self.remove_old_staging(minimum);
        self.forget_lost_imports();
        Ok(removed)
    }

    /// Forgets which layers had been imported of those that are not kept any more.
    fn forget_lost_imports(&self) {
        for path in entries(&self.imports()).unwrap_or_default() {
            let layer = std::fs::read_to_string(&path).ok().and_then(|text| text.parse().ok());
            if layer.is_none_or(|layer: Digest| !self.layer_directory(&layer).exists()) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    fn manifests_younger_than(&self, minimum: Duration) -> Result<Vec<Digest>, OciError> {
        let mut young = Vec::new();
        for path in entries(&self.blobs())? {
            if age(&path)? < minimum
                && is_manifest(&path)
                && let Some(digest) = digest_in_name(&path)
            {
                young.push(digest);
            }
        }
        Ok(young)
    }

    fn needed(&self, keep: &BTreeSet<Digest>, young: Vec<Digest>) -> Result<Needed, OciError> {
        let tagged = self.read_index()?.manifests.into_iter().map(|entry| entry.digest);
        let images: BTreeSet<Digest> = tagged.chain(keep.iter().cloned()).chain(young).collect();
        let mut needed = Needed::default();
        for image in images {
            let manifest = match self.manifest(&image) {
                Ok(manifest) => manifest,
                Err(OciError::NoSuchImage(_)) => continue,
                Err(error) => return Err(error),
            };
            needed.blobs.insert(image.hex().to_owned());
            needed.blobs.insert(manifest.config.digest.hex().to_owned());
            needed.layers.extend(manifest.layers.iter().map(|layer| layer.digest.hex().to_owned()));
        }
        Ok(needed)
    }

    fn remove_old_staging(&self, minimum: Duration) {
        for path in entries(&self.staging()).unwrap_or_default() {
            if age(&path).is_ok_and(|age| age >= minimum)
                && let Err(error) = remove_tree(&path)
            {
                tracing::warn!(%error, "left a staging directory behind");
            }
        }
    }
}

/// Moves the entries of `directory` that are not needed and old enough to `rubbish`, and returns
/// where they are now. The age is that of the entry's file `stamp`, or of the entry itself.
fn move_unused(
    directory: &Path,
    needed: &BTreeSet<String>,
    minimum: Duration,
    stamp: Option<&str>,
    rubbish: &Path,
) -> Result<Vec<PathBuf>, OciError> {
    let mut moved = Vec::new();
    for path in entries(directory)? {
        let name = path.file_name().unwrap_or_default();
        let stamp = stamp.map(|file| path.join(file)).filter(|file| file.exists());
        if needed.contains(&*name.to_string_lossy())
            || age(stamp.as_deref().unwrap_or(&path))? < minimum
        {
            continue;
        }
        let target = rubbish.join(format!("{}-{}", moved.len(), name.to_string_lossy()));
        std::fs::rename(&path, &target).map_err(OciError::io("cannot remove", &path))?;
        moved.push(target);
    }
    Ok(moved)
}

fn is_manifest(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| parse_manifest(&bytes).is_some())
}

fn digest_in_name(path: &Path) -> Option<Digest> {
    format!("sha256:{}", path.file_name()?.to_str()?).parse().ok()
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, OciError> {
    std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(OciError::io("cannot list", directory))
}
