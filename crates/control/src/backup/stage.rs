//! Gathers what a backup holds as it is at one moment, then writes it.

use super::archive::Writer;
use super::{BackupError, Result, io};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self as std_io, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;
use windlass_oci::ImageStore;
use windlass_store::Store;

/// How often the objects of a repository are gathered again because git moved some meanwhile.
const ATTEMPTS: u32 = 5;

/// What to back up.
pub struct Source<'a> {
    pub data_directory: &'a Path,
    /// The configuration file, if there is one.
    pub configuration: Option<&'a Path>,
    /// How many releases of an app keep their image.
    pub releases_kept: u32,
    pub with_images: bool,
    pub with_logs: bool,
    /// Copies the image file of a volume as it is at one moment.
    pub copy_volume: &'a dyn Fn(&Path, &Path) -> std_io::Result<()>,
}

/// What went into a backup.
#[derive(Clone, Debug)]
pub struct Summary {
    pub apps: usize,
    pub volumes: usize,
    pub entries: usize,
    /// Uncompressed.
    pub bytes: u64,
}

/// The directory in which a backup is gathered; it goes with this.
struct Staging {
    path: PathBuf,
    _lock: File,
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Writes a backup to `out`. A server may run on the data directory meanwhile.
///
/// # Errors
/// When another backup is being made, or something cannot be read or written.
pub fn create(source: &Source<'_>, passphrase: Option<&[u8]>, out: impl Write) -> Result<Summary> {
    let staging = stage_directory(source.data_directory)?;
    let (data, stage) = (source.data_directory, staging.path.as_path());
    link_repositories(data, stage)?;
    windlass_store::copy_database(data, &stage.join("windlass.db"))?;
    // Those that were made between the two.
    link_repositories(data, stage)?;
    for name in ["secret.key", "ssh_host_ed25519_key", "instances/userns.json"] {
        copy_if_there(&data.join(name), &stage.join(name))?;
    }
    if let Some(file) = source.configuration {
        copy_if_there(file, &stage.join("windlass.toml"))?;
    }
    let store = Store::open(stage)?;
    let images = match source.with_images {
        true => store.images_in_use(source.releases_kept)?,
        false => BTreeSet::new(),
    };
    let (apps, volumes) = (store.apps()?.len(), store.volume_ids()?);
    drop(store);
    for volume in &volumes {
        copy_volume(source, stage, &volume.to_string())?;
    }
    let failed = |error| io("cannot write", Path::new("the backup"))(error);
    let mut writer = Writer::new(out, passphrase).map_err(failed)?;
    put_directory(&mut writer, stage, "")?;
    put_images(&mut writer, &ImageStore::open(&data.join("images"))?, &images)?;
    if source.with_logs && data.join("logs").is_dir() {
        writer.directory("logs").map_err(failed)?;
        put_directory(&mut writer, &data.join("logs"), "logs/")?;
    }
    let schema = windlass_store::known_schema();
    let manifest = writer.finish(schema).map_err(failed)?;
    Ok(Summary {
        apps,
        volumes: volumes.len(),
        entries: manifest.entries.len(),
        bytes: manifest.entries.iter().map(|entry| entry.size).sum(),
    })
}

fn stage_directory(data: &Path) -> Result<Staging> {
    if !data.join("windlass.db").exists() {
        return Err(BackupError::NoData(data.to_owned()));
    }
    let path = data.join("backup.lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(io("cannot open", &path))?;
    if lock.try_lock().is_err() {
        return Err(BackupError::Busy(data.to_owned()));
    }
    // On the same file system: objects of git are linked, not copied.
    let path = data.join("backup.new");
    if path.exists() {
        fs::remove_dir_all(&path).map_err(io("cannot remove", &path))?;
    }
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(io("cannot make", &path))?;
    Ok(Staging { path, _lock: lock })
}

fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>> {
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == std_io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.and_then(Iterator::collect::<std_io::Result<Vec<_>>>),
    };
    let mut entries: Vec<_> = listed.map_err(io("cannot read", directory))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// Gathers the repositories that are not gathered yet.
fn link_repositories(data: &Path, stage: &Path) -> Result<()> {
    for entry in entries(&data.join("repositories"))? {
        let to = stage.join("repositories").join(entry.file_name());
        if to.exists() || !entry.path().join("HEAD").exists() {
            continue;
        }
        let from = entry.path();
        // What the refs say now is in the objects that are there later.
        for name in ["HEAD", "config", "packed-refs", "description"] {
            copy_if_there(&from.join(name), &to.join(name))?;
        }
        link_tree(&from.join("refs"), &to.join("refs"), true)?;
        // A ref that was packed meanwhile is in the file by now.
        copy_if_there(&from.join("packed-refs"), &to.join("packed-refs"))?;
        let mut attempt = 1;
        // git writes a new pack before it removes what went into it.
        while !link_tree(&from.join("objects"), &to.join("objects"), false)? {
            attempt += 1;
            if attempt > ATTEMPTS {
                let why = std_io::Error::other("git keeps moving its objects");
                return Err(io("cannot gather", &from)(why));
            }
        }
    }
    Ok(())
}

/// Copies or links all files of a tree that are not there yet; returns whether none vanished.
fn link_tree(from: &Path, to: &Path, copy: bool) -> Result<bool> {
    fs::create_dir_all(to).map_err(io("cannot make", to))?;
    let mut is_whole = true;
    for entry in entries(from)? {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else {
            is_whole = false;
            continue;
        };
        if kind.is_dir() {
            is_whole &= link_tree(&path, &target, copy)?;
        } else if kind.is_file() && !is_temporary(&path) && !target.exists() {
            let done = match copy {
                true => fs::copy(&path, &target).map(drop),
                false => fs::hard_link(&path, &target),
            };
            match done {
                Err(error) if error.kind() == std_io::ErrorKind::NotFound => is_whole = false,
                other => other.map_err(io("cannot gather", &path))?,
            }
        }
    }
    Ok(is_whole)
}

/// What git is still writing.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".lock") || name.starts_with("tmp_") || name.starts_with(".tmp")
}

fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io("cannot make", parent))?;
    }
    match fs::copy(from, to) {
        Err(error) if error.kind() != std_io::ErrorKind::NotFound => {
            Err(io("cannot copy", from)(error))
        }
        _ => Ok(()),
    }
}

