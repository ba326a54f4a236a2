//! Receive: repositories, and what happens when somebody pushes.
//!
//! git itself speaks the pack protocol. Its `proc-receive` hook is this binary, which hands the
//! wanted ref updates to the server over a socket; the server builds, releases, and moves the ref
//! itself, so that the ref moves only if the release was made.

mod archive;
mod download;
pub(crate) mod git;
pub mod hook;
mod image;
mod push;
pub mod remote;
mod repository;
mod server;
mod setup;
mod uploads;
mod webhook;

pub use archive::SourceRequest;
pub(crate) use remote::clear_fetches;
pub use remote::{Sync, SyncRequest};
pub(crate) use repository::{branch_commit, create_repository, repository_path};
pub(crate) use setup::SetupSource;
pub use uploads::Upload;
pub(crate) use uploads::{SourceFile, Uploads};
pub(crate) use webhook::{EVENTS, is_signed};
pub use webhook::{Webhook, WebhookAnswer};

use crate::records::{App, User};
use crate::settings::Settings;
use crate::{Platform, Result};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use windlass_core::access::Permission;
use windlass_core::ids::AppId;

/// What a git client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Fetch and clone.
    UploadPack,
    /// Push.
    ReceivePack,
}

impl Service {
    /// Returns the git sub-command: `upload-pack`.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// Where a git client comes from, for the audit trail.
#[derive(Clone, Debug, Default)]
pub struct GitOrigin {
    pub address: Option<IpAddr>,
    /// What its token is for, or which SSH key it is.
    pub login: Option<String>,
}

/// A client's visit to a repository. Keep it until git has ended: its hook is only heard meanwhile.
pub struct GitSession {
    pub repository: PathBuf,
    /// Environment that git must be given.
    pub environment: Vec<(String, String)>,
    secret: String,
    platform: Platform,
}

impl Drop for GitSession {
    fn drop(&mut self) {
        self.platform.receiver().sessions().remove(&self.secret);
    }
}

/// Who pushes to what.
#[derive(Clone)]
pub(crate) struct Session {
    user: User,
    app: App,
    origin: GitOrigin,
}

impl Session {
    /// Of one whose source comes by other ways than git's.
    fn without_git(user: &User, app: &App) -> Self {
        Self { user: user.clone(), app: app.clone(), origin: GitOrigin::default() }
    }
}

pub(crate) struct Receiver {
    socket: PathBuf,
    sessions: Mutex<HashMap<String, Session>>,
    lines: Mutex<HashMap<AppId, AppLine>>,
    uploads: Uploads,
    /// Apps that a webhook has started to fetch, and whether they were called again meanwhile.
    syncing: Mutex<HashMap<AppId, bool>>,
}

/// Builds of one app go one after the other.
#[derive(Clone, Default)]
pub(crate) struct AppLine {
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    cancel: Arc<Notify>,
}

impl Receiver {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            socket: settings.run_directory.join("hook.sock"),
            sessions: Mutex::default(),
            lines: Mutex::default(),
            uploads: Uploads::new(settings.data_directory.join("sources")),
            syncing: Mutex::default(),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn syncing(&self) -> MutexGuard<'_, HashMap<AppId, bool>> {
        self.syncing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    pub(crate) fn line_of(&self, app: AppId) -> AppLine {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).entry(app).or_default().clone()
    }

    /// Cancels what is being built of an app.
    pub(crate) fn cancel_builds(&self, app: AppId) {
        self.line_of(app).cancel.notify_waiters();
    }
}

impl Platform {
    /// Opens a git session for a user on an app of theirs.
    pub fn begin_git(
        &self,
        user: &User,
        app: &App,
        service: Service,
        origin: GitOrigin,
    ) -> Result<GitSession> {
        self.require(user, app, Permission::Deploy)?;
        let secret = crate::access::random_secret();
        if service == Service::ReceivePack {
            let session = Session { user: user.clone(), app: app.clone(), origin };
            self.receiver().sessions().insert(secret.clone(), session);
        }
        let environment = vec![
            (hook::SOCKET_VARIABLE.to_owned(), self.receiver().socket.display().to_string()),
            (hook::SESSION_VARIABLE.to_owned(), secret.clone()),
        ];
        Ok(GitSession {
            repository: repository_path(self.settings(), app.id),
            environment,
            secret,
            platform: self.clone(),
        })
    }
}
