//! Fetching: first into a repository of its own, which is thrown away if anything is wrong, then
//! from there into the app's.

use super::access::{Access, PrivateDirectory};
use super::refs::{self, Wanted};
use super::url::RemoteUrl;
use crate::receive::git::{self, GitError};
use crate::receive::uploads::ARCHIVE_BYTES;
use crate::{PlatformError, Result};
use std::path::Path;
use std::time::Duration;

/// How long a remote may take to say what it has.
const LIST_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to send it.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
/// The same for what is done on this machine only.
const LOCAL_LIMIT: Duration = Duration::from_secs(120);
/// A message of git is cut after so many characters.
const MESSAGE_CHARACTERS: usize = 300;

/// Asks a remote what a name stands for.
pub(super) async fn look_up(
    url: &RemoteUrl,
    reference: Option<&str>,
    access: &Access,
) -> Result<Wanted> {
    let patterns = refs::patterns(reference);
    let fixed = ["ls-remote", "--quiet", "--", url.text.as_str()];
    let arguments: Vec<&str> =
        fixed.into_iter().chain(patterns.iter().map(String::as_str)).collect();
    let listed = git::run(&arguments, &access.environment(), LIST_LIMIT).await;
    refs::resolve(&listed.map_err(|error| explained(url, error))?, reference)
}

/// Fetches a commit with its history into `repository`. No ref of it is changed. `parent` is a
/// directory for what is needed meanwhile.
///
/// # Errors
/// `Invalid` if the remote does not give it, or if it is larger than an upload may be.
pub(super) async fn fetch(
    url: &RemoteUrl,
    wanted: &Wanted,
    access: &Access,
    repository: &Path,
    parent: &Path,
) -> Result<()> {
    let directory = PrivateDirectory::new(parent)?;
    let own = directory.path().display().to_string();
    prepare(&own, directory.path(), repository).await?;
    let watched = [directory.path().to_owned()];
    tokio::select! {
        fetched = fetch_from(url, wanted, access, &own) => fetched?,
        () = crate::build::disk_exceeded(&watched, ARCHIVE_BYTES) => {
            return Err(PlatformError::Invalid(format!(
                "The repository {} is larger than {} MiB.",
                url.text,
                ARCHIVE_BYTES >> 20
            )));
        }
    }
    take_over(wanted, &own, repository).await
}

/// Makes a repository that has the app's objects too, so that only new ones are fetched.
async fn prepare(own: &str, directory: &Path, repository: &Path) -> Result<()> {
    let arguments = ["init", "--quiet", "--bare", "--template=", own];
    git::run(&arguments, &[], LOCAL_LIMIT).await.map_err(not_prepared)?;
    let info = directory.join("objects/info");
    let line = format!("{}\n", repository.join("objects").display());
    std::fs::create_dir_all(&info)
        .and_then(|()| std::fs::write(info.join("alternates"), line))
        .map_err(not_prepared)
}

fn not_prepared(error: impl std::error::Error + Send + Sync + 'static) -> PlatformError {
    PlatformError::internal("a fetch could not be prepared", error)
}

async fn fetch_from(url: &RemoteUrl, wanted: &Wanted, access: &Access, own: &str) -> Result<()> {
    let environment = access.environment();
    let run = async |refspecs: &[&str]| {
        let fixed = ["--git-dir", own, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        let arguments: Vec<&str> = fixed
            .into_iter()
            .chain(["--no-recurse-submodules", "--", url.text.as_str()])
            .chain(refspecs.iter().copied())
            .collect();
        git::run(&arguments, &environment, FETCH_LIMIT).await
    };
    let refspec = format!("+{}:refs/fetched/tip", wanted.name);
    let mut fetched = run(&[&refspec]).await;
    if matches!(fetched, Err(GitError::Failed { .. })) && wanted.name == wanted.commit {
        // Some hosts do not give commits by their number: ask for everything then.
        fetched = run(&["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]).await;
    }
    fetched.map(drop).map_err(|error| explained(url, error))
}

/// Copies the commit and its history into the app's repository.
async fn take_over(wanted: &Wanted, own: &str, repository: &Path) -> Result<()> {
    let commit = format!("{}^{{commit}}", wanted.commit);
    let verify = ["--git-dir", own, "rev-parse", "--verify", "--quiet", &commit];
    let Ok(commit) = git::run(&verify, &[], LOCAL_LIMIT).await else {
        return Err(PlatformError::Invalid(format!(
            "The repository did not send the commit {}: is it there, and was nothing forced over it just now?",
            wanted.commit
        )));
    };
    let failed = |error| PlatformError::internal("what was fetched could not be kept", error);
    let name = "refs/fetched/wanted";
    let update = ["--git-dir", own, "update-ref", name, &commit];
    git::run(&update, &[], LOCAL_LIMIT).await.map_err(failed)?;
    let repository = repository.display().to_string();
    let fixed = ["--git-dir", &repository, "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
    let rest = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", own, name];
    let arguments: Vec<&str> = fixed.into_iter().chain(rest).collect();
    let environment = [("GIT_ALLOW_PROTOCOL", "file")];
    git::run(&arguments, &environment, LOCAL_LIMIT).await.map(drop).map_err(failed)
}

/// What went wrong with a remote, in one line.
fn explained(url: &RemoteUrl, error: GitError) -> PlatformError {
    let why = match error {
        GitError::Failed { message, .. } => in_one_line(&message),
        GitError::TimedOut { limit, .. } => {
            format!("it took longer than {} seconds", limit.as_secs())
        }
        spawn @ GitError::Spawn(_) => {
            return PlatformError::internal("a repository could not be fetched", spawn);
        }
    };
    PlatformError::Invalid(format!("{} could not be fetched: {why}", url.text))
}

/// Chooses the line of git's errors that says most.
fn in_one_line(message: &str) -> String {
    let private = "It is private or not there. Store a token with `windlass git:auth HOST`, or add the key of `windlass git:key` to it and use its SSH URL.";
    let denied = ["could not read Username", "Authentication failed", "Permission denied (public"];
    if denied.iter().any(|text| message.contains(text)) {
        return private.to_owned();
    }
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    // ssh and the remote speak first; git then only says that it could not read.
    let said = lines.iter().find(|line| !line.starts_with("Warning: Permanently added"));
    let said = said.copied().unwrap_or("git did not say why").trim_start_matches("fatal: ");
    let line: String = said.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARACTERS).collect();
    format!("{}.", line.trim_end_matches(['.', '!']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_git_become_one_line() {
        for (said, line) in [
            (
                "unable to access 'https://x/': Could not resolve host: x",
                "unable to access 'https://x/': Could not resolve host: x.",
            ),
            ("remote: Not found.\nfatal: repository 'https://x/' not found", "remote: Not found."),
            (
                "Warning: Permanently added '[127.0.0.1]:22' (RSA).\nHost key verification failed.\nfatal: Could not read from remote repository.",
                "Host key verification failed.",
            ),
            ("", "git did not say why."),
        ] {
            assert_eq!(in_one_line(said), line);
        }
        for said in [
            "could not read Username for 'https://github.com': terminal prompts disabled",
            "git@github.com: Permission denied (publickey).\nfatal: Could not read",
        ] {
            assert!(in_one_line(said).contains("git:auth"), "{said}");
        }
    }
}
