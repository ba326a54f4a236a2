//! The SSH server: git for those who have a key, and nothing else.

use super::ssh_session::Connection;
use crate::keepalive;
use crate::serve::{CLOSING_LIMIT, after_failed_accept, turns_true};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Config, Handle, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, SshId};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
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

/// Serves git over SSH until `shutdown`; transfers then have five seconds to end. The host key is
/// made on first start and readable by its owner only.
///
/// # Errors
/// When the host key can be neither read nor made.
pub async fn serve_ssh(
    listener: TcpListener,
    host_key_file: PathBuf,
    platform: Platform,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SshError> {
    let config = Arc::new(configuration(host_key(&host_key_file)?));
    let places = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
    let (closing, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok((connection, place)) => {
                    let served = serve_connection(config.clone(), connection, platform.clone(), closing.subscribe());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => after_failed_accept(&error).await,
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSING_LIMIT, ended).await.is_err() {
        closing.send_replace(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            while connections.join_next().await.is_some() {}
        })
        .await;
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (connection, _) = listener.accept().await?;
    Ok((connection, place))
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

async fn serve_connection(
    config: Arc<Config>,
    connection: TcpStream,
    platform: Platform,
    mut closing: watch::Receiver<bool>,
) {
    keepalive::prepare(&connection);
    let (handler, mut known) = Connection::new(platform);
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

/// Reads the host key, or makes one.
fn host_key(path: &Path) -> Result<PrivateKey, SshError> {
    let failed = |action| move |source| SshError::HostKey { action, path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(bytes) => PrivateKey::from_openssh(bytes)
            .map_err(|source| SshError::DamagedHostKey { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
                .map_err(SshError::NewHostKey)?;
            let text = key.to_openssh(LineEnding::LF).map_err(SshError::NewHostKey)?;
            write_private(path, text.as_bytes()).map_err(failed("written"))?;
            tracing::info!(file = %path.display(), "made a new SSH host key");
            Ok(key)
        }
        Err(error) => Err(failed("read")(error)),
    }
}

/// Writes a file that only its owner can read; it appears complete or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_host_key_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host_key");
        let first = host_key(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(host_key(&path).unwrap().public_key(), first.public_key());
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
        std::fs::write(&path, "damaged").unwrap();
        assert!(matches!(host_key(&path), Err(SshError::DamagedHostKey { .. })));
    }
}
