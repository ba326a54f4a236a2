//! The disk limit of a build: what it has written is counted while it runs.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at a build's files.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time, however many files there are.
const SHARE: u32 = 20;

/// Returns once the directories hold more than `limit` bytes together.
pub(crate) async fn exceeded(directories: &[PathBuf], limit: u64) {
    loop {
        let since = Instant::now();
        if is_over(directories, limit).await {
            return;
        }
        tokio::time::sleep(LOOK_EVERY.max(since.elapsed() * SHARE)).await;
    }
}

/// Whether the directories hold more than `limit` bytes together.
pub(super) async fn is_over(directories: &[PathBuf], limit: u64) -> bool {
    let directories = directories.to_owned();
    let counted = tokio::task::spawn_blocking(move || is_more_than(&directories, limit)).await;
    counted.unwrap_or_else(|error| {
        tracing::warn!(%error, "the files of a build could not be counted");
        false
    })
}

/// Returns how many bytes the directories hold together.
pub(super) async fn used(directories: &[PathBuf]) -> u64 {
    let directories = directories.to_owned();
    let counted = tokio::task::spawn_blocking(move || count(&directories, u64::MAX)).await;
    counted.unwrap_or_default()
}

fn is_more_than(directories: &[PathBuf], limit: u64) -> bool {
    count(directories, limit) > limit
}

/// Counts until the limit is passed. A file counts with its length or the blocks that it takes,
/// whichever is more (sparse files are read in full later); one with several names counts once.
/// Links are not followed, and what vanishes meanwhile is not counted.
fn count(directories: &[PathBuf], limit: u64) -> u64 {
    let mut pending: Vec<PathBuf> = directories.to_vec();
    let mut linked = HashSet::new();
    let mut total = 0u64;
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            total = total.saturating_add(size_of(&entry.path(), &mut pending, &mut linked));
            if total > limit {
                return total;
            }
        }
    }
    total
}

fn size_of(path: &Path, pending: &mut Vec<PathBuf>, linked: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if metadata.is_dir() {
        pending.push(path.to_owned());
    } else if metadata.nlink() > 1 && !linked.insert((metadata.dev(), metadata.ino())) {
        return 0;
    }
    // In units of 512 bytes, whatever the file system's own.
    metadata.len().max(metadata.blocks() * 512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    const MEGABYTE: u64 = 1 << 20;

    #[test]
    fn sparse_files_count_in_full_and_hard_links_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().to_owned()];
        assert!(!is_more_than(&paths, MEGABYTE));
        fs::create_dir(folder.path().join("deep")).unwrap();
        let file = File::create(folder.path().join("deep/sparse")).unwrap();
        file.set_len(2 * MEGABYTE).unwrap();
        assert!(is_more_than(&paths, MEGABYTE));
        for number in 0..10 {
            let name = folder.path().join(number.to_string());
            fs::hard_link(folder.path().join("deep/sparse"), name).unwrap();
        }
        assert!(!is_more_than(&paths, 3 * MEGABYTE));
    }

    #[test]
    fn links_are_not_followed() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("large"), vec![1; 2 << 20]).unwrap();
        symlink(other.path(), folder.path().join("directory")).unwrap();
        symlink(other.path().join("large"), folder.path().join("file")).unwrap();
        assert!(!is_more_than(&[folder.path().to_owned()], MEGABYTE));
    }

    #[tokio::test]
    async fn growing_past_the_limit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let paths = vec![folder.path().to_owned(), folder.path().join("missing")];
        let watch = tokio::spawn(async move { exceeded(&paths, MEGABYTE).await });
        fs::write(folder.path().join("large"), vec![1; 2 << 20]).unwrap();
        tokio::time::timeout(Duration::from_secs(10), watch).await.unwrap().unwrap();
    }
}
