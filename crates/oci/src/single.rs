//! A layer from an archive of files, without an image around it.

use crate::compression::{TELLING, decompressed};
use crate::unpack::{unpack, unreadable};
use crate::{ImageStore, ImportLimits, Layer, OciError};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

impl ImageStore {
    /// Makes a layer of the tar archive at `path`, which may be compressed with gzip or zstd.
    /// `prepare` may look at the unpacked files and change them before they become the layer.
    ///
    /// # Errors
    /// [`OciError::Archive`] with one line for whoever gave the archive.
    pub fn layer_of_archive(
        &self,
        path: &Path,
        limits: &ImportLimits,
        prepare: impl FnOnce(&Path) -> Result<(), OciError>,
    ) -> Result<Layer, OciError> {
        let staging = self.staging_directory()?;
        let fs = staging.join("fs");
        let made = unpack_file(path, &fs, limits).and_then(|()| prepare(&fs));
        if let Err(error) = made {
            self.discard_staging(&staging)?;
            return Err(error);
        }
        self.commit_layer(&staging)
    }
}

fn unpack_file(path: &Path, fs: &Path, limits: &ImportLimits) -> Result<(), OciError> {
    let mut file = File::open(path).map_err(OciError::io("cannot open", path))?;
    let mut start = Vec::new();
    file.by_ref().take(TELLING).read_to_end(&mut start).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    if start.is_empty() {
        return Err(OciError::Archive("The archive is empty.".to_owned()));
    }
    let mut plain = decompressed(&start, BufReader::new(file));
    unpack(&mut plain, fs, limits)?;
    // A damaged stream may show after the archive's end. A few compressed bytes can stand for very
    // many of nothing.
    io::copy(&mut plain.take(limits.bytes), &mut io::sink()).map_err(unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(5);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            tar.append_data(&mut header, name, &b"hello"[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn a_layer_is_made_of_an_archive_with_or_without_gzip() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&folder.path().join("store")).unwrap();
        let limits = ImportLimits { bytes: 1 << 20, entries: 10 };
        let (plain, packed) = (folder.path().join("a.tar"), folder.path().join("a.tgz"));
        std::fs::write(&plain, archive(&["./app/x", "./app/y"])).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive(&["./app/x", "./app/y"])).unwrap();
        std::fs::write(&packed, gzip.finish().unwrap()).unwrap();
        let of = |path: &Path| store.layer_of_archive(path, &limits, |_| Ok(())).unwrap();
        let layer = of(&plain);
        assert_eq!(layer, of(&packed));
        let file = store.layer_directory(&layer.diff_id).join("app/x");
        assert_eq!(std::fs::read(file).unwrap(), b"hello");
    }

    #[test]
    fn what_is_refused_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&folder.path().join("store")).unwrap();
        let limits = ImportLimits { bytes: 8, entries: 10 };
        let path = folder.path().join("a.tar");
        std::fs::write(&path, archive(&["app/x", "app/y"])).unwrap();
        let refused = store.layer_of_archive(&path, &limits, |_| Ok(())).unwrap_err();
        assert!(matches!(refused, OciError::Archive(_)), "{refused}");
        let limits = ImportLimits { bytes: 1 << 20, entries: 10 };
        let not_so = |_: &Path| Err(OciError::Archive("not so".into()));
        assert!(store.layer_of_archive(&path, &limits, not_so).is_err());
        std::fs::write(&path, b"").unwrap();
        assert!(store.layer_of_archive(&path, &limits, |_| Ok(())).is_err());
        let left = std::fs::read_dir(folder.path().join("store/staging")).unwrap().count();
        assert_eq!(left, 0);
    }
}
