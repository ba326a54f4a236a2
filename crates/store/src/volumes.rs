//! Volumes and their snapshots.

use crate::{Result, Store, json, parsed, parsed_optional, taken, to_json};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{AppId, SnapshotId, UserId, VolumeId};
use windlass_core::names::{AppName, ProcessType, VolumeName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub id: VolumeId,
    pub name: VolumeName,
    pub owner: UserId,
    /// `None` once the app was destroyed.
    pub app: Option<AppId>,
    /// The name of the app that has it, or had it last.
    pub app_name: AppName,
    /// Bytes; `None` for a folder of the host.
    pub size: Option<u64>,
    pub host_folder: Option<String>,
    pub mount_path: String,
    /// The process types that have it; empty for all.
    pub processes: Vec<ProcessType>,
    /// Whether several instances may have it at the same time.
    pub shared: bool,
    pub mounted: bool,
    pub created_at: u64,
    pub updated_at: u64,
}

impl Volume {
    /// Whether instances of this process type have it.
    #[must_use]
    pub fn is_mounted_in(&self, process: &ProcessType) -> bool {
        self.mounted && (self.processes.is_empty() || self.processes.contains(process))
    }
}

/// A copy of a volume as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSnapshot {
    pub id: SnapshotId,
    pub volume: VolumeId,
    /// Counted from 1 within the volume.
    pub number: u32,
    /// Bytes that it took up when it was made.
    pub size: u64,
    pub created_at: u64,
}

fn volume(row: &Row<'_>) -> rusqlite::Result<Volume> {
    Ok(Volume {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        owner: parsed(row, "owner")?,
        app: parsed_optional(row, "app")?,
        app_name: parsed(row, "app_name")?,
        size: row.get::<_, Option<i64>>("size")?.map(|size| size as u64),
        host_folder: row.get("host_folder")?,
        mount_path: row.get("mount_path")?,
        processes: json(row, "processes")?,
        shared: row.get("shared")?,
        mounted: row.get("mounted")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

fn snapshot(row: &Row<'_>) -> rusqlite::Result<VolumeSnapshot> {
    Ok(VolumeSnapshot {
        id: parsed(row, "id")?,
        volume: parsed(row, "volume")?,
        number: row.get("number")?,
        size: row.get::<_, i64>("size")? as u64,
        created_at: row.get::<_, i64>("created_at")? as u64,
    })
}

impl Store {
    /// Inserts a volume or replaces the one with its id.
    pub fn save_volume(&self, volume: &Volume) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO volumes (id, name, owner, app, app_name, size, host_folder, mount_path, processes, shared, mounted, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, app = ?4, app_name = ?5, size = ?6, mount_path = ?8, processes = ?9, shared = ?10, mounted = ?11, updated_at = ?13",
                params![
                    volume.id.to_string(),
                    volume.name.as_str(),
                    volume.owner.to_string(),
                    volume.app.map(|app| app.to_string()),
                    volume.app_name.as_str(),
                    volume.size.map(|size| size as i64),
                    volume.host_folder,
                    volume.mount_path,
                    to_json(&volume.processes)?,
                    volume.shared,
                    volume.mounted,
                    volume.created_at as i64,
                    volume.updated_at as i64
                ],
            )
            .map_err(taken(&format!("The volume name {}", volume.name)))?;
        Ok(())
    }

    pub fn volume(&self, id: VolumeId) -> Result<Option<Volume>> {
        Ok(self
            .connection()
            .query_row("SELECT * FROM volumes WHERE id = ?1", [id.to_string()], volume)
            .optional()?)
    }

    /// Returns the volumes of an app by name.
    pub fn volumes(&self, app: AppId) -> Result<Vec<Volume>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM volumes WHERE app = ?1 ORDER BY name")?;
        let rows = statement.query_map([app.to_string()], volume)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the ids of all volumes.
    pub fn volume_ids(&self) -> Result<Vec<VolumeId>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT id FROM volumes WHERE size > 0")?;
        let rows = statement.query_map([], |row| parsed(row, "id"))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns every volume of a user, those without an app included.
    pub fn volumes_of(&self, owner: UserId) -> Result<Vec<Volume>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT * FROM volumes WHERE owner = ?1 ORDER BY app_name, name, id")?;
        let rows = statement.query_map([owner.to_string()], volume)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets a volume and its snapshots.
    pub fn delete_volume(&self, id: VolumeId) -> Result<()> {
        self.connection().execute("DELETE FROM volumes WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    pub fn insert_volume_snapshot(&self, snapshot: &VolumeSnapshot) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO volume_snapshots (id, volume, number, size, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    snapshot.id.to_string(),
                    snapshot.volume.to_string(),
                    snapshot.number,
                    snapshot.size as i64,
                    snapshot.created_at as i64
                ],
            )
            .map_err(taken("The snapshot's number"))?;
        Ok(())
    }

    /// Returns the snapshots of a volume, oldest first.
    pub fn volume_snapshots(&self, volume: VolumeId) -> Result<Vec<VolumeSnapshot>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT * FROM volume_snapshots WHERE volume = ?1 ORDER BY number")?;
        let rows = statement.query_map([volume.to_string()], snapshot)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn delete_volume_snapshot(&self, id: SnapshotId) -> Result<()> {
        self.connection()
            .execute("DELETE FROM volume_snapshots WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }
}
