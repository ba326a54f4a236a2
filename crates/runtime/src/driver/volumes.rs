//! Volumes of this machine; see [`crate::volume`].

use super::{EmbeddedDriver, remove_directory};
use crate::volume::{self, LoopDevice, VolumeFiles, copy};
use async_trait::async_trait;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use windlass_core::driver::DriverError;
use windlass_core::ids::{SnapshotId, VolumeId};
use windlass_core::volume::{Size, VolumeUsage, Volumes};

/// How long a copy may take, most of it for volumes that nobody uses.
const COPY_LIMIT: Duration = Duration::from_secs(30 * 60);

/// How long the mounts of stopped instances may take to disappear.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(15);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Bytes of the disk that no volume is promised.
const RESERVE: u64 = 256 << 20;

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> DriverError {
    let what = what.into();
    move |error| DriverError::Other(format!("{what}: {error}"))
}

/// Runs blocking work on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(DriverError::Other(error.to_string())))
}

/// Makes a sparse file.
fn make_file(path: &Path, size_bytes: u64) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.set_len(size_bytes)
}

/// Returns what the disk has free, less what its volumes may still grow by.
fn unpromised(volumes: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(volumes)?;
    let free = disk.blocks_available() * disk.fragment_size();
    let mut promised = RESERVE;
    for entry in fs::read_dir(volumes)?.flatten() {
        let image = entry.path().join("image");
        if let Ok(metadata) = fs::metadata(&image) {
            promised += metadata.len().saturating_sub(volume::bytes_on_disk(&image)?);
        }
    }
    Ok(free.saturating_sub(promised))
}

/// Refuses what the disk could not hold once it is full: then writes would fail inside volumes.
fn check_room(volumes: &Path, wanted: u64) -> Result<(), DriverError> {
    let room = unpromised(volumes).map_err(failed("the free space cannot be read"))?;
    if wanted <= room {
        return Ok(());
    }
    Err(DriverError::NoRoom(format!(
        "{} are wanted, but the disk has only {} that are neither in use nor promised to volumes",
        Size(wanted),
        Size(room)
    )))
}

impl EmbeddedDriver {
    fn volume(&self, id: VolumeId) -> VolumeFiles {
        VolumeFiles::new(&self.config.volumes_directory, id)
    }

    /// Copies the volume as it is now by a process of its own, which holds the lock with us.
    async fn copy_as_it_is(&self, files: &VolumeFiles, to: &Path) -> Result<(), DriverError> {
        let (lock, image) = locked(files).await?;
        let inherited = lock.try_clone().map_err(failed("the volume's lock"))?;
        let mut command = self.program.command(copy::COPY);
        command.arg(&image).arg(to).stdin(Stdio::from(inherited)).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        let child = command.spawn().map_err(failed("the copy could not be started"))?;
        let ended = tokio::time::timeout(COPY_LIMIT, child.wait_with_output()).await;
        let failure = match &ended {
            Ok(Ok(output)) if output.status.success() => None,
            Ok(Ok(output)) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Ok(Err(error)) => Some(error.to_string()),
            // It goes on and holds the lock; it lets the writers go by itself.
            Err(_) => Some(format!("it takes longer than {} minutes", COPY_LIMIT.as_secs() / 60)),
        };
        let Some(failure) = failure else { return Ok(()) };
        tracing::error!(image = %image.display(), failure, "a volume could not be copied");
        let thaw = blocking(move || {
            let thawed = volume::thaw_image(&image).map_err(failed("the volume stays frozen"));
            drop(lock);
            thawed
        });
        thaw.await?;
        Err(DriverError::Other(format!("the volume could not be copied: {failure}")))
    }

