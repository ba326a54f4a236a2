//! Backups that the server makes by itself: each in a process of its own.

use crate::config::Config;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use windlass_control::backup::{file_name, surplus, time_of};

/// How often to look whether one is due.
const LOOK: Duration = Duration::from_secs(20);
/// How long a backup may take.
const LIMIT: Duration = Duration::from_secs(12 * 60 * 60);
/// After one that failed.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// Makes backups as the configuration says, for ever; ends at once where it says none.
pub async fn run(config: Config, program: PathBuf) {
    let Some(directory) = config.backup_directory.clone() else { return };
    loop {
        let names = names(&directory);
        let last = names.iter().filter_map(|name| time_of(name)).max();
        let now = jiff::Timestamp::now().as_second();
        if !config.backup_schedule.is_due(last, now) {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let file = directory.join(file_name(now));
        match create(&config, &program, &file).await {
            Ok(()) => {
                tracing::info!(file = %file.display(), "made a backup");
                remove_surplus(&directory, config.backup_keep);
            }
            Err(error) => {
                tracing::error!(file = %file.display(), error, "the backup failed");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

async fn create(config: &Config, program: &Path, file: &Path) -> Result<(), String> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    let mut command = tokio::process::Command::new(program);
    command.args(["backup", "create"]).arg(file);
    command.arg("--data-directory").arg(&config.data_directory);
    command.arg("--releases-kept").arg(config.releases_kept.to_string());
    if let Some(secret) = &config.backup_passphrase_file {
        command.arg("--passphrase-file").arg(secret);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(|error| error.to_string())?;
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = ended
        .map_err(|_| format!("it took longer than {} h", LIMIT.as_secs() / 3600))?
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

fn remove_surplus(directory: &Path, keep: usize) {
    for name in surplus(&names(directory), keep) {
        let file = directory.join(name);
        match std::fs::remove_file(&file) {
            Ok(()) => tracing::info!(file = %file.display(), "removed an old backup"),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "an old backup cannot be removed");
            }
        }
    }
}
