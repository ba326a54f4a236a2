//! Process types of a build: the Procfile's, and the buildpack's defaults that it does not name.

use crate::{PlatformError, Result};
use nix::fcntl::OFlag;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use windlass_core::names::ProcessType;
use windlass_core::procfile;

/// A Procfile larger than this is refused, in bytes.
const PROCFILE_BYTES: u64 = 64 * 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessTypes {
    pub from_procfile: BTreeMap<ProcessType, String>,
    /// Only those that the Procfile does not name.
    pub from_buildpack: BTreeMap<ProcessType, String>,
}

impl ProcessTypes {
    pub(super) fn all(&self) -> BTreeMap<ProcessType, String> {
        let mut all = self.from_buildpack.clone();
        all.extend(self.from_procfile.clone());
        all
    }
}

/// Reads `Procfile` in `directory`, and adds the buildpack's defaults.
pub(super) fn discover(
    directory: &Path,
    defaults: BTreeMap<ProcessType, String>,
) -> Result<ProcessTypes> {
    let from_procfile = read_procfile(&directory.join("Procfile"))?;
    let mut from_buildpack = defaults;
    from_buildpack.retain(|process, _| !from_procfile.contains_key(process));
    Ok(ProcessTypes { from_procfile, from_buildpack })
}

/// The file is the pushed source's: it may be a link to anywhere, so only a real file is read.
pub(super) fn read_procfile(path: &Path) -> Result<BTreeMap<ProcessType, String>> {
    let Some(bytes) = read_source_file(path, PROCFILE_BYTES)? else { return Ok(BTreeMap::new()) };
    procfile::parse(&bytes).map_err(|error| PlatformError::Invalid(error.to_string()))
}

/// Reads a file of the pushed source, if there is one: only a plain one of at most `limit` bytes.
pub(super) fn read_source_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let name = path.file_name().unwrap_or_default().display();
    let Ok(metadata) = path.symlink_metadata() else { return Ok(None) };
    if !metadata.is_file() {
        return Err(PlatformError::Invalid(format!("{name} is not a plain file.")));
    }
    if metadata.len() > limit {
        return Err(PlatformError::Invalid(format!("{name} is larger than {} kB.", limit / 1024)));
    }
    // Whoever can write there may have put a link in its place by now.
    let read = std::fs::File::options()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .and_then(|file| {
            let mut bytes = Vec::new();
            file.take(limit).read_to_end(&mut bytes).map(|_| bytes)
        });
    let bytes = read
        .map_err(|source| PlatformError::internal(&format!("{name} could not be read"), source))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(processes: &BTreeMap<ProcessType, String>) -> Vec<&str> {
        processes.keys().map(ProcessType::as_str).collect()
    }

    #[test]
    fn the_procfile_wins_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("Procfile"), "web: mine\nworker: w\n").unwrap();
        let defaults = [("web", "theirs"), ("console", "irb")];
        let defaults = defaults.map(|(name, command)| (name.parse().unwrap(), command.to_owned()));
        let types = discover(directory.path(), defaults.into()).unwrap();
        assert_eq!(
            (names(&types.from_procfile), names(&types.from_buildpack)),
            (vec!["web", "worker"], vec!["console"])
        );
        assert_eq!(types.all()[&ProcessType::web()], "mine");
    }

    #[test]
    fn a_procfile_that_is_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("Procfile")).unwrap();
        assert!(discover(directory.path(), BTreeMap::new()).is_err());
    }
}
