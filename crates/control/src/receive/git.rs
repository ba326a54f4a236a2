//! Running git: argument vectors, a clean environment, a time limit, its words on failure.

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
        .kill_on_drop(true)
        .spawn()
        .map_err(GitError::Spawn)?;
    let output = match tokio::time::timeout(limit, child.wait_with_output()).await {
        Ok(output) => output.map_err(GitError::Spawn)?,
        Err(_) => return Err(GitError::TimedOut { command, limit }),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let message = stderr.trim().trim_start_matches("fatal: ").to_owned();
    tracing::debug!(command, status = %output.status, %stderr, "git failed");
    Err(GitError::Failed { command, message })
}
