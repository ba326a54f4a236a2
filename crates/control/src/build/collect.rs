//! Gives back the disk of build caches: those that were not used for long, and the oldest of too
//! many.

use super::layers::{self, StoredImage};
use super::{buildah, disk};
use crate::settings::BuildSettings;
use crate::{Platform, Result};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use windlass_core::ids::AppId;

/// What was used so lately stays, however much there is: somebody is at work with it.
const RECENT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the storage of Dockerfile builds may be in use before it is left to the next day.
const STORAGE_WAIT: Duration = Duration::from_secs(60);

/// The build cache of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cache {
    app: AppId,
    directory: PathBuf,
    used: SystemTime,
    bytes: u64,
}

fn is_older(used: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(used).is_ok_and(|since| since >= age)
}

/// Returns what can go: what is too old, and of the rest what was used longest ago until there is
/// not too much left; nothing that was used lately.
fn superfluous(mut caches: Vec<Cache>, now: SystemTime, limits: &BuildSettings) -> Vec<Cache> {
    caches.sort_by_key(|cache| cache.used);
    let mut total: u64 = caches.iter().map(|cache| cache.bytes).sum();
    caches.retain(|cache| {
        let old = is_older(cache.used, now, limits.cache_max_age);
        let over = total > limits.cache_max_bytes && is_older(cache.used, now, RECENT);
        if old || over {
            total = total.saturating_sub(cache.bytes);
        }
        old || over
    });
    caches
}

impl Platform {
    /// Removes build caches of apps and layers of Dockerfile builds that nobody has used for
    /// `build.cache_max_age`, or that are too many. What a build uses meanwhile stays.
    pub(crate) async fn collect_build_caches(&self) {
        self.collect_app_caches().await;
        if let Err(error) = self.collect_layers().await {
            tracing::warn!(%error, "the layers of Dockerfile builds could not be cleaned up");
        }
    }

    async fn collect_app_caches(&self) {
        let mut caches = Vec::new();
        let folders = std::fs::read_dir(self.settings().data_directory.join("caches"));
        for entry in folders.into_iter().flatten().flatten() {
            let directory = entry.path();
            let app = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let used = entry.metadata().and_then(|metadata| metadata.modified());
            if let (Some(app), Ok(used)) = (app, used) {
                let bytes = disk::used(std::slice::from_ref(&directory)).await;
                caches.push(Cache { app, directory, used, bytes });
            }
        }
        for cache in superfluous(caches, SystemTime::now(), &self.settings().build) {
            let line = self.receiver().line_of(cache.app);
            // A build of the app that is under way uses it.
            let Ok(_turn) = line.turn.try_lock() else { continue };
            let directory = cache.directory.clone();
            match tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory)).await {
                Ok(Ok(())) => {
                    tracing::info!(app = %cache.app, bytes = cache.bytes, "removed a build cache");
                }
                failed => tracing::warn!(app = %cache.app, ?failed, "a build cache stays"),
            }
        }
    }

    async fn collect_layers(&self) -> Result<()> {
        let storage = buildah::storage(self);
        if !storage.exists() || self.driver().host_jobs().is_none() {
            return Ok(());
        }
        let Ok(_alone) = self.builds_under_way().storage().try_write() else { return Ok(()) };
        buildah::run_alone(self, &["rm", "--all"]).await?;
        let limits = &self.settings().build;
        let of_age = |age: Duration| {
            let now = SystemTime::now();
            let mut images = layers::images(&storage);
            images.retain(|image| {
                !image.is_irreplaceable() && image.used.is_some_and(|used| is_older(used, now, age))
            });
            images
        };
        self.remove_layers(&of_age(limits.cache_max_age)).await?;
        // How much one image takes is not known, since layers are shared: a few at a time.
        loop {
            let removable = of_age(RECENT.min(limits.cache_max_age));
            let used = disk::used(std::slice::from_ref(&storage)).await;
            if removable.is_empty() || used <= limits.cache_max_bytes {
                return Ok(());
            }
            self.remove_layers(&removable[..removable.len().div_ceil(4)]).await?;
            if of_age(RECENT.min(limits.cache_max_age)).len() == removable.len() {
                return Ok(());
            }
        }
    }

    async fn remove_layers(&self, images: &[StoredImage]) -> Result<()> {
        // As many as fit on a command line without doubt.
        for some in images.chunks(100) {
            let mut command = vec!["rmi", "--force"];
            command.extend(some.iter().map(|image| image.id.as_str()));
            // Those that went with another are missing by now, which is an error to buildah.
            if let Err(error) = buildah::run_alone(self, &command).await {
                tracing::debug!(%error, "not all layers were removed");
            }
        }
        if !images.is_empty() {
            tracing::info!(images = images.len(), "removed layers of Dockerfile builds");
        }
        Ok(())
    }
}

/// Gives back what a Dockerfile build leaves that was stopped, when it is dropped.
pub(super) struct GiveBack(pub Option<Platform>);

impl Drop for GiveBack {
    fn drop(&mut self) {
        let Some(platform) = self.0.take() else { return };
        tokio::spawn(async move {
            let give_back = async {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if let Ok(_alone) = platform.builds_under_way().storage().try_write() {
                        return buildah::run_alone(&platform, &["rm", "--all"]).await;
                    }
                }
            };
            // While other Dockerfile builds go on, it is left to the daily collection.
            if let Ok(Err(error)) = tokio::time::timeout(STORAGE_WAIT, give_back).await {
                tracing::warn!(%error, "what a stopped Dockerfile build left is still there");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn limits(days: u64, bytes: u64) -> BuildSettings {
        BuildSettings {
            cache_max_age: Duration::from_secs(days * DAY),
            cache_max_bytes: bytes,
            ..BuildSettings::default()
        }
    }

    #[test]
    fn the_oldest_go_first_and_those_used_lately_stay() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * DAY);
        let cache = |days: u64, bytes| Cache {
            app: AppId::random(),
            directory: PathBuf::from(days.to_string()),
            used: now - Duration::from_secs(days * DAY),
            bytes,
        };
        let caches = vec![cache(0, 50), cache(70, 1), cache(20, 10), cache(3, 10), cache(10, 10)];
        let gone = |days, bytes| -> Vec<String> {
            let gone = superfluous(caches.clone(), now, &limits(days, bytes));
            gone.iter().map(|cache| cache.directory.display().to_string()).collect()
        };
        assert_eq!(gone(60, 1000), ["70"]);
        assert_eq!(gone(60, 80), ["70"], "what is too old makes room");
        assert_eq!(gone(60, 70), ["70", "20"]);
        assert_eq!(gone(60, 1), ["70", "20", "10", "3"]);
        assert_eq!(gone(5, 1000), ["70", "20", "10"]);
    }

    #[test]
    fn a_time_to_come_is_not_old() {
        let now = SystemTime::UNIX_EPOCH;
        assert!(!is_older(now + RECENT, now, Duration::ZERO));
    }
}
