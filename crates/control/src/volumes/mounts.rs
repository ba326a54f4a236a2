//! Which volumes an instance has, and what may be mounted where.

use crate::records::{App, Volume};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use windlass_core::ids::AppId;
use windlass_core::instance::{Mount, MountSource};
use windlass_core::names::ProcessType;
use windlass_core::volume::{MountPath, VolumeSource};

/// Places of the host that no app gets, with all below them.
const SYSTEM: [&str; 16] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib",
    "/var/log",
    "/var/spool",
];

/// Returns `folder` without links if it may be given to an app, else why not.
pub(super) fn host_folder(folder: &Path, ours: &[&Path]) -> std::result::Result<String, String> {
    if !folder.is_absolute() {
        return Err(format!("{} is not an absolute path.", folder.display()));
    }
    let real = folder
        .canonicalize()
        .map_err(|error| format!("{} cannot be mounted: {error}.", folder.display()))?;
    if !real.is_dir() {
        return Err(format!("{} is not a directory.", folder.display()));
    }
    let canonical = |path: &&Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let ours: Vec<PathBuf> = ours.iter().map(canonical).collect();
    let system = SYSTEM.iter().map(Path::new);
    let is_ours = |path: &Path| real.starts_with(path) || path.starts_with(&real);
    let is_system = |path: &Path| real.starts_with(path) || path.starts_with(&real);
    if ours.iter().any(|path| is_ours(path)) || system.into_iter().any(is_system) {
        return Err(format!(
            "{} belongs to the system or to Windlass: use a folder of its own, for example below /srv.",
            real.display()
        ));
    }
    match real.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("{} is not UTF-8.", real.display())),
    }
}

fn mount(volume: Volume) -> Mount {
    let source = match (volume.host_folder, volume.size) {
        (Some(folder), _) => MountSource::Host(folder.into()),
        (None, size) => MountSource::Volume(VolumeSource {
            volume: volume.id,
            size_bytes: size.unwrap_or_default(),
            snapshot: None,
        }),
    };
    Mount { source, target: volume.mount_path, writable: true, id_mapped: true }
}

impl Platform {
    /// Returns what an instance of the process type has mounted.
    pub(crate) fn volume_mounts(&self, app: AppId, process: &ProcessType) -> Vec<Mount> {
        let volumes = self.store().volumes(app).unwrap_or_else(|error| {
            tracing::error!(%app, %error, "the volumes of an app cannot be read");
            Vec::new()
        });
        volumes.into_iter().filter(|v| v.is_mounted_in(process)).map(mount).collect()
    }

    /// Returns whether two releases or generations of the process type must never run at the same
    /// time, since it has a volume that was not made for several writers.
    pub fn needs_single_writer(&self, app: &App, process: &ProcessType) -> Result<bool> {
        let volumes = self.store().volumes(app.id)?;
        Ok(volumes.iter().any(|volume| !volume.shared && volume.is_mounted_in(process)))
    }

    /// Returns those of `processes` for which [`Platform::needs_single_writer`] is true.
    pub(crate) fn single_writers<'a>(
        &self,
        app: AppId,
        processes: impl Iterator<Item = &'a ProcessType>,
    ) -> Result<BTreeSet<ProcessType>> {
        let volumes = self.store().volumes(app)?;
        let needs = |process: &&ProcessType| {
            volumes.iter().any(|volume| !volume.shared && volume.is_mounted_in(process))
        };
        Ok(processes.filter(needs).cloned().collect())
    }

    /// Refuses a scale that gives several writers to a volume made for one.
    pub(crate) fn check_single_writer(
        &self,
        app: &App,
        process: &ProcessType,
        quantity: u32,
    ) -> Result<()> {
        if quantity > 1 && self.needs_single_writer(app, process)? {
            return Err(PlatformError::Invalid(format!(
                "Cannot scale {process} to {quantity}: it has a volume that only one instance may \
                 write to. Create the volume with --shared if the app can share it."
            )));
        }
        Ok(())
    }

    /// Refuses a mounted volume that would hide another, or have several writers against its will.
    pub(super) fn check_mount(&self, app: &App, volume: &Volume) -> Result<()> {
        let path = |volume: &Volume| volume.mount_path.parse::<MountPath>().ok();
        for other in self.store().volumes(app.id)?.iter().filter(|v| v.mounted && v.id != volume.id)
        {
            let together = volume.processes.is_empty()
                || other.processes.is_empty()
                || other.processes.iter().any(|process| volume.processes.contains(process));
            if together && path(volume).zip(path(other)).is_some_and(|(a, b)| a.overlaps(&b)) {
                return Err(PlatformError::Invalid(format!(
                    "{} is in the way of the volume {}, which is mounted at {}.",
                    volume.mount_path, other.name, other.mount_path
                )));
            }
        }
        for entry in self.store().formation(app.id)? {
            if !volume.shared && volume.is_mounted_in(&entry.process) && entry.quantity > 1 {
                return Err(PlatformError::Invalid(format!(
                    "{} runs {} instances, but only one may write to a volume: scale it to 1, or \
                     pass --shared if the app can share it.",
                    entry.process, entry.quantity
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn host_folders_are_neither_the_systems_nor_ours() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir_all(data.join("volumes")).unwrap();
        std::fs::create_dir_all(directory.path().join("files")).unwrap();
        symlink("/etc", directory.path().join("link")).unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let allowed = |path: &Path| host_folder(path, &[&data]);
        assert!(allowed(&directory.path().join("files")).is_ok());
        assert!(allowed(&directory.path().join("data/../files")).unwrap().ends_with("/files"));
        for bad in ["data", "data/volumes", "", "link", "file", "missing"] {
            let refused = allowed(&directory.path().join(bad));
            assert!(refused.is_err(), "{bad}: {refused:?}");
        }
        for bad in ["/", "/etc", "/var", "/usr/share", "/var/lib", "relative"] {
            assert!(allowed(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
