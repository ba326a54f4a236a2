//! Watching what instances take of the machine: the disk that they fill, and their memory quota.

use super::app_task::{Event, Message};
use crate::Platform;
use crate::platform::now_ms;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_core::disk_guard::{self, Count, Overuse, Writer};
use windlass_core::ids::InstanceId;
use windlass_core::instance::{InstanceKind, InstanceLabels, InstanceState, ObservedInstance};
use windlass_core::process_limits::quota_exceeded;

/// How often the free space is looked at, which costs one system call.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often memory is compared with quotas (Heroku: about every 20 s).
const MEMORY_EVERY: Duration = Duration::from_secs(20);
/// What was written is gone so soon after the end of an instance.
const LEAVING: Duration = Duration::from_secs(30);

/// What is remembered from one look to the next.
#[derive(Default)]
pub(crate) struct Watch {
    last_count: Option<Count>,
    /// What each instance had written then.
    used: HashMap<InstanceId, u64>,
    last_memory: Option<Instant>,
    /// What instances have left that were ended, until it is gone.
    leaving: Vec<(PathBuf, Instant)>,
}

impl Platform {
    /// Looks once; called every [`LOOK_EVERY`].
    pub(crate) async fn watch_instances(&self, watch: &mut Watch) {
        self.watch_disk(watch).await;
        if watch.last_memory.is_none_or(|last| last.elapsed() >= MEMORY_EVERY) {
            watch.last_memory = Some(Instant::now());
            self.warn_of_quotas().await;
        }
    }

    async fn watch_disk(&self, watch: &mut Watch) {
        let Some(space) = self.driver().disk_space() else { return };
        let reserve = self.settings().disk_reserve_bytes;
        if let Some(last) = &mut watch.last_count {
            // What was given back meanwhile may be written again.
            last.free_bytes = last.free_bytes.max(space.free_bytes);
        }
        if !disk_guard::is_due(watch.last_count, space.free_bytes, reserve, now_ms()) {
            return;
        }
        let (begun, instances) = (Instant::now(), self.running().await);
        let directories: Vec<(InstanceId, PathBuf)> = instances
            .iter()
            .filter_map(|i| {
                Some((i.spec.id.clone(), self.driver().writable_directory(&i.spec.id)?))
            })
            .collect();
        let counted = tokio::task::spawn_blocking(move || -> HashMap<InstanceId, u64> {
            let used = directories.into_iter().map(|(id, path)| (id, bytes_on_disk(&path)));
            used.collect()
        });
        let Ok(used) = counted.await else { return };
        let labels: HashMap<InstanceId, InstanceLabels> =
            instances.into_iter().map(|i| (i.spec.id, i.spec.labels)).collect();
        let writers = self.writers(&labels, &used, &watch.used);
        // What was free when the counting began may be written by now.
        let free_bytes = self.driver().disk_space().map_or(space.free_bytes, |s| s.free_bytes);
        watch.leaving.retain(|(path, since)| since.elapsed() < LEAVING && path.exists());
        // While files of the last one are being removed, nobody else is to blame.
        let reserve = if watch.leaving.is_empty() { reserve } else { 0 };
        for (id, why) in disk_guard::to_end(free_bytes, reserve, &writers) {
            let Some(labels) = labels.get(&id) else { continue };
            let leaving = self.driver().writable_directory(&id);
            watch.leaving.extend(leaving.map(|path| (path, Instant::now())));
            self.evict(&id, labels, why).await;
        }
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        watch.last_count = Some(Count { at_ms: now_ms(), took_ms, free_bytes });
        watch.used = used;
    }

