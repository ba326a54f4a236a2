//! `windlass upgrade`: puts another binary in the place of the installed one and has the server go
//! on as it, while apps and requests do not notice; and back, if it does not become ready.

mod checks;
mod restart;

use crate::arguments::UpgradeArguments;
use crate::config::Config;
use crate::data_lock::{self, Holder};
use checks::Candidate;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How long the new server may take until it is ready.
const READY_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("{0:?} is not a program of this machine: {1}")]
    NotAProgram(PathBuf, String),
    #[error("{0:?} does not say what it is ({1}): it is no windlass, or an older one than this")]
    NotWindlass(PathBuf, String),
    #[error(
        "{path:?} is windlass {version}, which knows the database's schema {known}, but the data is of schema {found}: going back to an older one would lose data; restore a backup of that time instead"
    )]
    Downgrade { path: PathBuf, version: String, known: u32, found: u32 },
    #[error("{0:?} is the installed binary itself: give the path of the new one")]
    Itself(PathBuf),
    #[error("{what} {path:?}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] windlass_store::StoreError),
    #[error("windlass {version} did not become ready: {reason}; {then}")]
    Failed { version: String, reason: String, then: String },
}

pub fn main(arguments: &UpgradeArguments) -> ExitCode {
    let config = match crate::load(&arguments.server) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match run(&config, &arguments.binary) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => crate::fail(&error, 1),
    }
}

/// `windlass capabilities`: what an upgrade asks a binary.
pub fn capabilities_main() -> ExitCode {
    match serde_json::to_string(&checks::Capabilities::own()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => crate::fail(&error, 1),
    }
}

pub(crate) fn failed(
    what: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> UpgradeError + use<> {
    let path = path.to_owned();
    move |source| UpgradeError::Io { what, path, source }
}

/// Checks the binary, puts it in place and restarts the server, if one runs. Returns what to tell.
pub fn run(config: &Config, binary: &Path) -> Result<String, UpgradeError> {
    let data = &config.data_directory;
    let running = data_lock::holder(data);
    let installed = Installed::find(running.as_ref())?;
    let candidate = checks::check(binary, &installed.path, data)?;
    let database = installed.swap(binary, data, &candidate)?;
    let kept = installed.previous();
    let Some(running) = running else {
        return Ok(format!(
            "windlass {} is installed as {}; no server runs. The binary before it is {}.",
            candidate.version,
            installed.path.display(),
            kept.display()
        ));
    };
    match restart::restart(data, &running, READY_LIMIT) {
        Ok(()) => Ok(format!(
            "windlass {} runs in place of {}. The binary before it is {}.",
            candidate.version,
            running.version,
            kept.display()
        )),
        Err(failure) => {
            let then = installed.go_back(data, database.as_deref(), failure.started)?;
            Err(UpgradeError::Failed { version: candidate.version, reason: failure.reason, then })
        }
    }
}

/// The binary that is in use.
struct Installed {
    path: PathBuf,
}

impl Installed {
    fn find(running: Option<&Holder>) -> Result<Self, UpgradeError> {
        let link = running.map_or_else(
            || PathBuf::from("/proc/self/exe"),
            |holder| PathBuf::from(format!("/proc/{}/exe", holder.pid)),
        );
        let path = std::fs::read_link(&link).map_err(failed("cannot read", &link))?;
        // A binary that was replaced by hand under a running server.
        let text = path.to_string_lossy();
        let path = text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from);
        Ok(Self { path })
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    fn previous(&self) -> PathBuf {
        self.beside(".previous")
    }

    /// Puts the binary in place in one step and keeps the old one. Returns the copy of the
    /// database that was made because the new one will change its schema.
    fn swap(
        &self,
        binary: &Path,
        data: &Path,
        candidate: &Candidate,
    ) -> Result<Option<PathBuf>, UpgradeError> {
        let (new, previous) = (self.beside(".new"), self.previous());
        std::fs::copy(binary, &new).map_err(failed("cannot copy to", &new))?;
        std::fs::File::open(&new)
            .and_then(|file| file.sync_all())
            .map_err(failed("cannot write", &new))?;
        let copy = match candidate.changes_schema {
            true => Some(copy_database(data)?),
            false => None,
        };
        remove(&previous)?;
        if self.path.exists() {
            std::fs::hard_link(&self.path, &previous).map_err(failed("cannot keep", &previous))?;
        }
        std::fs::rename(&new, &self.path).map_err(failed("cannot replace", &self.path))?;
        Ok(copy)
    }

    /// Puts the old binary back and starts it. Returns what to say about it.
    fn go_back(
        &self,
        data: &Path,
        database: Option<&Path>,
        server: restart::Server,
    ) -> Result<String, UpgradeError> {
        std::fs::rename(self.previous(), &self.path)
            .map_err(failed("cannot put back", &self.path))?;
        server.end();
        if let Some(copy) = database {
            for name in ["windlass.db-wal", "windlass.db-shm"] {
                remove(&data.join(name))?;
            }
            std::fs::rename(copy, data.join("windlass.db"))
                .map_err(failed("cannot put back", copy))?;
        }
        Ok(match server.start_again(data, &self.path, READY_LIMIT) {
            Ok(()) => "the binary before it is back and runs".to_owned(),
            Err(reason) => {
                format!("the binary before it is back, but does not run either: {reason}")
            }
        })
    }
}

fn copy_database(data: &Path) -> Result<PathBuf, UpgradeError> {
    let copy = data.join("windlass.db.before-upgrade");
    remove(&copy)?;
    windlass_store::copy_database(data, &copy)?;
    Ok(copy)
}

fn remove(path: &Path) -> Result<(), UpgradeError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("cannot remove", path)(error))
        }
        _ => Ok(()),
    }
}
