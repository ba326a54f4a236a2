//! Builds under way: slots for them, stopping one, and reading what it says.

use super::BuildOutput;
use crate::platform::now_ms;
use crate::records::{App, Build, BuildStatus, User};
use crate::{Platform, PlatformError, Result};
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::future::Future;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{RwLock, Semaphore, SemaphorePermit, mpsc, watch};
use windlass_core::ids::{AppId, BuildId};

/// How often the output of a build under way is read.
const READ_EVERY: Duration = Duration::from_millis(200);
/// At most so much of it at once, in bytes.
const READ_BYTES: usize = 256 << 10;
/// How long a build that is canceled may take to be over.
const CANCEL_LIMIT: Duration = Duration::from_secs(20);

/// All builds under way, from when they are asked for until their release is live or has failed.
pub(crate) struct Builds {
    /// Given in the order of asking. Since builds of one app go one after the other, an app waits
    /// here at most once, and a second build of it comes after the first of all others.
    slots: Semaphore,
    running: Mutex<HashMap<BuildId, Running>>,
    /// Of Dockerfile builds: they share it, and what cleans it up has it alone.
    storage: RwLock<()>,
}

struct Running {
    app: AppId,
    /// Why it is to stop.
    cancel: Arc<watch::Sender<Option<String>>>,
}

impl Builds {
    pub(crate) fn new(concurrent: usize) -> Self {
        Self {
            slots: Semaphore::new(concurrent),
            running: Mutex::default(),
            storage: RwLock::new(()),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<BuildId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock on the storage of Dockerfile builds.
    pub(super) fn storage(&self) -> &RwLock<()> {
        &self.storage
    }

    /// Waits for a free slot.
    pub(super) async fn slot(&self, output: &mut BuildOutput) -> Result<SemaphorePermit<'_>> {
        if self.slots.available_permits() == 0 {
            output.heading("Waiting: the server builds other apps...");
        }
        let slot = self.slots.acquire().await;
        slot.map_err(|error| PlatformError::internal("no build slot", error))
    }

    /// Stops all builds of an app that is destroyed.
    pub(crate) fn cancel_all_of(&self, app: AppId) {
        for running in self.running().values().filter(|running| running.app == app) {
            running.cancel.send_replace(Some("The app was destroyed.".to_owned()));
        }
    }
}

/// A build that has been asked for and is not over. When it is dropped before its end it counts as
/// failed.
pub(crate) struct BuildJob {
    pub build: Build,
    canceled: watch::Receiver<Option<String>>,
    platform: Platform,
}

impl BuildJob {
    /// Does the work, unless somebody cancels the build meanwhile.
    pub(crate) async fn unless_canceled<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut canceled = self.canceled.clone();
        tokio::select! {
            biased;
            Ok(reason) = canceled.wait_for(Option::is_some) => {
                Err(PlatformError::Conflict(reason.clone().unwrap_or_default()))
            }
            done = work => done,
        }
    }
}

impl Drop for BuildJob {
    fn drop(&mut self) {
        let reason = self.canceled.borrow().clone();
        self.platform.builds_under_way().running().remove(&self.build.id);
        // Its app may be gone, and the build with it.
        if let Ok(Some(build)) = self.platform.store().build(self.build.app, self.build.id)
            && build.status == BuildStatus::Pending
        {
            let reason = reason.unwrap_or_else(|| "canceled: the client went away".to_owned());
            self.platform.mark_failed(build, &reason);
        }
    }
}

impl Platform {
    /// Records a build, which is under way from now on.
    pub(crate) fn begin_build(
        &self,
        user: &User,
        app: &App,
        version: Option<&str>,
    ) -> Result<BuildJob> {
        self.refuse_if_locked(app)?;
        self.refuse_if_disk_is_full()?;
        let now = now_ms();
        let build = Build {
            id: BuildId::random(),
            app: app.id,
            user: user.id,
            status: BuildStatus::Pending,
            commit: version.map(str::to_owned),
            buildpack: None,
            buildpacks: Vec::new(),
            image: None,
            image_size: None,
            failure: None,
            created_at: now,
            updated_at: now,
        };
        let (cancel, canceled) = watch::channel(None);
        let running = Running { app: app.id, cancel: Arc::new(cancel) };
        self.builds_under_way().running().insert(build.id, running);
        let job = BuildJob { build, canceled, platform: self.clone() };
        self.store().save_build(&job.build)?;
        self.logs().append(app.id, "app[api]", &format!("Build started by user {}", user.email));
        Ok(job)
    }

    /// Stops a build, or its release if that is not live yet; returns when it is over.
    pub async fn cancel_build(&self, user: &User, app: &App, id: &str) -> Result<Build> {
        let build = self.build(app, id)?;
        let cancel = self.builds_under_way().running().get(&build.id).map(|r| r.cancel.clone());
        let Some(cancel) = cancel else {
            let status = build.status.as_str();
            return Err(PlatformError::Conflict(format!(
                "Build {} is not under way: it {status} already.",
                build.id
            )));
        };
        cancel.send_replace(Some(format!("The build was canceled by {}.", user.email)));
        if tokio::time::timeout(CANCEL_LIMIT, cancel.closed()).await.is_err() {
            tracing::warn!(build = %build.id, "a build that was canceled goes on");
        }
        self.build(app, id)
    }

    /// Empties the build cache of an app.
    pub async fn purge_build_cache(&self, user: &User, app: &App) -> Result<()> {
        let line = self.receiver().line_of(app.id);
        let Ok(_turn) = line.turn.try_lock() else {
            return Err(PlatformError::Conflict(
                "A build of this app is under way and uses its cache: wait for it, or cancel it."
                    .to_owned(),
            ));
        };
        let cache = self.settings().data_directory.join("caches").join(app.id.to_string());
        let removed = tokio::task::spawn_blocking(move || remove(&cache)).await;
        removed
            .map_err(|error| PlatformError::internal("the build cache was not removed", error))?
            .map_err(|error| PlatformError::internal("the build cache was not removed", error))?;
        let said = format!("Build cache purged by user {}", user.email);
        self.logs().append(app.id, "app[api]", &said);
        Ok(())
    }

    pub(crate) fn build_output_file(&self, build: &Build) -> PathBuf {
        let directory = self.settings().data_directory.join("builds").join(build.app.to_string());
        directory.join(format!("{}.log", build.id))
    }

    /// Returns what a build said, from the beginning until its release is live or has failed.
    pub fn build_output(&self, build: &Build) -> mpsc::Receiver<Bytes> {
        let (platform, id) = (self.clone(), build.id);
        follow(self.build_output_file(build), move || {
            platform.builds_under_way().running().contains_key(&id)
        })
    }
}

/// Returns what is in a file and what is added to it, until it is not being written any more.
pub(crate) fn follow(
    path: PathBuf,
    is_written: impl Fn() -> bool + Send + 'static,
) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut sent = 0;
        loop {
            // Asked before reading: what is written in between is read in the next round.
            let running = is_written();
            while let Ok(bytes) = read_from(&path, sent).await
                && !bytes.is_empty()
            {
                sent += bytes.len() as u64;
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
            if !running || sender.is_closed() {
                return;
            }
            tokio::time::sleep(READ_EVERY).await;
        }
    });
    receiver
}

fn remove(directory: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn read_from(path: &Path, offset: u64) -> std::io::Result<Bytes> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    let mut bytes = BytesMut::with_capacity(READ_BYTES);
    while bytes.len() < READ_BYTES && file.read_buf(&mut bytes).await? > 0 {}
    Ok(bytes.freeze())
}
