//! Puts a backup into an empty data directory.

use super::archive::{self, Found, Manifest};
use super::{BackupError, Result, damaged, io};
use std::fs::{self, File};
use std::io::{self as std_io, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;
use windlass_oci::ImageStore;

/// Bytes that are looked at together for whether they are a hole.
const BLOCK: usize = 4096;

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// The configuration file that was in the backup; it is for the owner to put in place.
    pub configuration: Option<PathBuf>,
}

/// Restores a backup into a data directory that is empty or not there. It appears as a whole or,
/// if anything fails, not at all.
pub fn restore(file: &Path, passphrase: Option<&[u8]>, data: &Path) -> Result<Restored> {
    refuse_if_used(data)?;
    let stage = data.join("restore.new");
    let made =
        fs::create_dir_all(data).and_then(|()| fs::DirBuilder::new().mode(0o711).create(&stage));
    made.map_err(io("cannot make", &stage))?;
    let restored = fill(file, passphrase, data, &stage);
    let _ = fs::remove_dir_all(&stage);
    restored
}

fn refuse_if_used(data: &Path) -> Result<()> {
    match fs::read_dir(data) {
        Err(error) if error.kind() == std_io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("cannot read", data)(error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty(data.to_owned())),
        },
    }
}

fn fill(file: &Path, passphrase: Option<&[u8]>, data: &Path, stage: &Path) -> Result<Restored> {
    let images = ImageStore::open(&stage.join("images"))?;
    let manifest = archive::read(file, passphrase, |found| put(found, stage, &images))?;
    if manifest.schema > windlass_store::known_schema() {
        return Err(BackupError::TooNew(manifest.version));
    }
    move_hooks(stage, data)?;
    let mut names: Vec<_> = fs::read_dir(stage)
        .and_then(Iterator::collect::<std_io::Result<Vec<_>>>)
        .map_err(io("cannot read", stage))?;
    // The database last: what has one is a data directory.
    names.sort_by_key(|entry| entry.file_name() == "windlass.db");
    for entry in names {
        let to = data.join(entry.file_name());
        fs::rename(entry.path(), &to).map_err(io("cannot put in place", &to))?;
    }
    let configuration = Some(data.join("windlass.toml")).filter(|file| file.exists());
    Ok(Restored { manifest, configuration })
}

fn put(found: Found<'_>, stage: &Path, images: &ImageStore) -> Result<()> {
    let digest = |hex: &str| {
        let parsed: std::result::Result<Digest, _> = format!("sha256:{hex}").parse();
        parsed.map_err(|_| BackupError::Damaged(format!("{hex} is no digest")))
    };
    if let Some(hex) = found.path.strip_prefix("images/layers/") {
        return Ok(images.add_layer(&digest(hex)?, found.content)?);
    }
    if found.path.starts_with("images/documents/") {
        let mut bytes = Vec::new();
        found.content.read_to_end(&mut bytes).map_err(damaged)?;
        return Ok(images.add_document(&bytes).map(drop)?);
    }
    let path = stage.join(found.path);
    if found.is_directory {
        let closed = found.path.starts_with("volumes");
        let mode = if closed { 0o700 } else { 0o755 };
        let made = fs::DirBuilder::new().recursive(true).mode(mode).create(&path);
        return made.map_err(io("cannot make", &path));
    }
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(found.mode).open(&path);
    let mut file = file.map_err(io("cannot make", &path))?;
    copy_with_holes(found.content, &mut file, &path)?;
    file.sync_all().map_err(io("cannot write", &path))
}

/// Copies and leaves out what is all zeros: images of volumes are mostly holes.
fn copy_with_holes(from: &mut dyn Read, to: &mut File, path: &Path) -> Result<()> {
    let failed = |error| io("cannot write", path)(error);
    let mut buffer = vec![0; BLOCK * 64];
    let mut length = 0;
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match from.read(&mut buffer[filled..]).map_err(damaged)? {
                0 => break,
                more => filled += more,
            }
        }
        if filled == 0 {
            return to.set_len(length).map_err(failed);
        }
        for block in buffer[..filled].chunks(BLOCK) {
            if block.iter().any(|byte| *byte != 0) {
                to.seek(SeekFrom::Start(length)).map_err(failed)?;
                to.write_all(block).map_err(failed)?;
            }
            length += block.len() as u64;
        }
    }
}

/// Repositories name the directory of their hook, which may be another one now.
fn move_hooks(stage: &Path, data: &Path) -> Result<()> {
    let repositories = stage.join("repositories");
    let entries = fs::read_dir(&repositories).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path().join("config");
        let text = fs::read_to_string(&path).map_err(io("cannot read", &path))?;
        let hooks = serde_json::Value::from(data.join("hooks").display().to_string());
        let lines = text.lines().map(|line| match line.trim_start().starts_with("hooksPath") {
            true => format!("\thooksPath = {hooks}\n"),
            false => format!("{line}\n"),
        });
        fs::write(&path, lines.collect::<String>()).map_err(io("cannot write", &path))?;
    }
    Ok(())
}
