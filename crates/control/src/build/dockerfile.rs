//! Which Dockerfile a source is built with, and how.

use crate::{PlatformError, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Config vars that say what to build of a source.
const DOCKERFILE: &str = "WINDLASS_DOCKERFILE";
const CONTEXT: &str = "WINDLASS_DOCKER_CONTEXT";
const TARGET: &str = "WINDLASS_DOCKER_TARGET";
/// Names of config vars, with spaces between them, that become build arguments.
const BUILD_ARGUMENTS: &str = "WINDLASS_DOCKER_BUILD_ARGS";

/// What is to be built.
#[derive(Debug)]
pub(super) struct Dockerfile {
    pub file: PathBuf,
    pub context: PathBuf,
    pub target: Option<String>,
    /// Names of config vars.
    pub arguments: Vec<String>,
}

/// Returns the Dockerfile of a source, or `None` if buildpacks are to build it.
pub(super) fn find(
    source: &Path,
    config_vars: &BTreeMap<String, String>,
) -> Result<Option<Dockerfile>> {
    let given = config_vars.get(DOCKERFILE);
    let name = given.map_or("Dockerfile", String::as_str);
    if given.is_none() && source.join(name).symlink_metadata().is_err() {
        return Ok(None);
    }
    let source = source
        .canonicalize()
        .map_err(|error| PlatformError::internal("the source cannot be found", error))?;
    let file = inside(&source, name, given.map_or("The source", |_| DOCKERFILE))?;
    if !file.is_file() {
        return Err(PlatformError::Invalid(format!("{name} is not a file.")));
    }
    let context = match config_vars.get(CONTEXT) {
        Some(folder) => inside(&source, folder, CONTEXT)?,
        None => source.clone(),
    };
    if !context.is_dir() {
        return Err(PlatformError::Invalid(format!("{CONTEXT} does not name a folder.")));
    }
    let text = std::fs::read(&file)
        .map_err(|error| PlatformError::internal("the Dockerfile could not be read", error))?;
    let wanted = config_vars.get(BUILD_ARGUMENTS).map(String::as_str).unwrap_or_default();
    let declared = declared_arguments(&String::from_utf8_lossy(&text));
    let arguments = wanted
        .split_whitespace()
        .filter(|name| config_vars.contains_key(*name) && declared.iter().any(|d| d == name))
        .map(str::to_owned)
        .collect();
    Ok(Some(Dockerfile { file, context, target: config_vars.get(TARGET).cloned(), arguments }))
}

/// Resolves a path of the source, whose links may lead anywhere.
fn inside(source: &Path, path: &str, who: &str) -> Result<PathBuf> {
    let found = source.join(path).canonicalize().ok();
    found.filter(|found| found.starts_with(source)).ok_or_else(|| {
        PlatformError::Invalid(format!("{who} names {path}, which is not in the source."))
    })
}

/// Returns the names after `ARG` in a Dockerfile.
fn declared_arguments(dockerfile: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    lines
        .filter(|(word, _)| word.eq_ignore_ascii_case("ARG"))
        .flat_map(|(_, names)| names.split_whitespace())
        .map(|name| name.split('=').next().unwrap_or(name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_source_and_its_config_vars_say_what_is_built() {
        let source = tempfile::tempdir().unwrap();
        assert!(find(source.path(), &vars(&[])).unwrap().is_none());
        std::fs::create_dir_all(source.path().join("docker")).unwrap();
        std::fs::write(
            source.path().join("docker/web"),
            "ARG A=1 B\nFROM x\n  arg C\nRUN echo ARG D\n",
        )
        .unwrap();
        let found = find(
            source.path(),
            &vars(&[
                (DOCKERFILE, "docker/web"),
                (TARGET, "final"),
                (BUILD_ARGUMENTS, "A C D E"),
                ("A", "1"),
                ("C", "2"),
                ("D", "3"),
            ]),
        )
        .unwrap()
        .unwrap();
        assert!(found.file.ends_with("docker/web"));
        assert_eq!(found.target.as_deref(), Some("final"));
        assert_eq!(found.arguments, ["A", "C"], "declared, asked for and set");
    }

    #[test]
    fn nothing_outside_of_the_source_is_taken() {
        let source = tempfile::tempdir().unwrap();
        let outside = |vars: &BTreeMap<String, String>| find(source.path(), vars).unwrap_err();
        for (name, value) in [(DOCKERFILE, "/etc/hostname"), (DOCKERFILE, "../x")] {
            let error = outside(&vars(&[(name, value)])).to_string();
            assert!(error.contains("not in the source"), "{error}");
        }
        std::os::unix::fs::symlink("/etc/hostname", source.path().join("Dockerfile")).unwrap();
        assert!(outside(&vars(&[])).to_string().contains("not in the source"));
        std::fs::remove_file(source.path().join("Dockerfile")).unwrap();
        std::fs::write(source.path().join("Dockerfile"), "FROM x\n").unwrap();
        let error = outside(&vars(&[(CONTEXT, "/etc")])).to_string();
        assert!(error.contains("not in the source"), "{error}");
    }
}
