//! Volumes: named storage of an app that outlives its instances, and the port through which the
//! control plane looks after them.

use crate::driver::DriverError;
use crate::ids::{SnapshotId, VolumeId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The smallest volume, in bytes: below it a file system is mostly journal.
pub const SMALLEST: u64 = 16 << 20;

/// The largest volume, in bytes.
pub const LARGEST: u64 = 16 << 40;

/// A volume in an instance's mounts. The driver knows where its content is: on this machine it is
/// an image file, on another kind of machine it may be a claim of storage.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeSource {
    pub volume: VolumeId,
    /// The size that it was made or grown to, in bytes.
    pub size_bytes: u64,
    /// A snapshot of the volume in place of what it is now.
    #[serde(default)]
    pub snapshot: Option<SnapshotId>,
}

/// How full a volume is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Bytes that files take up while it is mounted, else the bytes that it takes up on the disk.
    pub used_bytes: u64,
    /// Whether an instance has it mounted.
    pub mounted: bool,
}

/// Makes, measures and copies volumes. Every method may be repeated after it failed.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Makes an empty volume that user 1000 inside can write to.
    async fn create(&self, volume: VolumeId, size_bytes: u64) -> Result<(), DriverError>;

    /// Makes a volume larger. A smaller size is an error; [`DriverError::InUse`] where it may not
    /// be mounted meanwhile.
    async fn grow(&self, volume: VolumeId, size_bytes: u64) -> Result<(), DriverError>;

    async fn usage(&self, volume: VolumeId) -> Result<VolumeUsage, DriverError>;

    /// Removes a volume with its snapshots. Unknown is no error.
    async fn destroy(&self, volume: VolumeId) -> Result<(), DriverError>;

    /// Copies a volume as it is at one moment; writers wait meanwhile. Returns the bytes that the
    /// copy takes up on the disk.
    async fn snapshot(&self, volume: VolumeId, snapshot: SnapshotId) -> Result<u64, DriverError>;

    /// Makes an empty snapshot of the volume's size, to be filled through a mount.
    async fn empty_snapshot(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
        size_bytes: u64,
    ) -> Result<(), DriverError>;

    /// Puts a snapshot's content in place of the volume's, as a whole or not at all.
    /// [`DriverError::InUse`] if the volume stays mounted for 15 seconds. The volume is never smaller afterwards than
    /// `size_bytes`.
    async fn restore(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
        size_bytes: u64,
    ) -> Result<(), DriverError>;

    /// Removes the snapshots that are not among `known`: left-overs of a server that died.
    async fn retain_snapshots(
        &self,
        volume: VolumeId,
        known: &[SnapshotId],
    ) -> Result<(), DriverError>;

    /// Removes a snapshot. Unknown is no error.
    async fn remove_snapshot(
        &self,
        volume: VolumeId,
        snapshot: SnapshotId,
    ) -> Result<(), DriverError>;
}

/// Text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: give a number with its unit, for example 500M, 1G or 2T")]
pub struct InvalidSize(String);

/// A number of bytes, written as people do: `500M`, `1G`, `1GiB`; units are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = InvalidSize;
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.chars().take(40).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let shift = match unit.to_ascii_lowercase().as_str() {
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(invalid()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
        match units.into_iter().find(|(shift, _)| self.0 >> shift > 0) {
            Some((shift, unit)) if self.0.is_multiple_of(1 << shift) => {
                write!(f, "{}{unit}", self.0 >> shift)
            }
            Some((shift, unit)) => {
                write!(f, "{:.1}{unit}", self.0 as f64 / (1u64 << shift) as f64)
            }
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A place in an instance's file system cannot take a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMountPath {
    #[error("{0:?} is not a mount path: give an absolute path without `..`, for example /data")]
    Form(String),
    #[error(
        "{0} belongs to the system or the app's code: mount the volume elsewhere, for example at /data"
    )]
    Taken(String),
}

/// Directories that a volume would hide what an instance needs of.
const TAKEN: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run",
    "/sbin", "/sys", "/usr", "/root",
];

/// As [`TAKEN`], but directories below them are free.
const TAKEN_ALONE: [&str; 6] = ["/app", "/home", "/opt", "/tmp", "/var", "/var/lib"];

/// Where a volume is mounted: an absolute path, without the system's places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPath(String);

impl MountPath {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one of the two would hide the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let within = |path: &str, directory: &str| {
            path.strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        within(&self.0, &other.0) || within(&other.0, &self.0)
    }
}

impl FromStr for MountPath {
    type Err = InvalidMountPath;
    fn from_str(text: &str) -> Result<Self, InvalidMountPath> {
        let form = || InvalidMountPath::Form(text.chars().take(80).collect());
        let rest = text.trim_end_matches('/').strip_prefix('/').ok_or_else(form)?;
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control())
        };
        if rest.len() > 250 || !rest.split('/').all(plain) {
            return Err(form());
        }
        let path = Self(format!("/{rest}"));
        let below = |taken: &&str| path.0 == **taken || path.0.starts_with(&format!("{taken}/"));
        if TAKEN.iter().any(below) || TAKEN_ALONE.contains(&path.0.as_str()) {
            return Err(InvalidMountPath::Taken(path.0));
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("500M", 500 << 20), ("1g", 1 << 30), ("2TiB", 2u64 << 40)] {
            assert_eq!(text.parse::<Size>().unwrap().0, bytes, "{text}");
        }
        for bad in ["", "1", "G", "-1G", "1.5G", "1X", "99999999999T", "1 G"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
        let shown = [(1 << 30, "1G"), (1536 << 20, "1.5G"), (300 << 20, "300M"), (12, "12B")];
        for (bytes, text) in shown {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn mount_paths_leave_the_system_alone() {
        for good in ["/data", "/data/", "/app/storage", "/var/lib/postgresql", "/home/app"] {
            assert!(good.parse::<MountPath>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "data",
            "/a/../b",
            "/a//b",
            "/./a",
            "/app",
            "/etc/x",
            "/usr",
            "/proc/self",
            "/dev",
            "/a\nb",
            "/tmp",
        ] {
            assert!(bad.parse::<MountPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mount_paths_that_hide_each_other_overlap() {
        let path = |text: &str| text.parse::<MountPath>().unwrap();
        assert!(path("/data").overlaps(&path("/data/x")));
        assert!(path("/data/x").overlaps(&path("/data")));
        assert!(!path("/data").overlaps(&path("/data2")));
    }
}
