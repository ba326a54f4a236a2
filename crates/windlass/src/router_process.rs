//! The router process seen from the server: started, watched, started again, spoken to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use windlass_core::route::{RouterCommand, RouterPort, RouterReply, RouterUnavailable};
use windlass_router::client::RouterClient;

/// How long a command waits for a router that is being started again.
const UNAVAILABLE_AFTER: Duration = Duration::from_secs(10);
/// How long a router may take from its start to its control socket.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a server's router lives.
#[derive(Clone, Debug)]
pub struct RouterPlace {
    /// The program to run as `<program> router …`.
    pub program: PathBuf,
    pub listen: SocketAddr,
    pub control_socket: PathBuf,
    pub table_file: PathBuf,
    /// Its standard error: it outlives the server, whose own may be a pipe that ends.
    pub log_file: PathBuf,
}

/// The supervisor's side; commands go to whatever router is connected now.
pub struct RouterProcess {
    connected: watch::Receiver<Option<RouterClient>>,
    /// Counts connections: a change means that a new router wants the table.
    pub connections: watch::Receiver<u64>,
}

impl RouterProcess {
    /// Connects to the router that runs already, or starts one, and keeps one running. Returns it
    /// and the address at which it takes requests.
    pub async fn start(place: RouterPlace) -> Result<(Arc<Self>, SocketAddr), RouterUnavailable> {
        let mut client = connect_or_spawn(&place).await?;
        let mut listen = address_of(&client).await?;
        if place.listen.port() != 0 && listen != place.listen {
            tracing::warn!(was = %listen, now = %place.listen, "router.listen changed; starting the router anew");
            if let Some(pid) = pid(&place.control_socket).await {
                stop_process(pid).await;
            }
            client = connect_or_spawn(&place).await?;
            listen = address_of(&client).await?;
        }
        let (sender, connected) = watch::channel(Some(client));
        let (count, connections) = watch::channel(1);
        // A router that is started again takes the port that the first one got.
        tokio::spawn(supervise(RouterPlace { listen, ..place }, sender, count));
        Ok((Arc::new(Self { connected, connections }), listen))
    }
}

#[async_trait::async_trait]
impl RouterPort for RouterProcess {
    async fn send(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable> {
        let mut connected = self.connected.clone();
        let waiting = connected.wait_for(Option::is_some);
        let client = match tokio::time::timeout(UNAVAILABLE_AFTER, waiting).await {
            Ok(Ok(client)) => client.clone(),
            _ => {
                return Err(RouterUnavailable(format!(
                    "it has not been there for {} s",
                    UNAVAILABLE_AFTER.as_secs()
                )));
            }
        };
        match client {
            Some(client) => {
                client.send(command).await.map_err(|error| RouterUnavailable(error.to_string()))
            }
            None => Err(RouterUnavailable("it is being started".to_owned())),
        }
    }
}

async fn supervise(
    place: RouterPlace,
    connected: watch::Sender<Option<RouterClient>>,
    count: watch::Sender<u64>,
) {
    loop {
        let client = connected.borrow().clone();
        if let Some(client) = client {
            client.closed().await;
            tracing::warn!("the router went away; starting it again");
            let _ = connected.send(None);
        }
        match connect_or_spawn(&place).await {
            Ok(client) => {
                let _ = connected.send(Some(client));
                count.send_modify(|number| *number += 1);
            }
            Err(error) => {
                tracing::error!(%error, "the router could not be started");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        if connected.is_closed() {
            return;
        }
    }
}

async fn connect_or_spawn(place: &RouterPlace) -> Result<RouterClient, RouterUnavailable> {
    if let Ok(client) = RouterClient::connect(&place.control_socket).await {
        if address_of(&client).await.is_ok() {
            return Ok(client);
        }
        // It was being ended when it took the connection: let it give up its lock.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut child =
        spawn(place).map_err(|error| RouterUnavailable(format!("it cannot be run: {error}")))?;
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(client) = RouterClient::connect(&place.control_socket).await {
            // Reap it when it ends; it is not ours to kill.
            tokio::spawn(async move { child.wait().await });
            return Ok(client);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(RouterUnavailable(format!(
                "it ended at once ({status}): {}",
                last_line(&place.log_file)
            )));
        }
        if tokio::time::Instant::now() > deadline {
            return Err(RouterUnavailable("it did not open its control socket".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn spawn(place: &RouterPlace) -> std::io::Result<tokio::process::Child> {
    let log = std::fs::File::options().create(true).append(true).open(&place.log_file)?;
    tokio::process::Command::new(&place.program)
        .arg("router")
        .arg("--listen")
        .arg(place.listen.to_string())
        .arg("--control-socket")
        .arg(&place.control_socket)
        .arg("--table-file")
        .arg(&place.table_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Not in the terminal's group: Ctrl-C stops the server only.
        .process_group(0)
        .env_remove("NOTIFY_SOCKET")
        .spawn()
}

async fn address_of(client: &RouterClient) -> Result<SocketAddr, RouterUnavailable> {
    match client.send(RouterCommand::Status).await {
        Ok(RouterReply::Status(status)) => Ok(status.http),
        Ok(other) => Err(RouterUnavailable(format!("it answered {other:?} to a status request"))),
        Err(error) => Err(RouterUnavailable(error.to_string())),
    }
}

/// Asks a router that runs for its process number.
pub async fn pid(control_socket: &Path) -> Option<u32> {
    let client = RouterClient::connect(control_socket).await.ok()?;
    match client.send(RouterCommand::Status).await {
        Ok(RouterReply::Status(status)) => Some(status.pid),
        _ => None,
    }
}

fn last_line(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}

/// Sends SIGTERM and, after its drain, SIGKILL.
pub async fn stop_process(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process, test_kill_process};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process(pid, Signal::TERM);
    for _ in 0..350 {
        if test_kill_process(pid).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _ = kill_process(pid, Signal::KILL);
}
