//! Process types of a build: the Procfile's, and the buildpack's defaults that it does not name.

use crate::{PlatformError, Result};
use std::collections::BTreeMap;
use std::path::Path;
use windlass_core::names::ProcessType;
use windlass_core::procfile;
use yaml_rust2::{Yaml, YamlLoader};

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

/// Reads `Procfile` in `directory` and the YAML that `bin/release` wrote.
pub(super) fn discover(directory: &Path, release: &str) -> Result<ProcessTypes> {
    let from_procfile = read_procfile(&directory.join("Procfile"))?;
    let mut from_buildpack = default_process_types(release)?;
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
    let bytes = std::fs::read(path)
        .map_err(|source| PlatformError::internal(&format!("{name} could not be read"), source))?;
    Ok(Some(bytes))
}

fn default_process_types(release: &str) -> Result<BTreeMap<ProcessType, String>> {
    let invalid = |what: String| {
        PlatformError::Invalid(format!(
            "The buildpack's bin/release wrote YAML that cannot be used: {what}"
        ))
    };
    let documents =
        YamlLoader::load_from_str(release).map_err(|error| invalid(error.to_string()))?;
    let Some(Yaml::Hash(types)) =
        documents.first().map(|document| &document["default_process_types"])
    else {
        return Ok(BTreeMap::new());
    };
    let mut processes = BTreeMap::new();
    for (name, command) in types {
        match (name.as_str(), command.as_str()) {
            (Some(name), Some(command)) => processes.insert(name.parse()?, command.to_owned()),
            _ => return Err(invalid(format!("default_process_types has {name:?}: {command:?}"))),
        };
    }
    Ok(processes)
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
        let release = "---\naddons: []\ndefault_process_types:\n  web: theirs\n  console: irb\n";
        let types = discover(directory.path(), release).unwrap();
        assert_eq!(
            (names(&types.from_procfile), names(&types.from_buildpack)),
            (vec!["web", "worker"], vec!["console"])
        );
        assert_eq!(types.all()[&ProcessType::web()], "mine");
    }

    #[test]
    fn empty_and_odd_release_output() {
        for (yaml, ok) in [
            ("", true),
            ("--- {}", true),
            ("default_process_types:\n", true),
            ("{", false),
            ("default_process_types:\n  web: [1]\n", false),
        ] {
            assert_eq!(default_process_types(yaml).is_ok(), ok, "{yaml:?}");
        }
    }

    #[test]
    fn a_procfile_that_is_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("Procfile")).unwrap();
        assert!(discover(directory.path(), "").is_err());
    }
}
