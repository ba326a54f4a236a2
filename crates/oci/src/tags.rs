//! Tags: names of images in `index.json`.

use crate::files::{Durability, write_atomically};
use crate::manifest::{Descriptor, Index, MANIFEST_TYPE, TAG_ANNOTATION};
use crate::store::json;
use crate::{ImageStore, OciError};
use std::collections::BTreeMap;
use windlass_core::ids::Digest;

impl ImageStore {
    /// Points `name` (for example `stack/debian-12-run`) at an image, atomically and durably.
    pub fn set_tag(&self, name: &str, image: &Digest) -> Result<(), OciError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:@/+".contains(c);
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(OciError::Invalid(format!(
                "{name:?} is not a tag: use letters, digits and -._:@/+"
            )));
        }
        let manifest = self.blob(image)?.ok_or_else(|| OciError::NoSuchImage(image.to_string()))?;
        let mut descriptor = Descriptor::new(MANIFEST_TYPE, image.clone(), manifest.len() as u64);
        descriptor.annotations.insert(TAG_ANNOTATION.to_owned(), name.to_owned());
        self.change_index(|index| {
            index.manifests.retain(|entry| tag_of(entry) != Some(name));
            index.manifests.push(descriptor);
            index.manifests.sort_by(|a, b| tag_of(a).cmp(&tag_of(b)));
        })
    }

    /// Removes a tag; does nothing if there is none. The image stays until it is collected.
    pub fn remove_tag(&self, name: &str) -> Result<(), OciError> {
        self.change_index(|index| index.manifests.retain(|entry| tag_of(entry) != Some(name)))
    }

    /// Returns the image that a tag points at.
    pub fn tag(&self, name: &str) -> Result<Option<Digest>, OciError> {
        Ok(self.tags()?.remove(name))
    }

    /// Returns all tags and their images.
    pub fn tags(&self) -> Result<BTreeMap<String, Digest>, OciError> {
        let entries = self.read_index()?.manifests.into_iter();
        Ok(entries.filter_map(|entry| Some((tag_of(&entry)?.to_owned(), entry.digest))).collect())
    }

    /// Takes over the tagged images of another store on this machine without copying their layers:
    /// they become links to its directories. For servers that live shorter than the other store
    /// (the demo, tests).
    pub fn borrow_tags_from(&self, other: &ImageStore) -> Result<(), OciError> {
        for (name, image) in other.tags()? {
            let manifest = other.manifest(&image)?;
            for digest in [&image, &manifest.config.digest] {
                let blob =
                    other.blob(digest)?.ok_or_else(|| OciError::NoSuchImage(image.to_string()))?;
                write_atomically(&self.blobs().join(digest.hex()), &blob, Durability::Lazy)?;
            }
            for layer in &manifest.layers {
                let (link, target) = (
                    self.layers().join(layer.digest.hex()),
                    other.layers().join(layer.digest.hex()),
                );
                match std::os::unix::fs::symlink(&target, &link) {
                    Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                        return Err(OciError::io("cannot link", &link)(error));
                    }
                    _ => {}
                }
            }
            self.set_tag(&name, &image)?;
        }
        Ok(())
    }

    pub(crate) fn read_index(&self) -> Result<Index, OciError> {
        let path = self.index_path();
        let bytes = std::fs::read(&path).map_err(OciError::io("cannot read", &path))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            OciError::Invalid(format!(
                "{path:?} is damaged: {error}; restore it, or remove it and set the tags again"
            ))
        })
    }

    fn change_index(&self, change: impl FnOnce(&mut Index)) -> Result<(), OciError> {
        let _lock = self.lock_exclusive()?;
        let mut index = self.read_index()?;
        change(&mut index);
        write_atomically(&self.index_path(), &json(&index)?, Durability::Synced)
    }
}

fn tag_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(TAG_ANNOTATION).map(String::as_str)
}
