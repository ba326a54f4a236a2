//! The control socket: commands in, one JSON object a line, answers out.

use crate::config::RouterError;
use crate::hand_over;
use crate::metrics;
use crate::run::{Phase, Router};
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
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use windlass_core::ids::InstanceId;
use windlass_core::route::{
    RouterCommand, RouterReply, RouterRequest, RouterResponse, RouterStatus,
};

/// Takes the lock that keeps a second router from a control socket; it is held as long as the file
/// is open here or at a router that it was handed over to.
pub(crate) fn lock(path: &Path) -> Result<File, RouterError> {
    let failed = |source| RouterError::ControlSocket { socket: path.to_owned(), source };
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock_path);
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(RouterError::AlreadyRunning { socket: path.to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The listening control socket; its file is removed when it is dropped, unless the next router
/// has put its own there.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    handed_over: watch::Receiver<bool>,
}

impl ControlSocket {
    /// Makes the socket with mode 0600 in place of one that is there. The lock must be held.
    pub fn bind(path: &Path, handed_over: watch::Receiver<bool>) -> Result<Self, RouterError> {
        let failed = |source| RouterError::ControlSocket { socket: path.to_owned(), source };
        let listener = bind_private(path).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), handed_over })
    }

    /// Answers commands until the next router does.
    pub async fn serve(mut self, router: Arc<Router>) {
        let mut connections = JoinSet::new();
        let mut handed_over = self.handed_over.clone();
        let next_serves = async move {
            let _ = handed_over.wait_for(|handed_over| *handed_over).await;
        };
        let mut next_serves = std::pin::pin!(next_serves);
        loop {
            let accepted = tokio::select! {
                biased;
                () = next_serves.as_mut() => return,
                () = router.control_lost.notified() => {
                    self.bind_again();
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&router), Speaker::Server));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }

    fn bind_again(&mut self) {
        match bind_private(&self.path) {
            Ok(listener) => self.listener = listener,
            Err(error) => tracing::error!(%error, "the control socket cannot be made again"),
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if !*self.handed_over.borrow() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds under another name first, so that the socket is never there with other permissions
/// and replaces a stale one in one step.
pub(crate) fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o600))?;
    fs::rename(&temporary, path)?;
    Ok(listener)
}

/// Who is at the other end of a control connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Server,
    /// The router that was handed the sockets.
    Next,
}

/// Takes the commands of one connection in order; answers come when they are ready.
pub(crate) async fn converse(stream: UnixStream, router: Arc<Router>, speaker: Speaker) {
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
            if let RouterCommand::HandOver { to } = &request.command {
                let reply = match hand_over::offer(&router, to).await {
                    Ok(()) => RouterReply::Applied,
                    Err(error) => RouterReply::Failed { message: error.to_string() },
                };
                let _ = answers.send(RouterResponse { id: request.id, reply });
                continue;
            }
            let begin = || execute(&router, request.command, speaker);
            let answer = match speaker {
                Speaker::Next => Some(begin()),
                Speaker::Server => router.gate.pass(begin),
            };
            // The next router has the sockets: the command is sent again to whoever serves then.
            let Some(answer) = answer else { return };
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
    SaveCertificates(u64),
    Drain(InstanceId, Duration),
    Status,
    Metrics,
    Nothing,
    Fail(String),
    Refuse,
}

