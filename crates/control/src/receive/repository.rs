//! Bare repositories, one an app.

use super::git;
use crate::settings::Settings;
use crate::{PlatformError, Result};
use std::path::PathBuf;
use std::time::Duration;
use windlass_core::ids::AppId;

const GIT_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn repository_path(settings: &Settings, app: AppId) -> PathBuf {
    settings.data_directory.join("repositories").join(format!("{app}.git"))
}

/// Returns the directory that holds the hook.
pub(super) fn hooks_directory(settings: &Settings) -> PathBuf {
    settings.data_directory.join("hooks")
}

/// Makes an empty repository whose branches go through the hook.
pub(crate) async fn create_repository(settings: &Settings, app: AppId) -> Result<()> {
    let failed = |error| PlatformError::internal("the repository could not be made", error);
    let path = repository_path(settings, app);
    let path_text = path.display().to_string();
    git::run(
        &["init", "--quiet", "--bare", "--initial-branch=main", "--template=", &path_text],
        &[],
        GIT_TIMEOUT,
    )
    .await
    .map_err(failed)?;
    let hooks = hooks_directory(settings);
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\thooksPath = {}\n\
         [receive]\n\tprocReceiveRefs = refs/heads/\n\tadvertiseAtomic = false\n\tautogc = true\n\
         [transfer]\n\tfsckObjects = false\n[gc]\n\tauto = 2000\n",
        serde_json::Value::from(hooks.display().to_string()),
    );
    std::fs::write(path.join("config"), config)
        .map_err(|source| PlatformError::internal("the repository could not be configured", source))
}

/// Returns the commit that a branch names, if there is such a branch.
pub(crate) async fn branch_commit(repository: &str, branch: &str) -> Option<String> {
    git::run(
        &["--git-dir", repository, "rev-parse", "--verify", "--quiet", branch],
        &[],
        GIT_TIMEOUT,
    )
    .await
    .ok()
}

/// Whether `ancestor` is in the history of `commit`.
pub(super) async fn is_ancestor(repository: &str, ancestor: &str, commit: &str) -> bool {
    git::run(
        &["--git-dir", repository, "merge-base", "--is-ancestor", ancestor, commit],
        &[],
        GIT_TIMEOUT,
    )
    .await
    .is_ok()
}

/// Moves a branch from `old` (40 zeros: it must not exist) to `new`, and makes it the one that a
/// clone gets.
pub(super) async fn move_branch(
    repository: &str,
    branch: &str,
    new: &str,
    old: &str,
) -> std::result::Result<(), git::GitError> {
    git::run(&["--git-dir", repository, "update-ref", branch, new, old], &[], GIT_TIMEOUT).await?;
    git::run(&["--git-dir", repository, "symbolic-ref", "HEAD", branch], &[], GIT_TIMEOUT).await?;
    Ok(())
}