    /// Returns the instances of apps that run; builds have a guard of their own.
    async fn running(&self) -> Vec<ObservedInstance> {
        let observed = self.driver().observe().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what instances take of the machine cannot be told");
            Vec::new()
        });
        let counts = |instance: &ObservedInstance| {
            instance.state == InstanceState::Running
                && instance.spec.labels.kind != InstanceKind::Build
        };
        observed.into_iter().filter(counts).collect()
    }

    fn writers(
        &self,
        labels: &HashMap<InstanceId, InstanceLabels>,
        used: &HashMap<InstanceId, u64>,
        before: &HashMap<InstanceId, u64>,
    ) -> Vec<Writer> {
        let apps: HashMap<_, _> = match self.store().apps() {
            Ok(apps) => apps.into_iter().map(|app| (app.id, app)).collect(),
            Err(error) => {
                tracing::warn!(%error, "the limits of instances cannot be read");
                return Vec::new();
            }
        };
        let writer = |(id, used_bytes): (&InstanceId, &u64)| {
            let labels = labels.get(id)?;
            let limits = self.limits_of(apps.get(&labels.app)?, &labels.process);
            Some(Writer {
                id: id.clone(),
                used_bytes: *used_bytes,
                grown_bytes: used_bytes.saturating_sub(before.get(id).copied().unwrap_or(0)),
                limit_bytes: limits.disk_bytes.0,
            })
        };
        used.iter().filter_map(writer).collect()
    }

    /// Ends an instance for the sake of the others.
    async fn evict(&self, id: &InstanceId, labels: &InstanceLabels, why: Overuse) {
        let name = labels.display_name();
        tracing::warn!(instance = %id, app = %labels.app_name, %name, %why, "an instance is ended");
        if labels.kind == InstanceKind::Formation {
            let event = Event::Evicted(why.to_string());
            self.app_tasks().send(labels.app, Message::Instance(id.clone(), event));
            return;
        }
        let source = format!("heroku[{name}]");
        self.logs().append(labels.app, &source, &why.to_string());
        self.logs().append(labels.app, &source, "Stopping process with SIGKILL");
        if let Err(error) = self.driver().stop(id, Duration::ZERO).await {
            tracing::error!(instance = %id, %error, "an instance could not be stopped");
        }
    }

    /// Tells apps whose instances use more memory than was reserved for them (R14).
    async fn warn_of_quotas(&self) {
        let Ok(apps) = self.store().apps() else { return };
        let with_quotas: HashMap<_, _> = apps
            .into_iter()
            .filter(|app| {
                let limits = app.deploys.limits.keys();
                limits.into_iter().any(|p| self.limits_of(app, p).quota_bytes().is_some())
            })
            .map(|app| (app.id, app))
            .collect();
        if with_quotas.is_empty() {
            return;
        }
        for instance in self.running().await {
            let labels = &instance.spec.labels;
            let Some(app) = with_quotas.get(&labels.app) else { continue };
            let Some(quota) = self.limits_of(app, &labels.process).quota_bytes() else { continue };
            let Some(used) = self.driver().memory_used(&instance.spec.id) else { continue };
            for line in quota_exceeded(used, quota).into_iter().flatten() {
                let source = format!("heroku[{}]", labels.display_name());
                self.logs().append(app.id, &source, &line);
            }
        }
    }
}

/// Returns what the files below a directory take up on the disk; one with several names counts
/// once. Links are not followed, and what vanishes meanwhile is not counted.
fn bytes_on_disk(directory: &Path) -> u64 {
    let mut pending = vec![directory.to_owned()];
    let mut linked = HashSet::new();
    let mut total = 0u64;
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                pending.push(entry.path());
            } else if metadata.nlink() > 1 && !linked.insert(metadata.ino()) {
                continue;
            }
            // In units of 512 bytes, whatever the file system's own.
            total = total.saturating_add(metadata.blocks() * 512);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_count_with_what_they_take_and_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), vec![1; 2 << 20]).unwrap();
        let used = bytes_on_disk(folder.path());
        assert!((2 << 20..3 << 20).contains(&used), "{used}");
        fs::hard_link(folder.path().join("deep/file"), folder.path().join("again")).unwrap();
        fs::File::create(folder.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let with_more = bytes_on_disk(folder.path());
        assert!(with_more < used + (64 << 10), "{with_more}");
        assert_eq!(bytes_on_disk(&folder.path().join("missing")), 0);
    }
}
