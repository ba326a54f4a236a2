//! Monorepos: the folder of a source that is the app. One decision for every way in and every
//! builder, made as soon as the source is there.

use crate::{PlatformError, Result};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The config var that names the folder.
const PROJECT_PATH: &str = "WINDLASS_PROJECT_PATH";

/// Puts the app's folder in the place of the whole source, if the config vars name one; returns its
/// path. `scratch` is on the same file system.
///
/// # Errors
/// `Invalid` if it is not a folder of the source.
pub(super) async fn enter(
    source: &Path,
    scratch: &Path,
    config_vars: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    let Some(named) = config_vars.get(PROJECT_PATH) else { return Ok(None) };
    let Some(folder) = folder(source, named)? else { return Ok(None) };
    let (source, scratch) = (source.to_owned(), scratch.join("project"));
    let replaced = tokio::task::spawn_blocking(move || {
        std::fs::rename(folder, &scratch)?;
        std::fs::remove_dir_all(&source)?;
        std::fs::rename(scratch, source)
    });
    let failed = "the app's folder could not be taken out of the source";
    replaced
        .await
        .map_err(|error| PlatformError::internal(failed, error))?
        .map_err(|error| PlatformError::internal(failed, error))?;
    Ok(Some(named.clone()))
}

/// Returns the folder's path; `None` if it is the whole source.
fn folder(source: &Path, named: &str) -> Result<Option<PathBuf>> {
    let invalid = |why: &str| {
        let named = named.escape_debug();
        Err(PlatformError::Invalid(format!("{PROJECT_PATH} is {named}, {why}.")))
    };
    let mut folder = source.to_owned();
    for part in Path::new(named).components() {
        match part {
            Component::CurDir => continue,
            Component::Normal(part) => folder.push(part),
            _ => return invalid("which leads out of the source"),
        }
        // A link might lead anywhere.
        match folder.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() => return invalid("which is or goes through a link"),
            Ok(_) => return invalid("which is not a folder"),
            Err(_) => return invalid("which is not in the source"),
        }
    }
    Ok((folder != source).then_some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(PROJECT_PATH.to_owned(), path.to_owned())])
    }

    /// A source with an app in `apps/api`.
    fn source() -> (tempfile::TempDir, PathBuf) {
        let staging = tempfile::tempdir().unwrap();
        let source = staging.path().join("source");
        std::fs::create_dir_all(source.join("apps/api")).unwrap();
        std::fs::write(source.join("apps/api/web.py"), "x").unwrap();
        std::fs::write(source.join("README"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", source.join("link")).unwrap();
        (staging, source)
    }

    #[tokio::test]
    async fn the_folder_takes_the_place_of_the_source() {
        for path in ["apps/api", "./apps//api/"] {
            let (staging, source) = source();
            let entered = enter(&source, staging.path(), &config(path)).await.unwrap();
            assert_eq!(entered.as_deref(), Some(path));
            let names: Vec<_> =
                std::fs::read_dir(&source).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["web.py"]);
            assert!(!staging.path().join("project").exists());
        }
        let (staging, source) = source();
        for nothing in [BTreeMap::new(), config(""), config("."), config("./")] {
            assert_eq!(enter(&source, staging.path(), &nothing).await.unwrap(), None);
            assert!(source.join("README").exists());
        }
    }

    #[tokio::test]
    async fn what_is_no_folder_of_the_source_is_refused() {
        let (staging, source) = source();
        for (path, why) in [
            ("../x", "leads out of the source"),
            ("/etc", "leads out of the source"),
            ("apps/../..", "leads out of the source"),
            ("apps/nothing", "not in the source"),
            ("README", "not a folder"),
            ("link", "through a link"),
            ("link/ssh", "through a link"),
        ] {
            let error = enter(&source, staging.path(), &config(path)).await.unwrap_err();
            let message = error.to_string();
            assert!(message.contains(why) && !message.contains('\n'), "{path}: {message}");
            assert!(source.join("README").exists());
        }
    }
}