    /// Removes what an earlier server has not finished, and lets writes go on that it held back.
    pub(super) fn recover_volumes(&self) {
        let entries = fs::read_dir(&self.config.volumes_directory).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("new" | "gone") => remove_directory(&path),
                _ => recover_volume(&path),
            }
        }
    }

    /// Waits until the kernel has freed the loop devices of the instances that ended.
    pub(super) async fn wait_for_loop_devices(&self) {
        let deadline = tokio::time::Instant::now() + UNMOUNT_LIMIT;
        while volume::any_below(&self.config.volumes_directory)
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Lets go on what was held back, unless a copy is still being made.
fn recover_volume(directory: &Path) {
    let Some(id) = directory.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
        return;
    };
    let files = VolumeFiles::new(directory.parent().unwrap_or(directory), id);
    let recovered = files.try_lock().and_then(|lock| {
        if lock.is_none() {
            return Ok(());
        }
        let entries = fs::read_dir(directory)?.flatten();
        for entry in entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "new")) {
            fs::remove_file(entry.path())?;
        }
        volume::thaw_image(&files.image())
    });
    if let Err(error) = recovered {
        tracing::error!(volume = %directory.display(), %error, "a volume could not be recovered");
    }
}

/// Takes the lock of a volume; returns it with the path of the image.
async fn locked(files: &VolumeFiles) -> Result<(File, PathBuf), DriverError> {
    let (files, image) = (files.clone(), files.image());
    blocking(move || {
        if !image.exists() {
            return Err(DriverError::Other(format!("{} is not there", image.display())));
        }
        let lock = files.lock().map_err(failed("the volume could not be locked"))?;
        Ok((lock, image))
    })
    .await
}

