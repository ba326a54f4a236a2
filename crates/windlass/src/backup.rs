//! `windlass backup`: backups of a whole server, made and restored on its machine.

mod passphrase;
pub mod schedule;

use crate::arguments::{BackupArguments, BackupCommand, CreateArguments, ReadArguments};
use crate::config::{Config, DEFAULT_FILE};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use windlass_control::backup::{self, BackupError, Source};

/// How long the copy of one volume may take.
const COPY_LIMIT: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, thiserror::Error)]
pub enum BackupCommandError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("cannot write {0:?}: {1}")]
    Write(PathBuf, io::Error),
    #[error("{0}")]
    Passphrase(String),
    #[error(transparent)]
    Busy(#[from] crate::server::ServerError),
}

pub fn main(arguments: &BackupArguments) -> ExitCode {
    let done = match &arguments.command {
        BackupCommand::Create(arguments) => match crate::load(&arguments.server) {
            Ok(config) => create(&config, arguments),
            Err(code) => return code,
        },
        BackupCommand::Verify(arguments) => verify(arguments),
        BackupCommand::Restore(arguments) => match crate::load(&arguments.server) {
            Ok(config) => restore(&config, &arguments.from),
            Err(code) => return code,
        },
    };
    match done {
        Ok(said) => {
            eprintln!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => crate::fail(&error, 1),
    }
}

fn create(config: &Config, arguments: &CreateArguments) -> Result<String, BackupCommandError> {
    let wants_secret = arguments.encrypt || arguments.passphrase_file.is_some();
    let passphrase = match wants_secret {
        true => Some(passphrase::get(arguments.passphrase_file.as_deref(), true)?),
        false => None,
    };
    let configuration =
        arguments.server.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let source = Source {
        data_directory: &config.data_directory,
        configuration: Some(&configuration),
        releases_kept: config.releases_kept,
        with_images: !arguments.without_images,
        with_logs: arguments.with_logs,
        copy_volume: &copy_volume,
    };
    let file = &arguments.file;
    let summary = if file == Path::new("-") {
        backup::create(&source, passphrase.as_deref(), io::stdout().lock())?
    } else {
        // It appears under its name when it is whole.
        let mut partial = file.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let written = write_file(&source, passphrase.as_deref(), &partial);
        if written.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        let summary = written?;
        std::fs::rename(&partial, file)
            .map_err(|error| BackupCommandError::Write(file.clone(), error))?;
        summary
    };
    let place =
        if file == Path::new("-") { "standard output".into() } else { file.display().to_string() };
    Ok(format!(
        "Wrote {place}: {} of {} and {}, {} entries, {} MiB before compression.",
        if passphrase.is_some() { "an encrypted backup" } else { "a backup" },
        counted(summary.apps, "app"),
        counted(summary.volumes, "volume"),
        summary.entries,
        summary.bytes >> 20
    ))
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn write_file(
    source: &Source<'_>,
    passphrase: Option<&[u8]>,
    path: &Path,
) -> Result<backup::Summary, BackupCommandError> {
    let failed = |error| BackupCommandError::Write(path.to_owned(), error);
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    let mut out = io::BufWriter::with_capacity(1 << 20, &file);
    let summary = backup::create(source, passphrase, &mut out)?;
    out.flush().and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(summary)
}

/// Copies a volume by the process that the server uses for snapshots too: writers are held back,
/// and let go whatever happens.
fn copy_volume(image: &Path, copy: &Path) -> io::Result<()> {
    let lock = image.with_file_name("lock");
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(lock)?;
    lock.lock()?;
    let mut child = Command::new("/proc/self/exe")
        .args(["shim", windlass_runtime::COPY_VOLUME])
        .args([image, copy])
        .stdin(lock.try_clone()?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let end = Instant::now() + COPY_LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            // It goes on, holds the lock and lets the writers go by itself.
            return Err(io::Error::other("the copy takes too long"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

fn verify(arguments: &ReadArguments) -> Result<String, BackupCommandError> {
    let secret = secret_for(arguments)?;
    let manifest = backup::verify(&arguments.file, secret.as_deref())?;
    let bytes: u64 = manifest.entries.iter().map(|entry| entry.size).sum();
    Ok(format!(
        "The backup of {} (windlass {}) is whole: {} entries, {} MiB.",
        manifest.created_at,
        manifest.version,
        manifest.entries.len(),
        bytes >> 20
    ))
}

fn restore(config: &Config, arguments: &ReadArguments) -> Result<String, BackupCommandError> {
    let data = &config.data_directory;
    let secret = secret_for(arguments)?;
    let restored = backup::restore(&arguments.file, secret.as_deref(), data)?;
    let configuration = restored.configuration.map_or_else(String::new, |file| {
        format!(" Its configuration is in {}: put it in place.", file.display())
    });
    Ok(format!(
        "Restored the backup of {} into {}.{configuration} Now run `windlass setup`, then start the server.",
        restored.manifest.created_at,
        data.display()
    ))
}

/// Asks for the passphrase of an encrypted backup if no file was given.
fn secret_for(arguments: &ReadArguments) -> Result<Option<Vec<u8>>, BackupCommandError> {
    let file = arguments.passphrase_file.as_deref();
    if file.is_none() && !passphrase::is_encrypted(&arguments.file) {
        return Ok(None);
    }
    passphrase::get(file, false).map(Some)
}
