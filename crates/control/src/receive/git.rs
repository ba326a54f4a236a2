//! Running git: argument vectors, a clean environment, a time limit, its words on failure.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("git could not be run (is it installed? see `windlass doctor`)")]
    Spawn(#[source] std::io::Error),
    #[error("git {command} took longer than {} s", limit.as_secs())]
    TimedOut { command: String, limit: Duration },
    #[error("git {command}: {message}")]
    Failed { command: String, message: String },
}

/// Runs git and returns its standard output without the last line end.
pub(crate) async fn run(
    arguments: &[&str],
    environment: &[(&str, &str)],
    limit: Duration,
) -> Result<String, GitError> {
    let command = arguments
        .iter()
        .find(|a| !a.starts_with('-') && !a.contains('/'))
        .unwrap_or(&"")
        .to_string();
    let child = Command::new("git")
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", "/nonexistent")
        .env("LANG", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(std::env::var_os("GIT_SSL_CAINFO").map(|bundle| ("GIT_SSL_CAINFO", bundle)))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(GitError::Spawn)?;
    let mut helpers = Helpers(child.id());
    let output = match tokio::time::timeout(limit, child.wait_with_output()).await {
        Ok(output) => output.map_err(GitError::Spawn)?,
        Err(_) => return Err(GitError::TimedOut { command, limit }),
    };
    helpers.0 = None;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let message = stderr.trim().trim_start_matches("fatal: ").to_owned();
    tracing::debug!(command, status = %output.status, %stderr, "git failed");
    Err(GitError::Failed { command, message })
}

/// What git has started in its process group: killed with it, since what waits for a silent remote
/// would not notice that git is gone.
struct Helpers(Option<u32>);

impl Drop for Helpers {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_running(argument: &str) -> bool {
        std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            command.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())
        })
    }

    #[tokio::test]
    async fn what_git_has_started_ends_with_it() {
        // What waits for a remote that says nothing.
        let alias = "alias.hang=!sleep 271.828";
        let ended = run(&["-c", alias, "hang"], &[], Duration::from_millis(500)).await;
        assert!(matches!(ended, Err(GitError::TimedOut { .. })), "{ended:?}");
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while is_running("271.828") {
            assert!(std::time::Instant::now() < end, "it goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
