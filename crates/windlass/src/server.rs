//! The server role: puts the parts together, says when it is ready, stops in order.

mod settings;

use crate::arguments::ServerArguments;
use crate::config::Config;
use crate::data_lock::DataLock;
use crate::inherited_children;
use crate::router_process::{self, RouterAddresses, RouterPlace, RouterProcess};
use crate::{EXIT_BUSY, fail, load, log_to_stderr, notify};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use windlass_control::{Platform, PlatformError};
use windlass_core::route::{ListenOptions, SSH_SOCKET};
use windlass_oci::{ImageStore, OciError};
use windlass_runtime::{EmbeddedDriver, RuntimeConfig, RuntimeError};

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "another server uses {0:?}: stop it first, or give this one a --data-directory of its own"
    )]
    Busy(PathBuf),
    #[error("{what} {path:?}: {source}")]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{key} {address}: {source}; is something else there? (see `windlass doctor`)")]
    Listen { key: &'static str, address: SocketAddr, source: std::io::Error },
    #[error(
        "the stack debian-12 is not built yet: run `windlass setup` first, with the same --data-directory or --config if you name one"
    )]
    NoStack,
    #[error("containers need root: run it with sudo")]
    NotRoot,
    #[error(transparent)]
    Images(#[from] OciError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Router(#[from] windlass_core::route::RouterUnavailable),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("the SSH door could not be opened")]
    Ssh(#[from] windlass_api::SshError),
    #[error("{1:?} cannot be run: {0}")]
    Exec(std::io::Error, PathBuf),
    #[error("{0} is not a runtime: {1}")]
    Tokio(&'static str, std::io::Error),
}

pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ServerError {
    let path = path.to_owned();
    move |source| ServerError::Io { what, path, source }
}

pub fn main(arguments: &ServerArguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(code) => return code,
    };
    log_to_stderr(&config.log);
    exit_code(as_root().and_then(|()| run(&config, arguments.ready_file.as_deref())))
}

/// Said first: otherwise the data directory is what cannot be opened.
fn as_root() -> Result<(), ServerError> {
    if matches!(crate::setup::is_root(), Ok(false)) { Err(ServerError::NotRoot) } else { Ok(()) }
}

fn exit_code(outcome: Result<(), ServerError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ ServerError::Busy(_)) => fail(&error, EXIT_BUSY),
        Err(error) => fail(&error, 1),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .map_err(|error| ServerError::Tokio("tokio", error))
}

fn run(config: &Config, ready_file: Option<&Path>) -> Result<(), ServerError> {
    // Now: after an upgrade the link leads to the program that was replaced.
    let program =
        std::env::current_exe().map_err(io("cannot find", Path::new("/proc/self/exe")))?;
    let mut lock = DataLock::take(&config.data_directory)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(config, ready_file, &program, &mut lock))?;
    match ended {
        Ended::Stopped => Ok(()),
        Ended::Restart => {
            drop((runtime, lock));
            tracing::info!(program = %program.display(), "going on as the program that is installed now");
            Err(ServerError::Exec(become_program(&program), program))
        }
    }
}

/// How a server came to its end.
enum Ended {
    Stopped,
    /// To be what is installed now: the same process, other code.
    Restart,
}

/// Only returns when it fails.
fn become_program(program: &Path) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    std::process::Command::new(program).args(std::env::args_os().skip(1)).exec()
}

/// Addresses that are bound before anything is started, so that a taken port costs nothing.
struct Doors {
    api: TcpListener,
    api_address: SocketAddr,
    api_https: Option<(TcpListener, SocketAddr)>,
    ssh: Option<(TcpListener, SocketAddr)>,
    exec: Option<UnixListener>,
}

async fn bind(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ServerError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServerError::Listen { key, address, source })?;
    let bound =
        listener.local_addr().map_err(|source| ServerError::Listen { key, address, source })?;
    Ok((listener, bound))
}

impl Doors {
    async fn bind(config: &Config) -> Result<Self, ServerError> {
        let (api, api_address) = bind("api.listen", config.api_listen).await?;
        let api_https = match config.api_tls.listen {
            Some(address) => Some(bind("api.https_listen", address).await?),
            None => None,
        };
        let ssh = match config.ssh_listen {
            Some(address) => Some(bind("ssh.listen", address).await?),
            None => None,
        };
        let exec = match config.serves_exec() {
            true => Some(bind_exec(&config.run_directory().join(SSH_SOCKET))?),
            false => None,
        };
        Ok(Self { api, api_address, api_https, ssh, exec })
    }
}

