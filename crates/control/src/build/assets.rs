//! The builder script and the first-party buildpacks, embedded, and their copy on disk.

use crate::platform::make_directory;
use crate::{PlatformError, Result};
use ring::digest::{Context, SHA256};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub(super) struct Asset {
    path: &'static str,
    mode: u32,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Names the contents, so that builds that still use an older server's copy are left alone.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut context = Context::new(&SHA256);
    for asset in ASSETS {
        context.update(asset.path.as_bytes());
        context.update(&asset.mode.to_le_bytes());
        context.update(asset.bytes);
    }
    context.finish().as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
});

/// Returns the directory that builds see as `/windlass`.
pub(super) fn directory(data_directory: &Path) -> PathBuf {
    data_directory.join("buildpacks").join(&*VERSION)
}

/// Returns what changes whenever one of the files does.
pub(super) fn version() -> &'static str {
    &VERSION
}

/// Returns the names of the first-party buildpacks.
pub(super) fn buildpack_names() -> Vec<String> {
    let names = ASSETS.iter().filter_map(|asset| {
        let (name, file) = asset.path.strip_prefix("buildpacks/")?.split_once('/')?;
        (file == "bin/detect").then(|| name.to_owned())
    });
    names.collect()
}

/// Writes the embedded files to the data directory, unless this version of them is there.
pub(crate) fn unpack_buildpacks(data_directory: &Path) -> Result<()> {
    let target = directory(data_directory);
    if target.exists() {
        return Ok(());
    }
    let parent = data_directory.join("buildpacks");
    let _ = std::fs::remove_dir_all(&parent);
    let staging = parent.join("unpacking");
    // Where the results directory of a build is mounted.
    make_directory(&staging.join("out"))?;
    for asset in ASSETS {
        write(&staging.join(asset.path), asset).map_err(|source| {
            PlatformError::internal("the buildpacks could not be unpacked", source)
        })?;
    }
    std::fs::rename(&staging, &target)
        .map_err(|source| PlatformError::internal("the buildpacks could not be unpacked", source))
}

fn write(path: &Path, asset: &Asset) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, asset.bytes)?;
    // World-readable: the build runs as another user.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(asset.mode | 0o444))
}
