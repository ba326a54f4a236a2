//! The SSH server: git for those who have a key, and nothing else; beside it, at a door of its own,
//! commands inside instances for those whom the API let in ([`crate::exec`]).

mod channel;
mod host_key;

pub(crate) use channel::{Gone, STANDARD_ERROR, close, in_background, say};
pub use host_key::HOST_KEY_FILE;
pub(crate) use host_key::public_host_key;

use crate::exec::ExecConnection;
use crate::git::SshConnection;
use crate::keepalive;
use crate::serve::{CLOSING_LIMIT, after_failed_accept, turns_true};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::server::{Config, Handle, Handler, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, SshId};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use windlass_control::Platform;

/// How long a client may take until it is known.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// After as many unanswered keepalives a connection is given up.
const KEEPALIVES: usize = 3;
/// More connections at once wait to be accepted.
const MAXIMUM_CONNECTIONS: usize = 256;
/// Agents offer all the keys they hold, one after the other.
const MAXIMUM_KEYS_OFFERED: usize = 20;

/// The SSH door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    #[error("the SSH host key {path:?} could not be {action}")]
    HostKey { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the SSH host key {path:?} is damaged: put the right one back, or delete it to get a new one (clients will warn that it changed)"
    )]
    DamagedHostKey { path: PathBuf, source: russh::keys::ssh_key::Error },
    #[error("a new SSH host key could not be made")]
    NewHostKey(#[source] russh::keys::ssh_key::Error),
}

/// Returns `SHA256:…`, as keys are known by.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Where SSH connections come in.
pub struct SshDoors {
    /// For git.
    pub git: TcpListener,
    /// For Heroku's `ps:exec`: what the router passes on.
    pub exec: Option<UnixListener>,
}

/// Serves git, and commands inside instances, over SSH until `shutdown`; what is under way then has
/// five seconds to end. The host key is made on first start and readable by its owner only.
///
/// # Errors
/// When the host key can be neither read nor made.
pub async fn serve_ssh(
    doors: SshDoors,
    host_key_file: PathBuf,
    platform: Platform,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SshError> {
    let config = Arc::new(configuration(host_key::read_or_make(&host_key_file)?));
    let (stop, stopping) = watch::channel(false);
    let git = GitDoor { listener: doors.git, platform: platform.clone() };
    let git = serve_door(git, config.clone(), stopping.clone());
    let exec = async {
        if let Some(listener) = doors.exec {
            serve_door(ExecDoor { listener, platform }, config, stopping).await;
        }
    };
    let shutdown = async {
        shutdown.await;
        stop.send_replace(true);
    };
    tokio::join!(git, exec, shutdown);
    Ok(())
}

/// What a connection comes through, and who serves it.
trait Door {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type Handler: Handler<Error = russh::Error> + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Returns a handler, and what turns true when its client is known.
    fn handler(&self, stream: &Self::Stream) -> (Self::Handler, watch::Receiver<bool>);
}

struct GitDoor {
    listener: TcpListener,
    platform: Platform,
}

impl Door for GitDoor {
    type Stream = TcpStream;
    type Handler = SshConnection;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        keepalive::prepare(&stream);
        Ok(stream)
    }

    fn handler(&self, stream: &TcpStream) -> (SshConnection, watch::Receiver<bool>) {
        let from = stream.peer_addr().ok().map(|address| address.ip());
        SshConnection::new(self.platform.clone(), from)
    }
}

struct ExecDoor {
    listener: UnixListener,
    platform: Platform,
}

impl Door for ExecDoor {
    type Stream = UnixStream;
    type Handler = ExecConnection;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    fn handler(&self, _: &UnixStream) -> (ExecConnection, watch::Receiver<bool>) {
        ExecConnection::new(self.platform.clone())
    }
}

async fn serve_door<D: Door>(door: D, config: Arc<Config>, mut stopping: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
    let (closing, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = turns_true(&mut stopping) => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&door, &places) => match accepted {
                Ok((stream, place)) => {
                    let handler = door.handler(&stream);
                    let served = serve_connection(config.clone(), stream, handler, closing.subscribe());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => after_failed_accept(&error).await,
            },
        }
    }
    drop(door);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSING_LIMIT, ended).await.is_err() {
        closing.send_replace(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            while connections.join_next().await.is_some() {}
        })
        .await;
    }
}

async fn accept<D: Door>(
    door: &D,
    places: &Arc<Semaphore>,
) -> io::Result<(D::Stream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((door.accept().await?, place))
}

fn configuration(host_key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard("SSH-2.0-Windlass".into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        keys: vec![host_key],
        // A key is known or not: there is no secret that could be guessed slowly.
        auth_rejection_time: Duration::from_millis(20),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: MAXIMUM_KEYS_OFFERED,
        // Builds may be silent; whether the client lives is asked by keepalives.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        ..Config::default()
    }
}

async fn serve_connection<H: Handler<Error = russh::Error> + Send + 'static>(
    config: Arc<Config>,
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (handler, mut known): (H, watch::Receiver<bool>),
    mut closing: watch::Receiver<bool>,
) {
    let session = match tokio::time::timeout(LOGIN_LIMIT, run_stream(config, connection, handler))
        .await
    {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return tracing::debug!(%error, "an SSH connection ended before it began"),
        Err(_) => return tracing::debug!("an SSH client said nothing"),
    };
    let handle = session.handle();
    tokio::pin!(session);
    let logged_in = tokio::select! {
        result = &mut session => return ended(result),
        logged_in = tokio::time::timeout(LOGIN_LIMIT, turns_true(&mut known)) => logged_in.is_ok(),
    };
    if !logged_in {
        disconnect(&handle, "you took too long to log in").await;
    }
    tokio::select! {
        result = &mut session => ended(result),
        () = turns_true(&mut closing) => {
            disconnect(&handle, "the server stops").await;
            ended(session.await);
        }
    }
}

fn ended(result: Result<(), russh::Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "an SSH connection ended early");
    }
}

async fn disconnect(handle: &Handle, reason: &str) {
    // An error means that it has ended already.
    let _ = handle.disconnect(Disconnect::ByApplication, reason.to_owned(), String::new()).await;
}
