//! What Dockerfile builds keep in buildah's storage: which images a build used, and when.
//!
//! Each step of a Dockerfile leaves an image without a name, the next build's cache. buildah does
//! not keep when one was used last: the time of its directory in the storage is set to say so.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

/// Of one build not more are noted: whatever it prints, and it may print these lines itself.
const NOTED: usize = 1_000;

/// An image in buildah's storage.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StoredImage {
    pub id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    /// When it was made, pulled or used last.
    #[serde(skip)]
    pub used: Option<SystemTime>,
}

impl StoredImage {
    /// Whether it could not be had again: somebody put it here under a name of this machine.
    pub(super) fn is_irreplaceable(&self) -> bool {
        let theirs = |name: &String| {
            name.starts_with("localhost/") && !name.starts_with("localhost/windlass/")
        };
        self.names.iter().flatten().any(theirs)
    }

    fn is_called(&self, wanted: &str) -> bool {
        self.id == wanted || self.names.iter().flatten().any(|name| is_short_for(wanted, name))
    }
}

/// Whether a Dockerfile's `node`, `node:20` or `example.com/a/b` stands for the full name.
fn is_short_for(short: &str, full: &str) -> bool {
    let full = full.strip_suffix(":latest").unwrap_or(full);
    let short = short.strip_suffix(":latest").unwrap_or(short);
    full.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Returns the images of a storage, those used longest ago first.
pub(super) fn images(storage: &Path) -> Vec<StoredImage> {
    let directory = storage.join("overlay-images");
    let list = std::fs::read(directory.join("images.json")).unwrap_or_default();
    let mut images: Vec<StoredImage> = serde_json::from_slice(&list).unwrap_or_default();
    for image in &mut images {
        let time = directory.join(&image.id).metadata().and_then(|metadata| metadata.modified());
        image.used = time.ok();
    }
    images.sort_by_key(|image| image.used);
    images
}

/// What a build says that it takes from the storage.
#[derive(Default)]
pub(super) struct Uses(BTreeSet<String>);

impl Uses {
    /// Notes what lines of buildah's output name: `--> Using cache ID` and `STEP 1/4: FROM NAME`.
    pub(super) fn note(&mut self, lines: &[u8]) {
        for line in String::from_utf8_lossy(lines).lines() {
            let line = line.trim();
            let base = line.split_once(": FROM ").filter(|(step, _)| step.contains("STEP "));
            let used = line
                .strip_prefix("--> Using cache ")
                .or_else(|| base?.1.split_whitespace().find(|word| !word.starts_with("--")));
            if let Some(used) = used.filter(|_| self.0.len() < NOTED) {
                self.0.insert(used.to_owned());
            }
        }
    }

    /// Marks these images as used now.
    pub(super) fn mark(&self, storage: &Path) {
        for image in images(storage) {
            if self.0.iter().any(|used| image.is_called(used)) {
                let directory = storage.join("overlay-images").join(&image.id);
                let marked =
                    File::open(directory).and_then(|file| file.set_modified(SystemTime::now()));
                if let Err(error) = marked {
                    tracing::warn!(image = image.id, %error, "a layer could not be marked as used");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_are_found_as_dockerfiles_write_them() {
        for (short, full, same) in [
            ("node", "docker.io/library/node:latest", true),
            ("node:20", "docker.io/library/node:20", true),
            ("example.com/a/b", "example.com/a/b:latest", true),
            ("ode:20", "docker.io/library/node:20", false),
            ("node", "docker.io/library/node:20", false),
        ] {
            assert_eq!(is_short_for(short, full), same, "{short} {full}");
        }
    }

    #[test]
    fn what_a_build_used_is_marked() {
        let storage = tempfile::tempdir().unwrap();
        let directory = storage.path().join("overlay-images");
        let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
        for id in ["aa", "bb", "cc", "dd"] {
            std::fs::create_dir_all(directory.join(id)).unwrap();
            File::open(directory.join(id)).unwrap().set_modified(long_ago).unwrap();
        }
        let list = r#"[{"id": "aa"}, {"id": "bb", "names": ["docker.io/library/node:20"]},
            {"id": "cc", "names": ["localhost/windlass/x:latest"]},
            {"id": "dd", "names": ["localhost/mine:latest"]}]"#;
        std::fs::write(directory.join("images.json"), list).unwrap();
        let mut uses = Uses::default();
        uses.note(b"[1/2] STEP 1/4: FROM --platform=linux node:20 AS a\n--> Using cache aa\nhi\n");
        uses.mark(storage.path());
        let images = images(storage.path());
        let old: Vec<&str> =
            images.iter().filter(|i| i.used == Some(long_ago)).map(|i| &*i.id).collect();
        assert_eq!(old, ["cc", "dd"]);
        let irreplaceable: Vec<&str> =
            images.iter().filter(|i| i.is_irreplaceable()).map(|i| &*i.id).collect();
        assert_eq!(irreplaceable, ["dd"]);
    }

    #[test]
    fn a_storage_that_is_not_there_has_no_images() {
        assert!(images(Path::new("/nonexistent")).is_empty());
    }
}
