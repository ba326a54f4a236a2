//! Volumes: what people ask of them. The driver makes and copies them.

mod archive;
mod mounts;
mod restore;

use crate::platform::now_ms;
use crate::records::{App, User, Volume, VolumeSnapshot};
use crate::run::Selection;
use crate::{Platform, PlatformError, Result};
use std::path::Path;
use windlass_core::driver::DriverError;
use windlass_core::ids::{SnapshotId, VolumeId};
use windlass_core::names::{ProcessType, VolumeName};
use windlass_core::volume::{LARGEST, MountPath, SMALLEST, Size, VolumeUsage, Volumes};

/// The most volumes an app may have.
const VOLUMES_PER_APP: usize = 20;

/// The most snapshots a volume may have.
const SNAPSHOTS_PER_VOLUME: usize = 50;

/// A volume that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct NewVolume {
    pub name: String,
    /// `1G`; the default is 1 GiB. Not for host folders.
    pub size: Option<String>,
    pub mount_path: String,
    pub processes: Vec<String>,
    pub shared: bool,
    pub host_folder: Option<String>,
}

/// What changes when a volume gets another app.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    pub name: Option<String>,
    pub mount_path: Option<String>,
}

/// A volume and how full it is.
#[derive(Clone, Debug)]
pub struct VolumeView {
    pub volume: Volume,
    /// `None` for host folders, and where it could not be measured.
    pub usage: Option<VolumeUsage>,
}

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(PlatformError::Invalid(message.into()))
}

/// Says what a driver refuses in the person's words.
fn refusal(error: DriverError) -> PlatformError {
    match error {
        DriverError::NoRoom(_) | DriverError::InUse(_) => PlatformError::Invalid(error.to_string()),
        other => PlatformError::from(other),
    }
}

fn parse_size(text: &str) -> Result<u64> {
    let Size(bytes) = text.parse().map_err(|error: windlass_core::volume::InvalidSize| {
        PlatformError::Invalid(error.to_string())
    })?;
    if !(SMALLEST..=LARGEST).contains(&bytes) {
        return invalid(format!(
            "A volume has from {} to {}, not {}.",
            Size(SMALLEST),
            Size(LARGEST),
            Size(bytes)
        ));
    }
    Ok(bytes)
}

fn parse_mount_path(text: &str) -> Result<MountPath> {
    text.parse().map_err(|error: windlass_core::volume::InvalidMountPath| {
        PlatformError::Invalid(error.to_string())
    })
}

impl Platform {
    fn volume_port(&self) -> Result<&dyn Volumes> {
        self.driver().volumes().ok_or_else(|| {
            PlatformError::Invalid("This server's driver has no volumes.".to_owned())
        })
    }

    /// Returns the volumes of an app with their usage, by name.
    pub async fn volumes(&self, app: &App) -> Result<Vec<VolumeView>> {
        self.measured(self.store().volumes(app.id)?).await
    }

    /// Returns every volume of a user, also those whose app was destroyed.
    pub async fn all_volumes(&self, user: &User) -> Result<Vec<VolumeView>> {
        self.measured(self.store().volumes_of(user.id)?).await
    }

    async fn measured(&self, volumes: Vec<Volume>) -> Result<Vec<VolumeView>> {
        let mut views = Vec::new();
        for volume in volumes {
            views.push(self.volume_view(volume).await);
        }
        Ok(views)
    }

    /// Returns a volume with its usage.
    pub async fn volume_view(&self, volume: Volume) -> VolumeView {
        let usage = match (volume.size, self.driver().volumes()) {
            (Some(_), Some(port)) => match port.usage(volume.id).await {
                Ok(usage) => Some(usage),
                Err(error) => {
                    tracing::warn!(volume = %volume.id, %error, "a volume cannot be measured");
                    None
                }
            },
            _ => None,
        };
        VolumeView { volume, usage }
    }

    /// Returns a volume of an app by name or id.
    pub fn volume(&self, app: &App, name_or_id: &str) -> Result<Volume> {
        let volumes = self.store().volumes(app.id)?;
        volumes
            .into_iter()
            .find(|v| v.name.as_str() == name_or_id || v.id.to_string() == name_or_id)
            .ok_or(PlatformError::NotFound { resource: "volume" })
    }

    /// Returns a user's volume by id, also one whose app was destroyed.
    pub fn volume_by_id(&self, user: &User, id: &str) -> Result<Volume> {
        let missing = PlatformError::NotFound { resource: "volume" };
        let Ok(id) = id.parse::<VolumeId>() else { return Err(missing) };
        self.store().volume(id)?.filter(|volume| volume.owner == user.id).ok_or(missing)
    }

