//! Reads files of an image without mounting it. Links in it lead nowhere but into it.

use crate::{OciError, ResolvedImage};
use rustix::fs::{major, minor};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// How many links a path may lead through, as in the kernel.
const LINKS: usize = 40;

impl ResolvedImage {
    /// Says whether there is a plain file at `path`.
    pub fn has_file(&self, path: &Path) -> Result<bool, OciError> {
        Ok(self.find(path)?.is_some())
    }

    /// Returns the start of the file at `path`, at most `limit` bytes, or `None` if there is no
    /// plain file there.
    pub fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, OciError> {
        let Some(place) = self.find(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        std::fs::File::open(&place)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(OciError::io("cannot read", &place))?;
        Ok(Some(bytes))
    }

    /// Returns where the plain file that a container would find at `path` is on this machine.
    fn find(&self, path: &Path) -> Result<Option<PathBuf>, OciError> {
        let mut pending: VecDeque<OsString> = parts(path).collect();
        let mut place: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            if part == ".." {
                place.pop();
                continue;
            }
            place.push(part);
            let Some((real, metadata)) = self.visible(&place)? else { return Ok(None) };
            if metadata.is_symlink() {
                links += 1;
                if links > LINKS {
                    return Ok(None);
                }
                let target =
                    std::fs::read_link(&real).map_err(OciError::io("cannot read", &real))?;
                place.pop();
                if target.is_absolute() {
                    place.clear();
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    pending.push_front(part);
                }
            } else if pending.is_empty() {
                return Ok(metadata.is_file().then_some(real));
            }
        }
        Ok(None)
    }

    /// Returns what the layers together have at a path without links, as overlayfs would show it.
    fn visible(&self, place: &[OsString]) -> Result<Option<(PathBuf, Metadata)>, OciError> {
        for layer in &self.layer_directories {
            let mut path = layer.clone();
            let mut hides_lower = false;
            for (number, part) in (1..).zip(place) {
                path.push(part);
                let metadata = match path.symlink_metadata() {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(error) => return Err(OciError::io("cannot read", &path)(error)),
                };
                let kind = metadata.file_type();
                if kind.is_char_device()
                    && (major(metadata.rdev()), minor(metadata.rdev())) == (0, 0)
                {
                    return Ok(None);
                }
                if number == place.len() {
                    return Ok(Some((path, metadata)));
                }
                if !kind.is_dir() {
                    return Ok(None);
                }
                hides_lower |= crate::layer::is_opaque(&path)?;
            }
            if hides_lower {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}
