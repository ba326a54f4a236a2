//! What an app has that the next stage has not: commits, told from our own repositories.

use crate::receive::{git, repository_path};
use crate::records::{App, User};
use crate::{Platform, Result};
use std::time::Duration;
use windlass_core::access::Permission;

const GIT_LIMIT: Duration = Duration::from_secs(20);
/// More commits of a difference are not listed.
const COMMITS: usize = 200;
/// What stands between the parts of a line: no text of a commit has it in one line.
const SEPARATOR: char = '\u{1f}';

/// What an app has that another of the next stage has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageDiff {
    pub target: App,
    pub state: StageDiffState,
    /// What the app runs and what the target runs.
    pub commits: (Option<String>, Option<String>),
    /// Newest first, at most 200.
    pub ahead: Vec<Commit>,
    /// How many commits the target has that the app has not.
    pub behind: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageDiffState {
    Identical,
    Different,
    /// One of them runs nothing, or something that is no commit, or one that is not known here.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: String,
    pub author: String,
    /// In milliseconds since the Unix epoch.
    pub at: u64,
    /// The first line of its message.
    pub subject: String,
}

impl Platform {
    /// Compares what an app runs with what those run that it would be promoted to. Needs the
    /// permission to deploy, as commits are code; targets without it are left out.
    pub async fn pipeline_diff(&self, user: &User, app: &App) -> Result<Vec<StageDiff>> {
        let coupling = self.coupling_of_app(app)?;
        let pipeline = self.pipeline_of(&coupling)?;
        let mut diffs = Vec::new();
        for target in self.downstream_of(user, &pipeline, coupling.stage)? {
            if self.permissions(user, &target)?.contains(Permission::Deploy) {
                diffs.push(self.diff(app, target).await?);
            }
        }
        Ok(diffs)
    }

    async fn diff(&self, app: &App, target: App) -> Result<StageDiff> {
        let commits = (self.current_release(app)?.commit, self.current_release(&target)?.commit);
        let mut diff = StageDiff {
            target,
            state: StageDiffState::Unknown,
            commits,
            ahead: Vec::new(),
            behind: 0,
        };
        let (Some(ours), Some(theirs)) = diff.commits.clone() else { return Ok(diff) };
        if ours == theirs {
            diff.state = StageDiffState::Identical;
            return Ok(diff);
        }
        let known =
            |commit: &str| commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        if !known(&ours) || !known(&theirs) {
            return Ok(diff);
        }
        // Either may have been pushed to one of the two only.
        let repository = repository_path(self.settings(), app.id).display().to_string();
        let objects = repository_path(self.settings(), diff.target.id).join("objects");
        let objects = objects.display().to_string();
        let environment = [("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.as_str())];
        let format = format!("--format=%H{SEPARATOR}%an{SEPARATOR}%at{SEPARATOR}%s");
        let limit = format!("--max-count={COMMITS}");
        let range = format!("{theirs}..{ours}");
        let log = ["--git-dir", &repository, "log", &format, &limit, &range, "--"];
        let Ok(listed) = git::run(&log, &environment, GIT_LIMIT).await else { return Ok(diff) };
        let back = format!("{ours}..{theirs}");
        let count = ["--git-dir", &repository, "rev-list", "--count", &back, "--"];
        let Ok(behind) = git::run(&count, &environment, GIT_LIMIT).await else { return Ok(diff) };
        diff.state = StageDiffState::Different;
        diff.ahead = listed.lines().filter_map(commit).collect();
        diff.behind = behind.trim().parse().unwrap_or(0);
        Ok(diff)
    }
}

fn commit(line: &str) -> Option<Commit> {
    let mut parts = line.splitn(4, SEPARATOR).map(str::to_owned);
    let (id, author, at, subject) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let at = at.parse::<u64>().unwrap_or(0) * 1_000;
    Some(Commit { id, author, at, subject })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_log_are_commits() {
        let line = "12ab\u{1f}Ada\u{1f}1767323045\u{1f}Fix \u{1f} it";
        let expected = Commit {
            id: "12ab".into(),
            author: "Ada".into(),
            at: 1_767_323_045_000,
            subject: "Fix \u{1f} it".into(),
        };
        assert_eq!(commit(line), Some(expected));
        assert_eq!(commit("12ab"), None);
    }
}
