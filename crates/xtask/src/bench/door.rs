//! What a client needs of a server, apart from the server: it stays as it is while the server is
//! killed and started again. Each command has a time limit.

use super::server::{all_output, output};
use super::{BenchError, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const LIMIT_SECONDS: &str = "90";

#[derive(Clone)]
pub struct Door {
    pub windlass: PathBuf,
    pub home: PathBuf,
    pub api_url: String,
    pub token: String,
}

impl Door {
    /// Gives a command the owner's login and nothing of the user's.
    pub fn prepare(&self, command: &mut Command) {
        command.env("HOME", &self.home).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_TERMINAL_PROMPT", "0").env("no_proxy", "localhost,127.0.0.1");
        command.env("WINDLASS_URL", &self.api_url).env("WINDLASS_TOKEN", &self.token);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "bench");
            command.env(format!("GIT_{role}_EMAIL"), "bench@localhost");
        }
    }

    fn limited(&self, directory: &Path, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", LIMIT_SECONDS]).arg(program).args(arguments);
        command.current_dir(directory);
        self.prepare(&mut command);
        command
    }

    /// Commits everything that is in a repository's directory; returns the commit.
    pub fn commit(&self, repository: &Path) -> Result<String> {
        let git = |arguments: &[&str]| {
            output("git", &mut self.limited(repository, Path::new("git"), arguments))
        };
        git(&["commit", "--quiet", "--all", "--message", "changed"])?;
        git(&["rev-parse", "HEAD"]).map(|commit| commit.trim().to_owned())
    }

    /// Pushes to the app whose remote has its name; returns what the pusher sees.
    pub fn push(&self, repository: &Path, app: &str) -> Result<String> {
        let arguments = ["-c", "gc.auto=0", "push", app, "main"];
        all_output("git push", &mut self.limited(repository, Path::new("git"), &arguments))
    }

    /// Runs a command of the client; returns what it says.
    pub fn client(&self, directory: &Path, arguments: &[&str]) -> Result<String> {
        let what = arguments.first().copied().unwrap_or_default();
        all_output(what, &mut self.limited(directory, &self.windlass, arguments))
    }
}

/// A file system of its own, in a file; goes away with it.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts a new one there.
    pub fn mount(image: &Path, at: &Path, bytes: u64) -> Result<Self> {
        let make = || std::fs::File::create(image)?.set_len(bytes);
        make().map_err(BenchError::io(image.display().to_string()))?;
        std::fs::create_dir_all(at).map_err(BenchError::io(at.display().to_string()))?;
        // Without blocks that only root may use: a full one is full for all.
        output("mkfs.ext4", Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(image))?;
        let mut mount = Command::new("mount");
        output("mount", mount.args(["-o", "loop"]).arg(image).arg(at))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for _ in 0..20 {
            match output("umount", Command::new("umount").arg(&self.0)) {
                Ok(_) => return,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(250)),
            }
        }
        eprintln!("bench: {} is still mounted", self.0.display());
    }
}