    /// Makes a volume and mounts it: the app's instances are replaced.
    pub async fn create_volume(&self, user: &User, app: &App, new: NewVolume) -> Result<Volume> {
        let _turn = self.release_turn(app).await;
        let name: VolumeName = new.name.parse()?;
        let existing = self.store().volumes(app.id)?;
        if existing.iter().any(|volume| volume.name == name) {
            return invalid(format!("{} has a volume {name} already.", app.name));
        }
        if existing.len() >= VOLUMES_PER_APP {
            return invalid(format!("An app can have at most {VOLUMES_PER_APP} volumes."));
        }
        let processes: std::result::Result<Vec<ProcessType>, _> =
            new.processes.iter().map(|process| process.parse()).collect();
        let host_folder = match &new.host_folder {
            Some(folder) => Some(self.check_host_folder(user, folder)?),
            None => None,
        };
        let size = match (&host_folder, &new.size) {
            (Some(_), Some(_)) => {
                return invalid("A folder of the host has no size limit: leave the size out.");
            }
            (Some(_), None) => None,
            (None, size) => Some(parse_size(size.as_deref().unwrap_or("1G"))?),
        };
        let now = now_ms();
        let volume = Volume {
            id: VolumeId::random(),
            name,
            owner: app.owner,
            app: Some(app.id),
            app_name: app.name.clone(),
            size,
            host_folder,
            mount_path: parse_mount_path(&new.mount_path)?.as_str().to_owned(),
            processes: processes?,
            shared: new.shared,
            mounted: true,
            created_at: now,
            updated_at: now,
        };
        self.check_mount(app, &volume)?;
        if let Some(size) = size {
            self.volume_port()?.create(volume.id, size).await.map_err(refusal)?;
        }
        if let Err(error) = self.store().save_volume(&volume) {
            if size.is_some() {
                self.volume_port()?.destroy(volume.id).await?;
            }
            return Err(error.into());
        }
        let place = format!("Mount volume {} at {}", volume.name, volume.mount_path);
        self.log_volume_change(app, user, &place);
        self.restart(user, app, Selection::All).await?;
        Ok(volume)
    }

    /// Mounts or unmounts a volume: the app's instances are replaced.
    pub async fn mount_volume(
        &self,
        user: &User,
        app: &App,
        volume: Volume,
        mounted: bool,
    ) -> Result<Volume> {
        let _turn = self.release_turn(app).await;
        if volume.mounted == mounted {
            return Ok(volume);
        }
        let volume = Volume { mounted, updated_at: now_ms(), ..volume };
        if mounted {
            self.check_mount(app, &volume)?;
        }
        self.store().save_volume(&volume)?;
        let verb = if mounted { "Mount" } else { "Unmount" };
        self.log_volume_change(app, user, &format!("{verb} volume {}", volume.name));
        self.restart(user, app, Selection::All).await?;
        Ok(volume)
    }

    /// Makes a volume larger. Where the kernel cannot do that to a mounted one the app's instances
    /// that have it are stopped meanwhile.
    pub async fn resize_volume(&self, app: &App, volume: Volume, size: &str) -> Result<Volume> {
        let _turn = self.release_turn(app).await;
        let Some(before) = volume.size else {
            return invalid("A folder of the host has no size limit.");
        };
        let size = parse_size(size)?;
        if size < before {
            return invalid(format!(
                "{} has {} and cannot be made smaller: create a smaller volume and copy what is in it.",
                volume.name,
                Size(before)
            ));
        }
        let port = self.volume_port()?;
        match port.grow(volume.id, size).await {
            Err(DriverError::InUse(_)) => {
                let _held = self.hold_writers(app, &volume).await?;
                port.grow(volume.id, size).await.map_err(refusal)?;
            }
            other => other.map_err(refusal)?,
        }
        let volume = Volume { size: Some(size), updated_at: now_ms(), ..volume };
        self.store().save_volume(&volume)?;
        Ok(volume)
    }

    /// Deletes a volume with its snapshots; the instances that have it are replaced first.
    pub async fn destroy_volume(&self, user: &User, volume: Volume) -> Result<()> {
        let app = volume.app.map(|app| self.store().app(app)).transpose()?.flatten();
        let volume = match app {
            Some(app) => self.mount_volume(user, &app, volume, false).await?,
            None => volume,
        };
        if volume.size.is_some() {
            self.volume_port()?.destroy(volume.id).await?;
        }
        tracing::info!(volume = %volume.id, name = %volume.name, user = user.email, "destroyed a volume");
        Ok(self.store().delete_volume(volume.id)?)
    }