/// Takes the place of the server before this one, which has the data directory's lock no more.
fn bind_exec(socket: &Path) -> Result<UnixListener, ServerError> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("cannot remove", socket)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(io("cannot listen on", socket))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(socket, private).map_err(io("cannot close to others", socket))?;
    Ok(listener)
}

async fn serve(
    config: &Config,
    ready_file: Option<&Path>,
    program: &Path,
    lock: &mut DataLock,
) -> Result<Ended, ServerError> {
    inherited_children::reap();
    let images = ImageStore::open(&config.image_directory())?;
    if images.tag("stack/debian-12-build")?.is_none()
        || images.tag("stack/debian-12-run")?.is_none()
    {
        return Err(ServerError::NoStack);
    }
    let run_directory = config.run_directory();
    make_run_directory(&run_directory)?;
    let doors = Doors::bind(config).await?;
    let (router, addresses) =
        RouterProcess::start(router_place(config, &run_directory, program)).await?;
    let router_address = addresses.http;
    let driver = open_driver(config, &images, Some(addresses)).await?;
    let settings = settings::settings(config, run_directory.clone(), addresses, doors.api_address);
    let connections = router.connections.clone();
    let platform = Platform::open(settings, driver, images, router).await?;
    platform.spawn_cron();
    platform.spawn_log_drains();
    platform.spawn_webhooks(windlass_api::ApiTeller);
    platform.spawn_acme();
    tokio::spawn(keep_router_informed(platform.clone(), connections));
    if let Some((owner, secret)) = platform.create_owner(&config.owner_email)? {
        println!("Owner's token for {}, shown this once: {secret}", owner.email);
        println!("Log in with: windlass login {} --token {secret}", platform.settings().api_url);
    }
    tokio::spawn(crate::backup::schedule::run(config.clone(), program.to_owned()));
    let ready_file = ready_file.map_or_else(|| run_directory.join("ready.json"), Path::to_owned);
    let ssh_address = doors.ssh.as_ref().map(|(_, address)| *address);
    let api_https = doors.api_https.as_ref().map(|(_, address)| *address);
    let stopping = watch::Sender::new(false);
    let served = serve_doors(doors, config, &platform, &stopping);
    announce(
        &ready_file,
        doors_json(addresses, &platform, ssh_address, api_https),
        &platform,
        router_address,
        ssh_address,
    )?;
    lock.set_ready();
    let ended = tokio::select! {
        () = notify::stop_signal() => Ended::Stopped,
        () = notify::upgrade_signal() => Ended::Restart,
    };
    tracing::info!("stopping; apps and the router go on");
    if matches!(ended, Ended::Stopped) {
        notify::service_manager("STOPPING=1");
    }
    let _ = std::fs::remove_file(&ready_file);
    let _ = stopping.send(true);
    // The doors end what is under way within five seconds; do not wait for ever for one that hangs.
    let _ = tokio::time::timeout(Duration::from_secs(10), served).await;
    Ok(ended)
}

/// Root inside a container passes through here to its own files, so it may not be closed to it;
/// what is secret below is closed by itself.
fn make_run_directory(path: &Path) -> Result<(), ServerError> {
    std::fs::create_dir_all(path).map_err(io("cannot make the run directory", path))?;
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(path, open).map_err(io("cannot open up", path))
}

fn router_place(config: &Config, run_directory: &Path, program: &Path) -> RouterPlace {
    RouterPlace {
        program: program.to_owned(),
        listen: config.router_listen,
        options: ListenOptions { ssh: config.serves_exec(), ..config.tls.options() },
        control_socket: run_directory.join("router.sock"),
        table_file: config.data_directory.join("router-table.json"),
        log_file: config.data_directory.join("router.log"),
        dns_listen: SocketAddrV4::new(windlass_runtime::GATEWAY, 0),
        dns_clients: windlass_runtime::clients_directory(run_directory),
        zone: config.public.zone(),
    }
}

