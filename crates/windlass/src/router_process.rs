//! The router process seen from the server: started, watched, started again, spoken to.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use windlass_core::route::{
    ListenOptions, RouterCommand, RouterPort, RouterReply, RouterUnavailable,
};
use windlass_core::zone::Zone;
use windlass_router::client::{ClientError, RouterClient};

/// How long a command waits for a router that is being started again.
const UNAVAILABLE_AFTER: Duration = Duration::from_secs(10);
/// Until a router that went away is looked for again.
const AGAIN: Duration = Duration::from_millis(50);
/// How long a router may take from its start to its control socket: on a machine that has just
/// booted, its program comes from a slow disk that many others read.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a server's router lives.
#[derive(Clone, Debug)]
pub struct RouterPlace {
    /// The program to run as `<program> router …`.
    pub program: PathBuf,
    pub listen: SocketAddr,
    pub options: ListenOptions,
    pub control_socket: PathBuf,
    pub table_file: PathBuf,
    /// Its standard error: it outlives the server, whose own may be a pipe that ends.
    pub log_file: PathBuf,
    /// Where the name server of instances listens; port 0 takes a free one.
    pub dns_listen: SocketAddrV4,
    /// Where the driver notes whose an address is.
    pub dns_clients: PathBuf,
    /// The zone that is answered for; port 0 takes a free one.
    pub zone: Option<Zone>,
}

/// Where a router answers.
#[derive(Clone, Copy, Debug)]
pub struct RouterAddresses {
    pub http: SocketAddr,
    /// Where it takes requests over TLS, if it does.
    pub https: Option<SocketAddr>,
    /// `None` when it has no name server, as one that an older version has started.
    pub dns: Option<SocketAddr>,
    /// Where the zone is answered, if there is one.
    pub zone: Option<SocketAddr>,
}

/// The supervisor's side; commands go to whatever router is connected now.
pub struct RouterProcess {
    connected: watch::Receiver<Option<RouterClient>>,
    /// Counts connections: a change means that a new router wants the table.
    pub connections: watch::Receiver<u64>,
}

impl RouterProcess {
    /// Connects to the router that runs already, or starts one, and keeps one running. Returns it
    /// and the addresses at which it answers.
    pub async fn start(
        place: RouterPlace,
    ) -> Result<(Arc<Self>, RouterAddresses), RouterUnavailable> {
        let mut client = connect_or_spawn(&place).await?;
        let mut addresses = addresses_of(&client).await?;
        let listen = addresses.http;
        let moved = place.listen.port() != 0 && listen != place.listen;
        if moved
            || is_another_program(&client, &place.program).await
            || has_another_zone(&client, place.zone.as_ref()).await
            || has_other_options(&client, &place.options).await
        {
            drop(client);
            client = replace(&place, addresses, moved).await?;
            addresses = addresses_of(&client).await?;
        }
        let (sender, connected) = watch::channel(Some(client));
        let (count, connections) = watch::channel(1);
        // A router that is started again takes the ports that the first one got.
        let dns_listen = match addresses.dns {
            Some(SocketAddr::V4(address)) => address,
            _ => place.dns_listen,
        };
        let zone = zone_at(place.zone.as_ref(), addresses);
        let options = options_at(&place.options, addresses);
        let place = RouterPlace { listen: addresses.http, options, dns_listen, zone, ..place };
        tokio::spawn(supervise(place, sender, count));
        Ok((Arc::new(Self { connected, connections }), addresses))
    }
}