/// Waits until no instance has the image mounted.
async fn wait_until_free(image: &Path) -> Result<(), DriverError> {
    let deadline = tokio::time::Instant::now() + UNMOUNT_LIMIT;
    loop {
        let found = LoopDevice::find(image).map_err(failed("the loop devices cannot be read"))?;
        if found.is_none() {
            return Ok(());
        }
        drop(found);
        if tokio::time::Instant::now() > deadline {
            return Err(DriverError::InUse(
                "the volume is still mounted by an instance that has not ended".to_owned(),
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[async_trait]
impl Volumes for EmbeddedDriver {
    async fn create(&self, volume: VolumeId, size_bytes: u64) -> Result<(), DriverError> {
        let directory = &self.config.volumes_directory;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed("the directory of volumes could not be made"))?;
        check_room(directory, size_bytes)?;
        let files = self.volume(volume);
        let new = files.directory().with_extension("new");
        let image = new.join("image");
        let make = || {
            fs::DirBuilder::new().mode(0o700).create(&new)?;
            make_file(&image, size_bytes)
        };
        make().map_err(failed("the volume's image could not be made"))?;
        let formatted = self.format(&image).await;
        let made = formatted.and_then(|()| {
            fs::rename(&new, files.directory()).map_err(failed("the volume could not be kept"))
        });
        if made.is_err() {
            remove_directory(&new);
        }
        made
    }

    async fn grow(&self, volume: VolumeId, size_bytes: u64) -> Result<(), DriverError> {
        let (lock, image) = locked(&self.volume(volume)).await?;
        let (volumes, path) = (self.config.volumes_directory.clone(), image.clone());
        let is_done = blocking(move || {
            let unreadable = "the volume's image cannot be read";
            let before = fs::metadata(&path).map_err(failed(unreadable))?.len();
            if size_bytes < before {
                return Err(DriverError::Other("a volume cannot be made smaller".to_owned()));
            }
            check_room(&volumes, size_bytes - before)?;
            let file = File::options().write(true).open(&path).map_err(failed(unreadable))?;
            file.set_len(size_bytes).map_err(failed("the image could not be made larger"))?;
            let device = LoopDevice::find(&path).map_err(failed(unreadable))?;
            let Some(device) = device else { return Ok(false) };
            match volume::grow_mounted(&path, &device) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    Err(DriverError::InUse(
                        "this machine's kernel lets nobody grow a mounted volume".to_owned(),
                    ))
                }
                Err(error) => Err(failed("the file system could not be made larger")(error)),
            }
        });
        if !is_done.await? {
            self.fill_image(&image).await?;
        }
        drop(lock);
        Ok(())
    }

    async fn usage(&self, volume: VolumeId) -> Result<VolumeUsage, DriverError> {
        let files = self.volume(volume);
        let image = files.image();
        blocking(move || {
            let measure = || {
                // While a copy is made its lock is held: the disk's own figure is near enough.
                let lock = files.try_lock()?;
                let device = if lock.is_some() { LoopDevice::find(&image)? } else { None };
                let Some(device) = device else {
                    let mounted = lock.is_none();
                    return Ok(VolumeUsage { used_bytes: volume::bytes_on_disk(&image)?, mounted });
                };
                let mount = volume::mount_loop_device(&device)?;
                let usage = nix::sys::statvfs::statvfs(&volume::inside(&mount))?;
                let blocks = usage.blocks() - usage.blocks_free();
                Ok(VolumeUsage { used_bytes: blocks * usage.fragment_size(), mounted: true })
            };
            measure().map_err(failed("the volume cannot be measured"))
        })
        .await
    }

    async fn destroy(&self, volume: VolumeId) -> Result<(), DriverError> {
        let directory = self.volume(volume).directory().to_owned();
        blocking(move || {
            let gone = directory.with_extension("gone");
            match fs::rename(&directory, &gone) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // An instance that still has it mounted keeps the file until it ends.
                other => other.map_err(failed("the volume could not be removed"))?,
            }
            remove_directory(&gone);
            Ok(())
        })
        .await
    }

    async fn snapshot(&self, volume: VolumeId, snapshot: SnapshotId) -> Result<u64, DriverError> {
        let files = self.volume(volume);
        let measured = "the volume's image cannot be read";
        let wanted = volume::bytes_on_disk(&files.image()).map_err(failed(measured))?;
        check_room(&self.config.volumes_directory, wanted)?;
        let to = files.snapshot(snapshot);
        self.copy_as_it_is(&files, &to).await?;
        volume::bytes_on_disk(&to).map_err(failed(measured))
    }

    async fn empty_snapshot(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
        size_bytes: u64,
    ) -> Result<(), DriverError> {
        check_room(&self.config.volumes_directory, size_bytes)?;
        let image = self.volume(volume).snapshot(snapshot);
        make_file(&image, size_bytes).map_err(failed("the image could not be made"))?;
        self.format(&image).await
    }

    async fn restore(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
        size_bytes: u64,
    ) -> Result<(), DriverError> {
        let files = self.volume(volume);
        let (lock, image) = locked(&files).await?;
        let from = files.snapshot(snapshot);
        wait_until_free(&image).await?;
        wait_until_free(&from).await?;
        let path = image.clone();
        let is_smaller = blocking(move || {
            let swap = || {
                copy::copy_image(&from, &path, None)?;
                let file = File::options().write(true).open(&path)?;
                let is_smaller = file.metadata()?.len() < size_bytes;
                if is_smaller {
                    file.set_len(size_bytes)?;
                }
                Ok(is_smaller)
            };
            swap().map_err(failed("the snapshot could not be copied"))
        });
        if is_smaller.await? {
            self.fill_image(&image).await?;
        }
        drop(lock);
        Ok(())
    }

    async fn retain_snapshots(
        &self,
        volume: VolumeId,
        known: &[SnapshotId],
    ) -> Result<(), DriverError> {
        let files = self.volume(volume);
        let known: Vec<PathBuf> = known.iter().map(|id| files.snapshot(*id)).collect();
        let entries = fs::read_dir(files.directory()).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let is_snapshot = path.extension().is_some_and(|extension| extension == "snapshot");
            if is_snapshot && !known.contains(&path) {
                fs::remove_file(&path).map_err(failed("a snapshot could not be removed"))?;
            }
        }
        Ok(())
    }

    async fn remove_snapshot(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
    ) -> Result<(), DriverError> {
        match fs::remove_file(self.volume(volume).snapshot(snapshot)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("the snapshot could not be removed")(error))
            }
            _ => Ok(()),
        }
    }
}