/// Carries the command out in memory, in the order of calls, and returns the rest of its work.
fn execute(
    router: &Arc<Router>,
    command: RouterCommand,
    speaker: Speaker,
) -> impl Future<Output = RouterReply> + Send + use<> {
    let router = Arc::clone(router);
    let before = pass_on(&router, &command);
    let table = &router.table;
    let rest = match command {
        RouterCommand::Sync { routes } => Rest::Save(table.apply(Change::Sync(routes))),
        RouterCommand::Upsert { route } => Rest::Save(table.apply(Change::Upsert(route))),
        RouterCommand::Remove { app } => Rest::Save(table.apply(Change::Remove(app))),
        RouterCommand::Certificates { certificates } => {
            match router.listening.tls.apply(certificates) {
                Ok(generation) => Rest::SaveCertificates(generation),
                Err(error) => Rest::Fail(error.to_string()),
            }
        }
        RouterCommand::Challenges { challenges } => {
            table.set_challenges(challenges);
            Rest::Nothing
        }
        RouterCommand::Drain { instance, timeout_ms } => {
            Rest::Drain(instance, Duration::from_millis(timeout_ms))
        }
        RouterCommand::Status => Rest::Status,
        RouterCommand::Metrics => Rest::Metrics,
        RouterCommand::TakenOver if speaker == Speaker::Next => {
            router.handles.close();
            router.handed_over.send_replace(true);
            router.phase.send_replace(Phase::HandedOver);
            Rest::Nothing
        }
        RouterCommand::Stop if speaker == Speaker::Next => {
            router.hurry.notify_one();
            Rest::Nothing
        }
        RouterCommand::TakenOver | RouterCommand::Stop | RouterCommand::HandOver { .. } => {
            Rest::Refuse
        }
    };
    async move {
        match rest {
            Rest::Save(generation) => {
                // The file is that of the router which serves.
                let saved = async {
                    match speaker {
                        Speaker::Server => saved(&router, generation).await,
                        Speaker::Next => RouterReply::Applied,
                    }
                };
                tokio::join!(saved, before).0
            }
            Rest::Drain(instance, timeout) => {
                let (here, before) = tokio::join!(drain(&router, &instance, timeout), before);
                together(here, before)
            }
            // The file is that of the router which serves.
            Rest::SaveCertificates(_) if speaker == Speaker::Next => RouterReply::Applied,
            Rest::SaveCertificates(generation) => saved_certificates(&router, generation).await,
            Rest::Nothing => RouterReply::Applied,
            Rest::Fail(message) => RouterReply::Failed { message },
            Rest::Refuse => {
                RouterReply::Failed { message: "only the next router may say this".to_owned() }
            }
            Rest::Status => RouterReply::Status(status(&router)),
            // With many apps it is long: not on a thread that carries requests.
            Rest::Metrics => {
                match tokio::task::spawn_blocking(move || metrics::text(&router)).await {
                    Ok(text) => RouterReply::Metrics { text },
                    Err(error) => RouterReply::Failed { message: error.to_string() },
                }
            }
        }
    }
}

/// Tells the router before this one too, in the same order, and returns its answer, if there is
/// such a router and it has to know.
fn pass_on(
    router: &Router,
    command: &RouterCommand,
) -> impl Future<Output = Option<RouterReply>> + Send + use<> {
    let concerns_it = !matches!(
        command,
        RouterCommand::Status
            | RouterCommand::Metrics
            | RouterCommand::TakenOver
            | RouterCommand::HandOver { .. }
            | RouterCommand::Certificates { .. }
    );
    let before = router.before.as_ref().filter(|before| concerns_it && !before.is_closed());
    let answer = before.map(|before| before.begin(command.clone()));
    async move { answer?.await.ok() }
}

/// A drain is clean when nothing is left at either router. One that is gone has nothing.
fn together(here: RouterReply, before: Option<RouterReply>) -> RouterReply {
    match (here, before) {
        (
            RouterReply::Drained { in_flight },
            Some(RouterReply::Drained { in_flight: elsewhere }),
        ) => RouterReply::Drained { in_flight: in_flight + elsewhere },
        (here, _) => here,
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

async fn saved_certificates(router: &Router, generation: u64) -> RouterReply {
    match router.listening.tls.save(generation).await {
        Ok(()) => RouterReply::Applied,
        Err(error) => {
            let message = format!("the certificates are in use but could not be saved: {error}");
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
        https: router.listening.https,
        listen: router.listening.options.clone(),
        dns: router.dns,
        zone: router.zone.clone(),
        apps: router.table.current().len(),
        requests: router.requests.load(Ordering::Relaxed),
        in_flight: router.in_flight.load(Ordering::Relaxed),
    }
}
