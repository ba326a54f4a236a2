//! Repositories to push, with a git that sees nothing of this machine's settings.

use crate::command::{self, Finished, Running};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A work tree in a temporary directory.
pub struct Repository {
    directory: TempDir,
}

/// Returns the folder of an example.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{from:?}: {error}")) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

impl Repository {
    /// Returns an empty repository on the branch `main`.
    #[must_use]
    pub fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("windlass-repository-").tempdir().unwrap();
        let repository = Self { directory };
        let _ = repository.git(&["init", "--quiet", "--initial-branch=main"]).success();
        repository
    }

    /// Returns a repository with one commit: an example as it is.
    #[must_use]
    pub fn of_example(name: &str) -> Self {
        let repository = Self::empty();
        copy(&example(name), repository.path());
        repository.commit("an example");
        repository
    }

    /// Returns a repository with one commit of these files.
    #[must_use]
    pub fn of_files(files: &[(&str, &str)]) -> Self {
        let repository = Self::empty();
        for (name, content) in files {
            repository.write(name, content);
        }
        repository.commit("files");
        repository
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything, also if nothing changed, and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        let _ = self.git(&["add", "--all"]).success();
        let _ = self.git(&["commit", "--quiet", "--allow-empty", "--message", message]).success();
        self.git(&["rev-parse", "HEAD"]).success().trim().to_owned()
    }

    /// Writes a file and commits it.
    pub fn change(&self, name: &str, content: &str) -> String {
        self.write(name, content);
        self.commit(&format!("change {name}"))
    }

    /// Returns a git command that is not started yet.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LANG", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "Test")
            .env("GIT_AUTHOR_EMAIL", "test@example.com")
            .env("GIT_COMMITTER_NAME", "Test")
            .env("GIT_COMMITTER_EMAIL", "test@example.com");
        command
    }

    /// Runs git.
    pub fn git(&self, arguments: &[&str]) -> Finished {
        command::run(&mut self.command(arguments), b"")
    }

    /// Pushes a refspec to a URL.
    pub fn push(&self, url: &str, refspec: &str) -> Finished {
        self.git(&["push", url, refspec])
    }

    /// Starts a push.
    #[must_use]
    pub fn start_push(&self, url: &str, refspec: &str) -> Running {
        command::start(&mut self.command(&["push", url, refspec]))
    }
}
