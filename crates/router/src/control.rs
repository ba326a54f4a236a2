//! The control socket: commands in, one JSON object a line, answers out.

use crate::config::RouterError;
use crate::run::Router;
use crate::table::Change;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use windlass_core::ids::InstanceId;
use windlass_core::route::{
    RouterCommand, RouterReply, RouterRequest, RouterResponse, RouterStatus,
};

/// The listening control socket; its file is removed when it is dropped.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Locked as long as this router lives, however it ends.
    _lock: File,
}

impl ControlSocket {
    /// Makes the socket with mode 0600 in place of one left behind by a dead router.
    pub fn bind(path: &Path) -> Result<Self, RouterError> {
        let failed = |source| RouterError::ControlSocket { socket: path.to_owned(), source };
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock_path);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RouterError::AlreadyRunning { socket: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let listener = bind_private(path).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), _lock: lock })
    }

    /// Answers commands for ever.
    pub async fn serve(self, router: Arc<Router>) {
        let mut connections = JoinSet::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, Arc::clone(&router)))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds under another name first, so that the socket is never there with other permissions
/// and replaces a stale one in one step.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o600))?;
    fs::rename(&temporary, path)?;
    Ok(listener)
}

/// Takes the commands of one connection in order; answers come when they are ready.
async fn converse(stream: UnixStream, router: Arc<Router>) {
    let (reading, mut writing) = stream.into_split();
    let (answers, mut outgoing) = mpsc::unbounded_channel::<RouterResponse>();
    let writer = async move {
        while let Some(answer) = outgoing.recv().await {
            let Ok(mut line) = serde_json::to_vec(&answer) else { continue };
            line.push(b'\n');
            if writing.write_all(&line).await.is_err() {
                return;
            }
        }
    };
    let reader = async move {
        let mut pending = JoinSet::new();
        let mut lines = BufReader::new(reading).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            while pending.try_join_next().is_some() {}
            let request = match serde_json::from_str::<RouterRequest>(&line) {
                Ok(request) => request,
                Err(error) => {
                    let message = format!("not a router command: {error}");
                    let _ = answers.send(RouterResponse {
                        id: id_of(&line),
                        reply: RouterReply::Failed { message },
                    });
                    continue;
                }
            };
            let answer = execute(&router, request.command);
            let answers = answers.clone();
            pending.spawn(async move {
                // Nobody waits for the answer when this fails.
                let _ = answers.send(RouterResponse { id: request.id, reply: answer.await });
            });
        }
    };
    // Either end means that the control plane has gone.
    tokio::select! {
        () = reader => {}
        () = writer => {}
    }
}

/// Returns the number of a command that is otherwise not understood, or 0.
fn id_of(line: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    value["id"].as_u64().unwrap_or_default()
}

/// What is left of a command after its change in memory.
enum Rest {
    Save(u64),
    Drain(InstanceId, Duration),
    Status,
}

/// Carries the command out in memory, in the order of calls, and returns the rest of its work.
fn execute(
    router: &Arc<Router>,
    command: RouterCommand,
) -> impl Future<Output = RouterReply> + Send + 'static {
    let router = Arc::clone(router);
    let table = &router.table;
    let rest = match command {
        RouterCommand::Sync { routes } => Rest::Save(table.apply(Change::Sync(routes))),
        RouterCommand::Upsert { route } => Rest::Save(table.apply(Change::Upsert(route))),
        RouterCommand::Remove { app } => Rest::Save(table.apply(Change::Remove(app))),
        RouterCommand::Drain { instance, timeout_ms } => {
            Rest::Drain(instance, Duration::from_millis(timeout_ms))
        }
        RouterCommand::Status => Rest::Status,
    };
    async move {
        match rest {
            Rest::Save(generation) => saved(&router, generation).await,
            Rest::Drain(instance, timeout) => drain(&router, &instance, timeout).await,
            Rest::Status => RouterReply::Status(status(&router)),
        }
    }
}

async fn saved(router: &Router, generation: u64) -> RouterReply {
    match router.table.save(generation).await {
        Ok(()) => RouterReply::Applied,
        Err(error) => {
            let message =
                format!("the route is in use but could not be saved to the table file: {error}");
            tracing::error!("{message}");
            RouterReply::Failed { message }
        }
    }
}

async fn drain(router: &Router, instance: &InstanceId, timeout: Duration) -> RouterReply {
    let Some(counter) = router.table.instance(instance) else {
        return RouterReply::Drained { in_flight: 0 };
    };
    if !counter.is_retired() {
        let message =
            format!("instance {instance} is still in the table: take it out before draining it");
        return RouterReply::Failed { message };
    }
    RouterReply::Drained { in_flight: counter.drained(timeout).await }
}

fn status(router: &Router) -> RouterStatus {
    RouterStatus {
        pid: std::process::id(),
        http: router.http,
        apps: router.table.current().len(),
        requests: router.requests.load(Ordering::Relaxed),
        in_flight: router.in_flight.load(Ordering::Relaxed),
    }
}