fn copy_volume(source: &Source<'_>, stage: &Path, volume: &str) -> Result<()> {
    let from = source.data_directory.join("volumes").join(volume);
    let to = stage.join("volumes").join(volume);
    fs::create_dir_all(&to).map_err(io("cannot make", &to))?;
    let image = from.join("image");
    if !image.exists() {
        return Ok(());
    }
    (source.copy_volume)(&image, &to.join("image"))
        .map_err(io("cannot copy the volume", &image))?;
    for entry in entries(&from)? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "snapshot") {
            // Never changed, only removed.
            let _ = fs::hard_link(&path, to.join(entry.file_name()));
        }
    }
    Ok(())
}

fn put_directory<W: Write>(writer: &mut Writer<W>, directory: &Path, prefix: &str) -> Result<()> {
    for entry in entries(directory)? {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().map_err(io("cannot read", &path))?;
        if metadata.is_dir() {
            writer.directory(&name).map_err(io("cannot write", &path))?;
            put_directory(writer, &path, &format!("{name}/"))?;
        } else if metadata.is_file() {
            // A log may grow meanwhile.
            let size = metadata.len();
            let mut file = File::open(&path).map_err(io("cannot read", &path))?.take(size);
            let mode = metadata.permissions().mode() & 0o777;
            writer
                .file(&name, size, mode, |out| std_io::copy(&mut file, out).map(drop))
                .map_err(io("cannot back up", &path))?;
        }
    }
    Ok(())
}

fn put_images<W: Write>(
    writer: &mut Writer<W>,
    store: &ImageStore,
    images: &BTreeSet<Digest>,
) -> Result<()> {
    let (mut documents, mut layers) = (BTreeSet::new(), BTreeSet::new());
    for image in images {
        let (of_image, its_layers) = store.parts_of(image)?;
        for (digest, bytes) in of_image {
            if documents.insert(digest.hex().to_owned()) {
                let name = format!("images/documents/{}", digest.hex());
                let put =
                    writer.file(&name, bytes.len() as u64, 0o644, |out| out.write_all(&bytes));
                put.map_err(io("cannot back up", Path::new(&name)))?;
            }
        }
        for layer in its_layers {
            if layers.insert(layer.diff_id.hex().to_owned()) {
                let name = format!("images/layers/{}", layer.diff_id.hex());
                let put = writer.file(&name, layer.size, 0o644, |out| {
                    store.write_layer_tar(&layer.diff_id, out).map_err(std_io::Error::other)
                });
                put.map_err(io("cannot back up", Path::new(&name)))?;
            }
        }
    }
    Ok(())
}