    /// Deletes all volumes of an app that is being destroyed.
    pub(crate) async fn destroy_volumes(&self, app: &App) -> Result<()> {
        for volume in self.store().volumes(app.id)? {
            if volume.size.is_some() {
                self.volume_port()?.destroy(volume.id).await?;
            }
            self.store().delete_volume(volume.id)?;
        }
        Ok(())
    }

    /// Gives a volume whose app was destroyed to another app.
    pub async fn attach_volume(
        &self,
        user: &User,
        app: &App,
        volume: Volume,
        changes: Attachment,
    ) -> Result<Volume> {
        let _turn = self.release_turn(app).await;
        if volume.app.is_some() {
            return invalid(format!("{} belongs to {} still.", volume.name, volume.app_name));
        }
        let mount_path = match &changes.mount_path {
            Some(path) => parse_mount_path(path)?.as_str().to_owned(),
            None => volume.mount_path.clone(),
        };
        let name = match &changes.name {
            Some(name) => name.parse()?,
            None => volume.name.clone(),
        };
        if self.store().volumes(app.id)?.iter().any(|volume| volume.name == name) {
            return invalid(format!(
                "{} has a volume {name} already: give this one another name.",
                app.name
            ));
        }
        let (app_id, app_name) = (Some(app.id), app.name.clone());
        let updated_at = now_ms();
        let volume =
            Volume { name, app: app_id, app_name, mount_path, mounted: true, updated_at, ..volume };
        self.check_mount(app, &volume)?;
        self.store().save_volume(&volume)?;
        self.log_volume_change(app, user, &format!("Attach volume {}", volume.name));
        self.restart(user, app, Selection::All).await?;
        Ok(volume)
    }

    fn log_volume_change(&self, app: &App, user: &User, what: &str) {
        self.logs().append(app.id, "app[api]", &format!("{what} by user {}", user.email));
    }

    /// Copies a volume as it is at this moment; writers wait meanwhile.
    pub async fn snapshot_volume(&self, volume: &Volume) -> Result<VolumeSnapshot> {
        if volume.size.is_none() {
            return invalid("A folder of the host has no snapshots.");
        }
        let existing = self.store().volume_snapshots(volume.id)?;
        if existing.len() >= SNAPSHOTS_PER_VOLUME {
            return invalid(format!(
                "A volume can have at most {SNAPSHOTS_PER_VOLUME} snapshots: destroy some."
            ));
        }
        let id = SnapshotId::random();
        let size = self.volume_port()?.snapshot(volume.id, id).await.map_err(refusal)?;
        let number = existing.last().map_or(1, |last| last.number + 1);
        let snapshot = VolumeSnapshot { id, volume: volume.id, number, size, created_at: now_ms() };
        if let Err(error) = self.store().insert_volume_snapshot(&snapshot) {
            self.volume_port()?.remove_snapshot(volume.id, id).await?;
            return Err(error.into());
        }
        Ok(snapshot)
    }

    pub fn volume_snapshots(&self, volume: &Volume) -> Result<Vec<VolumeSnapshot>> {
        Ok(self.store().volume_snapshots(volume.id)?)
    }

    /// Returns a snapshot by number (`3`, `s3`) or id.
    pub fn volume_snapshot(&self, volume: &Volume, name: &str) -> Result<VolumeSnapshot> {
        let number = name.strip_prefix('s').unwrap_or(name).parse::<u32>().ok();
        let snapshots = self.store().volume_snapshots(volume.id)?;
        snapshots
            .into_iter()
            .find(|snapshot| Some(snapshot.number) == number || snapshot.id.to_string() == name)
            .ok_or(PlatformError::NotFound { resource: "snapshot" })
    }

    pub async fn destroy_snapshot(&self, snapshot: &VolumeSnapshot) -> Result<()> {
        self.volume_port()?.remove_snapshot(snapshot.volume, snapshot.id).await?;
        Ok(self.store().delete_volume_snapshot(snapshot.id)?)
    }

    /// Returns the folder without links, if its owner may give it to an app.
    fn check_host_folder(&self, user: &User, folder: &str) -> Result<String> {
        if !self.is_owner(user)? {
            return Err(PlatformError::Forbidden(
                "Only the owner of this server may mount its folders.".to_owned(),
            ));
        }
        let settings = self.settings();
        mounts::host_folder(Path::new(folder), &[&settings.data_directory, &settings.run_directory])
            .map_err(PlatformError::Invalid)
    }
}
