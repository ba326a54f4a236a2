//! Removes what was pushed and nothing needs any more.

use crate::platform::now_ms;
use crate::{Platform, Result};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How long a manifest without a tag and a blob without a manifest stay: a push of a large image
/// over a slow line takes its time.
const UNUSED: Duration = Duration::from_secs(24 * 60 * 60);

impl Platform {
    /// Removes manifests without a tag, blobs that no manifest has and slugs that were never
    /// released, once they are old enough. Images of releases are not of these.
    pub(crate) async fn collect_pushed(&self) {
        if let Err(error) = self.collect_pushed_older_than(UNUSED).await {
            tracing::warn!(%error, "what was pushed and is not needed could not be collected");
        }
    }

    async fn collect_pushed_older_than(&self, age: Duration) -> Result<()> {
        self.expire_blob_uploads();
        let before = now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let _alone = self.distribution().collecting.write().await;
        // With an index the parts go that no other index names.
        loop {
            let mut removed = false;
            for old in self.store().untagged_manifests(before)? {
                removed |=
                    self.store().delete_pushed_manifest(old.app, &old.process, &old.digest)?;
            }
            if !removed {
                break;
            }
        }
        let used = self.store().drop_unused_registry_blobs(before)?;
        let used: BTreeSet<String> = used.iter().map(|digest| digest.hex().to_owned()).collect();
        let directory = self.distribution().blobs_directory();
        let removed = tokio::task::spawn_blocking(move || remove_unused(&directory, &used));
        match removed.await {
            Ok(0) | Err(_) => {}
            Ok(blobs) => tracing::info!(blobs, "collected blobs that no pushed image has"),
        }
        for slug in self.store().drop_unreleased_slugs(before)? {
            let _ = std::fs::remove_file(self.slug_file(slug));
        }
        Ok(())
    }
}

/// Removes files that are not used; returns how many.
fn remove_unused(directory: &Path, used: &BTreeSet<String>) -> usize {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_used = used.contains(&*entry.file_name().to_string_lossy());
        if !is_used && std::fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    removed
}
