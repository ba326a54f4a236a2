//! Following shims: those this driver has started, and those that an earlier one has left.

use super::instances::{Instance, Phase};
use super::{EmbeddedDriver, KILL_LIMIT, remove_directory};
use crate::launch::{
    LAUNCH_FILE, LOCK_FILE, Launch, STATUS_FILE, Status, now_ms, read_json, write_json,
};
use crate::{RuntimeError, sys};
use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use windlass_core::driver::InstanceEvent;
use windlass_core::instance::ExitStatus;

/// How long a shim that was starting when the former server ended may take until it has started.
const START_LIMIT: Duration = Duration::from_secs(30);

const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl EmbeddedDriver {
    /// Waits in the background for the end of a shim and then records how its instance ended.
    pub(super) fn watch(
        &self,
        instance: Arc<Instance>,
        shim_ended: impl Future<Output = ()> + Send + 'static,
    ) {
        let driver = self.this.clone();
        tokio::spawn(async move {
            shim_ended.await;
            if let Some(driver) = driver.upgrade() {
                driver.shim_ended(&instance).await;
            }
        });
    }

    async fn shim_ended(&self, instance: &Instance) {
        let id = instance.spec.id.clone();
        let path = self.directory(&id).join(STATUS_FILE);
        let (started_at_ms, status) = match read_json(&path) {
            Ok(Status::Exited { started_at_ms, status }) => (started_at_ms, status),
            other => {
                let started_at_ms = match other {
                    Ok(Status::Running { started_at_ms, .. }) => started_at_ms,
                    _ => now_ms(),
                };
                let status = self.end_orphan(instance).await;
                let exited = Status::Exited { started_at_ms, status: status.clone() };
                if let Err(error) = write_json(&path, &exited) {
                    tracing::error!(?path, %error, "the end of an instance was not recorded");
                }
                (started_at_ms, status)
            }
        };
        instance.set_phase(Phase::Exited { started_at_ms, status: status.clone() });
        let _ = self.events.send(InstanceEvent::Exited { id, status });
    }

    /// Kills an instance whose shim is gone: nobody holds its pipes any more.
    async fn end_orphan(&self, instance: &Instance) -> ExitStatus {
        let cgroup = self.cgroup(&instance.spec.id);
        let out_of_memory = tokio::task::spawn_blocking(move || {
            let out_of_memory = cgroup.ran_out_of_memory();
            let _ = cgroup.kill_all(KILL_LIMIT);
            cgroup.remove();
            out_of_memory
        });
        ExitStatus {
            code: 128 + libc::SIGKILL,
            out_of_memory: out_of_memory.await.unwrap_or(false),
            out_of_processes: false,
            reason: Some("its shim was killed".to_owned()),
            at_ms: now_ms(),
        }
    }

    /// Takes over the instances of an earlier driver.
    pub(super) async fn recover(&self) -> Result<(), RuntimeError> {
        let directory = self.instances_directory();
        let entries = fs::read_dir(&directory).map_err(RuntimeError::io("read", &directory))?;
        let mut known = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            match read_json::<Launch>(&path.join(LAUNCH_FILE)) {
                Ok(launch) => known.push((launch, path)),
                // The server ended while it made the directory.
                Err(_) => remove_directory(&path),
            }
        }
        for (launch, path) in &known {
            self.subnet.reserve(launch.address);
            if let Err(error) = self.note_address(launch.address, &launch.spec.labels) {
                tracing::error!(id = %launch.spec.id, %error, "an instance cannot ask for names");
            }
            self.take_over(launch, path).await;
        }
        self.remove_unknown_layers();
        Ok(())
    }

    async fn take_over(&self, launch: &Launch, path: &Path) {
        let id = launch.spec.id.clone();
        let shim = match find_shim(path).await {
            Ok(shim) => shim,
            Err(error) => {
                tracing::error!(%id, %error, "the shim of an instance cannot be watched");
                None
            }
        };
        let status = wait_for_status(path, shim.is_some()).await;
        let phase = match &status {
            Some(Status::Running { started_at_ms, .. }) => {
                Phase::Running { started_at_ms: *started_at_ms }
            }
            Some(Status::Exited { started_at_ms, status }) => {
                Phase::Exited { started_at_ms: *started_at_ms, status: status.clone() }
            }
            None => Phase::Starting,
        };
        let instance = Arc::new(Instance::new(launch, phase.clone()));
        let _ = self.instances.insert(instance.clone());
        match (phase, shim) {
            (Phase::Exited { .. }, _) => {}
            (_, Some(shim)) => self.watch(instance, async move { wait_readable(shim).await }),
            (Phase::Starting, None) => {
                // It never ran, and nobody has been told that it does.
                self.remove_leftovers(&id, launch.address).await;
            }
            (_, None) => self.shim_ended(&instance).await,
        }
    }

    /// Removes the writable layers of instances that are not known, as after a reboot.
    fn remove_unknown_layers(&self) {
        let known: Vec<_> = self.instances.all().iter().map(|i| i.spec.id.to_string()).collect();
        let entries = fs::read_dir(self.writable_directory()).into_iter().flatten().flatten();
        for entry in entries {
            if !known.iter().any(|id| entry.file_name() == id.as_str()) {
                tokio::task::spawn_blocking(move || remove_directory(&entry.path()));
            }
        }
    }
}

/// Returns a descriptor for the shim that holds the lock in `directory`; `None` when none does.
async fn find_shim(directory: &Path) -> io::Result<Option<OwnedFd>> {
    let path = directory.join(LOCK_FILE);
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    loop {
        if !is_locked(&path)? {
            return Ok(None);
        }
        // The shim writes its number as the first thing it does.
        if let Ok(pid) = fs::read_to_string(&path)?.trim().parse() {
            let shim = sys::pidfd_open(pid);
            // Still locked now: the number has not been given to another process before.
            return if is_locked(&path)? { shim.map(Some) } else { Ok(None) };
        }
        if tokio::time::Instant::now() > deadline {
            return Err(io::Error::other("it holds its lock but has not said its number"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn is_locked(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(error),
        },
    }
}

/// Returns the recorded status, waiting for it while a shim is still starting.
async fn wait_for_status(directory: &Path, shim_lives: bool) -> Option<Status> {
    let path = directory.join(STATUS_FILE);
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    loop {
        let status = read_json(&path).ok();
        if status.is_some() || !shim_lives || tokio::time::Instant::now() > deadline {
            return status;
        }
        if !is_locked(&directory.join(LOCK_FILE)).unwrap_or(false) {
            return read_json(&path).ok();
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn wait_readable(file: OwnedFd) {
    match sys::watch_readable(file) {
        Ok(file) => {
            let _ = file.readable().await;
        }
        Err(error) => tracing::error!(%error, "a shim cannot be watched"),
    }
}