#[async_trait::async_trait]
impl RouterPort for RouterProcess {
    async fn send(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable> {
        let mut connected = self.connected.clone();
        let attempts = async {
            loop {
                let Ok(client) = connected.wait_for(Option::is_some).await.map(|c| c.clone())
                else {
                    return Err(RouterUnavailable("its supervisor has ended".to_owned()));
                };
                let Some(client) = client else { continue };
                match client.send(command.clone()).await {
                    Ok(reply) => return Ok(reply),
                    Err(ClientError::Disconnected) => {}
                    Err(error) => return Err(RouterUnavailable(error.to_string())),
                }
                // Every command may be repeated: the next router gets it.
                tokio::time::sleep(AGAIN).await;
            }
        };
        // A drain may take as long as it was given.
        let limit = match &command {
            RouterCommand::Drain { timeout_ms, .. } => Duration::from_millis(*timeout_ms),
            _ => Duration::ZERO,
        };
        let limit = UNAVAILABLE_AFTER + limit;
        tokio::time::timeout(limit, attempts).await.unwrap_or_else(|_| {
            Err(RouterUnavailable(format!("it has not been there for {} s", limit.as_secs())))
        })
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
        if addresses_of(&client).await.is_ok() {
            return Ok(client);
        }
        // It was being ended or replaced when it took the connection: let it give up its lock.
        tokio::time::sleep(AGAIN).await;
        if let Ok(client) = RouterClient::connect(&place.control_socket).await {
            return Ok(client);
        }
    }
    let mut child = spawn(place, false)
        .map_err(|error| RouterUnavailable(format!("it cannot be run: {error}")))?;
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

/// Returns whether the router runs something else than the program that would be started now: it
/// was started before an upgrade.
async fn is_another_program(client: &RouterClient, program: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(RouterReply::Status(status)) = client.send(RouterCommand::Status).await else {
        return false;
    };
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let running = identity(Path::new(&format!("/proc/{}/exe", status.pid)));
    match (running, identity(program)) {
        (Ok(running), Ok(program)) => running != program,
        _ => false,
    }
}

/// Returns whether the router answers for another zone than it should, or answers it elsewhere.
async fn has_another_zone(client: &RouterClient, wanted: Option<&Zone>) -> bool {
    let Ok(RouterReply::Status(status)) = client.send(RouterCommand::Status).await else {
        return false;
    };
    match (status.zone, wanted) {
        (None, None) => false,
        (Some(has), Some(wanted)) => {
            let listens_there = has.listen == wanted.listen
                || (wanted.listen.port() == 0 && has.listen.ip() == wanted.listen.ip());
            has.name != wanted.name || has.addresses != wanted.addresses || !listens_there
        }
        _ => true,
    }
}

/// Returns whether the router was started with other options than it should.
async fn has_other_options(client: &RouterClient, wanted: &ListenOptions) -> bool {
    match client.send(RouterCommand::Status).await {
        Ok(RouterReply::Status(status)) => !status.listen.suit(wanted),
        _ => false,
    }
}

/// Returns the options with the port that a router got, where any was wanted.
fn options_at(wanted: &ListenOptions, addresses: RouterAddresses) -> ListenOptions {
    let bound = addresses.https.filter(|_| wanted.https.is_some_and(|https| https.port() == 0));
    ListenOptions { https: bound.or(wanted.https), ..wanted.clone() }
}

fn option_arguments(options: &ListenOptions) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(https) = options.https {
        arguments.extend(["--https".to_owned(), https.to_string()]);
    }
    if let Some(port) = options.https_public_port {
        arguments.extend(["--https-public-port".to_owned(), port.to_string()]);
    }
    for network in &options.trusted_proxies {
        arguments.extend(["--trusted-proxy".to_owned(), network.to_string()]);
    }
    arguments.extend(options.proxy_protocol.then(|| "--proxy-protocol".to_owned()));
    arguments.extend(options.without_h2c.then(|| "--without-h2c".to_owned()));
    arguments.extend(options.http3.then(|| "--http3".to_owned()));
    arguments.extend(options.ssh.then(|| "--ssh".to_owned()));
    arguments
}

/// Returns the zone with the port that a router got, where any was wanted.
fn zone_at(wanted: Option<&Zone>, addresses: RouterAddresses) -> Option<Zone> {
    let mut zone = wanted?.clone();
    if let Some(listen) = addresses.zone.filter(|_| zone.listen.port() == 0) {
        zone.listen = listen;
    }
    Some(zone)
}

fn zone_arguments(zone: Option<&Zone>) -> Vec<String> {
    let Some(zone) = zone else { return Vec::new() };
    let mut arguments = vec!["--zone".to_owned(), zone.name.clone()];
    arguments.extend(["--zone-listen".to_owned(), zone.listen.to_string()]);
    for address in &zone.addresses {
        arguments.extend(["--zone-address".to_owned(), address.to_string()]);
    }
    arguments
}

/// Starts another router that takes the sockets of the one that runs, which then ends with what it
/// has in flight. Where that cannot be done it goes on; if the address is another one (`moved`) it
/// is ended first instead.
async fn replace(
    place: &RouterPlace,
    addresses: RouterAddresses,
    moved: bool,
) -> Result<RouterClient, RouterUnavailable> {
    let dns_listen = match addresses.dns {
        Some(SocketAddr::V4(address)) => address,
        _ => place.dns_listen,
    };
    let listen = if moved { place.listen } else { addresses.http };
    let zone = zone_at(place.zone.as_ref(), addresses);
    let options = options_at(&place.options, addresses);
    let next = RouterPlace { listen, options, dns_listen, zone, ..place.clone() };
    match take_over(&next).await {
        Ok(client) => {
            tracing::info!(%listen, "another router took over from the one that ran");
            return Ok(client);
        }
        Err(error) => {
            tracing::warn!(%error, "the router that runs was not replaced without a gap");
        }
    }
    if moved && let Some(pid) = pid(&place.control_socket).await {
        stop_process(pid).await;
    }
    connect_or_spawn(&next).await
}

async fn take_over(place: &RouterPlace) -> Result<RouterClient, RouterUnavailable> {
    let mut child = spawn(place, true)
        .map_err(|error| RouterUnavailable(format!("it cannot be run: {error}")))?;
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    loop {
        if pid(&place.control_socket).await.is_some_and(|pid| Some(pid) == child.id()) {
            let client = RouterClient::connect(&place.control_socket).await;
            // Reap it when it ends; it is not ours to kill.
            tokio::spawn(async move { child.wait().await });
            return client.map_err(|error| RouterUnavailable(error.to_string()));
        }
        if let Ok(Some(status)) = child.try_wait() {
            let said = last_line(&place.log_file);
            return Err(RouterUnavailable(format!("the next one ended ({status}): {said}")));
        }
        if tokio::time::Instant::now() > deadline {
            let _ = child.kill().await;
            return Err(RouterUnavailable("the next one did not begin in time".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn spawn(place: &RouterPlace, take_over: bool) -> std::io::Result<tokio::process::Child> {
    let log = std::fs::File::options().create(true).append(true).open(&place.log_file)?;
    tokio::process::Command::new(&place.program)
        .arg("router")
        .args(take_over.then_some("--take-over"))
        .arg("--listen")
        .arg(place.listen.to_string())
        .arg("--control-socket")
        .arg(&place.control_socket)
        .arg("--table-file")
        .arg(&place.table_file)
        .arg("--dns-listen")
        .arg(place.dns_listen.to_string())
        .arg("--dns-clients")
        .arg(&place.dns_clients)
        .args(zone_arguments(place.zone.as_ref()))
        .args(option_arguments(&place.options))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Not in the terminal's group: Ctrl-C stops the server only.
        .process_group(0)
        .env_remove("NOTIFY_SOCKET")
        .spawn()
}

async fn addresses_of(client: &RouterClient) -> Result<RouterAddresses, RouterUnavailable> {
    match client.send(RouterCommand::Status).await {
        Ok(RouterReply::Status(status)) => {
            let zone = status.zone.map(|zone| zone.listen);
            Ok(RouterAddresses { http: status.http, https: status.https, dns: status.dns, zone })
        }
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