/// `router`: what instances may reach on this machine, so that an app can call another one by its
/// public name, and ask for names.
async fn open_driver(
    config: &Config,
    images: &ImageStore,
    router: Option<RouterAddresses>,
) -> Result<Arc<EmbeddedDriver>, RuntimeError> {
    let work_directory = config.data_directory.join("instances");
    let mut runtime =
        RuntimeConfig::new(config.name(), config.run_directory(), work_directory, images.clone());
    let ports = |router: RouterAddresses| [Some(router.http), router.https];
    let ports = router.into_iter().flat_map(ports).flatten();
    runtime.host_ports = ports.map(|address| address.port()).collect();
    runtime.name_server_port = router.and_then(|router| router.dns).map(|dns| dns.port());
    EmbeddedDriver::open(runtime).await
}

/// A router that was started again serves its last table; give it today's.
async fn keep_router_informed(platform: Platform, mut connections: watch::Receiver<u64>) {
    connections.mark_unchanged();
    while connections.changed().await.is_ok() {
        if let Err(error) = platform.sync_routes().await {
            tracing::error!(%error, "the router did not take the route table");
        }
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Starts the doors; what is returned ends when all of them have.
fn serve_doors(
    doors: Doors,
    config: &Config,
    platform: &Platform,
    stopping: &watch::Sender<bool>,
) -> impl Future<Output = ()> + use<> {
    let served = windlass_api::serve_api(
        doors.api,
        doors.api_https.map(|(listener, _)| listener),
        platform.clone(),
        stopped(stopping.subscribe()),
    );
    let http = tokio::spawn(async move {
        if let Err(error) = served.await {
            tracing::error!(%error, "the API is not served");
        }
    });
    let host_key = config.data_directory.join(windlass_api::HOST_KEY_FILE);
    let ssh = doors.ssh.map(|(git, _)| {
        let served = windlass_api::serve_ssh(
            windlass_api::SshDoors { git, exec: doors.exec },
            host_key,
            platform.clone(),
            stopped(stopping.subscribe()),
        );
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "SSH is not served");
            }
        })
    });
    async move {
        let _ = http.await;
        if let Some(ssh) = ssh {
            let _ = ssh.await;
        }
    }
}

fn doors_json(
    router: RouterAddresses,
    platform: &Platform,
    ssh: Option<SocketAddr>,
    api_https: Option<SocketAddr>,
) -> serde_json::Value {
    let api = platform.settings().api_url.clone();
    let (pid, http, https) = (std::process::id(), router.http, router.https);
    serde_json::json!({ "pid": pid, "http": http, "https": https, "zone": router.zone, "ssh": ssh, "api_https": api_https, "api_url": api })
}

fn announce(
    file: &Path,
    mut doors: serde_json::Value,
    platform: &Platform,
    router: SocketAddr,
    ssh: Option<SocketAddr>,
) -> Result<(), ServerError> {
    let port =
        platform.settings().api_url.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    doors["api"] = serde_json::json!(port.map(|port| format!("127.0.0.1:{port}")));
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, doors.to_string()).map_err(io("cannot write", &temporary))?;
    std::fs::rename(&temporary, file).map_err(io("cannot write", file))?;
    notify::service_manager("READY=1");
    let settings = platform.settings();
    let https = doors["https"].as_str();
    tracing::info!(api = settings.api_url, %router, https, ssh = ssh.map(tracing::field::display), domain = settings.domain, "ready");
    Ok(())
}

/// `windlass teardown`: ends everything that a stopped server left running on purpose.
pub fn teardown_main(arguments: &ServerArguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(code) => return code,
    };
    log_to_stderr("warn");
    let outcome = as_root().and_then(|()| teardown(&config));
    if outcome.is_ok() {
        let data = &config.data_directory;
        eprintln!("The apps and the router are stopped. The data stays in {}.", data.display());
    }
    exit_code(outcome)
}

pub fn teardown(config: &Config) -> Result<(), ServerError> {
    let _lock = DataLock::take(&config.data_directory)?;
    runtime()?.block_on(async {
        let run_directory = config.run_directory();
        make_run_directory(&run_directory)?;
        if let Some(pid) = router_process::pid(&run_directory.join("router.sock")).await {
            router_process::stop_process(pid).await;
        }
        let images = ImageStore::open(&config.image_directory())?;
        open_driver(config, &images, None).await?.shutdown_everything().await;
        match std::fs::remove_dir_all(&run_directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("cannot remove", &run_directory)(error))
            }
            _ => Ok(()),
        }
    })
}
