//! From a commit or an archive to files in a directory, owned by the build's user.

use super::unpack;
use crate::receive::{SourceFile, git};
use crate::run::APP_USER;
use crate::{PlatformError, Result};
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(120);
const SUBMODULES_TIMEOUT: Duration = Duration::from_secs(600);

/// Submodules may come over these only: a `file:` URL would read the server's own disk, and ssh would
/// use the keys of the server's own root user.
const SUBMODULE_PROTOCOLS: &str = "http:https:git";

/// What is to be built.
pub(crate) enum Source {
    Commit {
        repository: PathBuf,
        commit: String,
    },
    Archive {
        file: SourceFile,
        /// Whether a single folder that holds everything is left out, as archives of GitHub have it.
        strip_folder: bool,
        version: Option<String>,
    },
}

impl Source {
    /// Returns the commit, or what the sender of an archive calls it.
    pub(crate) fn version(&self) -> Option<&str> {
        match self {
            Self::Commit { commit, .. } => Some(commit),
            Self::Archive { version, .. } => version.as_deref(),
        }
    }

    /// Writes the files to `directory` (empty). `scratch` is a directory for what is needed meanwhile.
    pub(super) async fn write_to(&self, directory: &Path, scratch: &Path) -> Result<()> {
        match self {
            Self::Commit { repository, commit } => {
                check_out(repository, commit, directory, scratch).await?;
            }
            Self::Archive { file, strip_folder, .. } => {
                let (file, strip) = (file.path().to_owned(), *strip_folder);
                let (directory, scratch) = (directory.to_owned(), scratch.to_owned());
                let unpacked = tokio::task::spawn_blocking(move || {
                    unpack::unpack(&file, &directory, &scratch, strip)
                });
                unpacked.await.map_err(|error| {
                    PlatformError::internal("the source could not be unpacked", error)
                })??;
            }
        }
        let directory = directory.to_owned();
        let owned = tokio::task::spawn_blocking(move || give_to_build_user(&directory)).await;
        owned
            .map_err(|error| PlatformError::internal("the source could not be prepared", error))?
            .map_err(|error| {
                PlatformError::internal("the source could not be given to the build's user", error)
            })
    }
}

/// Writes the files of `commit` to `directory` (empty), without `.git`. `scratch` is a directory for
/// what git needs meanwhile.
async fn check_out(
    repository: &Path,
    commit: &str,
    directory: &Path,
    scratch: &Path,
) -> Result<()> {
    let index = scratch.join("index");
    let (index, worktree, repository_text) = (text(&index)?, text(directory)?, text(repository)?);
    let arguments = [
        "--git-dir",
        repository_text,
        "--work-tree",
        worktree,
        "checkout",
        "--force",
        "--quiet",
        commit,
        "--",
        ".",
    ];
    let checked_out = git::run(&arguments, &[("GIT_INDEX_FILE", index)], CHECKOUT_TIMEOUT).await;
    if let Err(error) = checked_out {
        // git refuses to check out the empty tree by path; there is nothing to write then.
        if !error.to_string().contains("did not match any file") {
            return Err(PlatformError::internal("the source could not be checked out", error));
        }
    }
    if directory.join(".gitmodules").symlink_metadata().is_ok_and(|file| file.is_file()) {
        fetch_submodules(repository_text, commit, worktree, scratch).await?;
    }
    Ok(())
}

/// Fetches submodules as Heroku does. The repository is cloned beside the checked-out files, since
/// git wants a work tree with a `.git` for this.
async fn fetch_submodules(
    repository: &str,
    commit: &str,
    worktree: &str,
    scratch: &Path,
) -> Result<()> {
    let clone = scratch.join("submodules.git");
    let clone = text(&clone)?;
    git::run(
        &["clone", "--quiet", "--bare", "--shared", "--", repository, clone],
        &[],
        CHECKOUT_TIMEOUT,
    )
    .await
    .map_err(|error| PlatformError::internal("the source could not be cloned", error))?;
    let environment = [
        ("GIT_ALLOW_PROTOCOL", SUBMODULE_PROTOCOLS),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_WORK_TREE", worktree),
        ("GIT_DIR", clone),
    ];
    let steps: [&[&str]; 3] = [
        &["config", "core.bare", "false"],
        &["-C", worktree, "read-tree", commit],
        &["-C", worktree, "submodule", "update", "--init", "--recursive", "--quiet"],
    ];
    for step in steps {
        if let Err(error) = git::run(step, &environment, SUBMODULES_TIMEOUT).await {
            return Err(PlatformError::Invalid(format!(
                "The submodules could not be fetched: {error}"
            )));
        }
    }
    remove_git_files(Path::new(worktree))
        .map_err(|error| PlatformError::internal("the submodules could not be prepared", error))
}

/// Removes the `.git` files that submodules leave in their directories.
fn remove_git_files(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == ".git" {
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        } else if entry.file_type()?.is_dir() {
            remove_git_files(&entry.path())?;
        }
    }
    Ok(())
}

/// Changes the owner of a tree without following links.
fn give_to_build_user(path: &Path) -> std::io::Result<()> {
    lchown(path, Some(APP_USER), Some(APP_USER))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_to_build_user(&entry?.path())?;
        }
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        PlatformError::Internal(format!("the path {} is not UTF-8", path.display()), None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// ssh looks for keys in the home of the user that it runs as: here the server's root.
    #[tokio::test]
    async fn submodules_do_not_come_by_the_servers_own_ssh_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let outer = path("outer");
        let git = async |arguments: &[&str]| {
            let fixed = ["-C", text(&outer).unwrap(), "-c", "user.name=a", "-c", "user.email=a@b"];
            let all: Vec<&str> = fixed.into_iter().chain(arguments.iter().copied()).collect();
            git::run(&all, &[], LIMIT).await.unwrap()
        };
        std::fs::create_dir(&outer).unwrap();
        let _ = git(&["init", "--quiet"]).await;
        let module = "[submodule \"inner\"]\n\tpath = inner\n\turl = ssh://git@127.0.0.1:1/x.git\n";
        std::fs::write(outer.join(".gitmodules"), module).unwrap();
        let _ = git(&["add", ".gitmodules"]).await;
        let link = format!("160000,{},inner", "1".repeat(40));
        let _ = git(&["update-index", "--add", "--cacheinfo", &link]).await;
        let _ = git(&["commit", "--quiet", "-m", "x"]).await;
        let (tree, scratch) = (path("tree"), path("scratch"));
        std::fs::create_dir(&tree).unwrap();
        std::fs::create_dir(&scratch).unwrap();
        let done = check_out(&outer.join(".git"), "HEAD", &tree, &scratch).await;
        let error = done.unwrap_err().to_string();
        assert!(error.contains("transport 'ssh' not allowed"), "{error}");
    }
}
