//! The driver of this machine.

mod attach;
mod exec;
mod file_systems;
mod firewall;
mod host_jobs;
mod instances;
mod launcher;
mod listening;
mod machine;
mod prepare;
mod private_network;
mod recover;
mod setup;
mod subnet;
mod users;
mod volumes;

pub(crate) use firewall::{host_resolv_conf, name_servers};
pub use private_network::clients_directory;

use crate::cgroup::{Cgroup, Hierarchies};
use crate::launch::{LAUNCH_FILE, Launch, Report, write_json};
use crate::{RuntimeConfig, RuntimeError, seccomp};
use async_trait::async_trait;
use instances::{Instance, Instances, Phase};
use launcher::{ShimProgram, read_report};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use subnet::Subnet;
use tokio::net::UnixStream;
use tokio::sync::broadcast;
use users::UserRanges;
use windlass_core::driver::{Attached, Driver, DriverError, ExecCommand, InstanceEvent, Stopped};
use windlass_core::host_job::HostJobs;
use windlass_core::ids::InstanceId;
use windlass_core::instance::{InstanceSpec, ObservedInstance, Output};
use windlass_core::links::Links;
use windlass_core::volume::Volumes;

/// How many events a slow receiver may be behind.
const EVENT_BACKLOG: usize = 1024;

/// How long the kernel may take to get rid of killed processes.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Runs instances as containers on this machine.
pub struct EmbeddedDriver {
    config: RuntimeConfig,
    this: Weak<Self>,
    hierarchies: Hierarchies,
    subnet: Subnet,
    users: UserRanges,
    program: ShimProgram,
    instances: Instances,
    /// The device groups that reach each other now; held while the firewall is told.
    pairs: tokio::sync::Mutex<private_network::Pairs>,
    events: broadcast::Sender<InstanceEvent>,
}

/// A started shim that has reported that its instance runs.
struct Launched {
    instance: Arc<Instance>,
    socket: UnixStream,
    decoder: crate::frame::Decoder,
}

impl EmbeddedDriver {
    /// Sets up the machine (directories, cgroup, firewall, forwarding) and finds the instances
    /// that a former driver with the same name has left running. Must be called as root.
    pub async fn open(config: RuntimeConfig) -> Result<Arc<Self>, RuntimeError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(RuntimeError::NotRoot);
        }
        setup::check_name(&config.name)?;
        let mut config = config;
        config.resolv_conf = config.resolv_conf.or_else(host_resolv_conf);
        config.ca_bundle = config.ca_bundle.or_else(setup::host_ca_bundle);
        setup::make_directories(&config)?;

        let groups = Path::new("/sys/fs/cgroup");
        let hierarchies = Hierarchies::detect().map_err(RuntimeError::io("use", groups))?;
        hierarchies
            .create_parent(&cgroup_parent(&config.name))
            .map_err(RuntimeError::io("make a group in", groups))?;
        let filter = seccomp::compile().map_err(RuntimeError::Seccomp)?;
        let filter_file = seccomp_program(&config);
        seccomp::save(&filter, &filter_file).map_err(RuntimeError::io("write", &filter_file))?;
        let subnet = match config.subnet {
            Some((network, prefix)) => Subnet::fixed(network, prefix)?,
            None => Subnet::claim(&config.run_directory)?,
        };
        let pairs = private_network::last_pairs(&config.run_directory);
        firewall::set_up(&config, &subnet, &pairs).await?;
        if config.name_server_port.is_some() {
            let (run, host) = (&config.run_directory, config.resolv_conf.as_deref());
            let written = private_network::write_resolv_conf(run, host);
            config.resolv_conf =
                Some(written.map_err(RuntimeError::io("write a resolv.conf in", run))?);
        }
        let table = config.work_directory.join("userns.json");
        let users = UserRanges::open(&table).map_err(RuntimeError::io("read", &table))?;
        let program = ShimProgram::copy(config.shim_executable.as_deref())?;

        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let driver = Arc::new_cyclic(|this| Self {
            config,
            this: this.clone(),
            hierarchies,
            subnet,
            users,
            program,
            instances: Instances::default(),
            pairs: tokio::sync::Mutex::new(pairs),
            events,
        });
        driver.end_host_jobs().await;
        driver.recover_volumes();
        driver.recover().await?;
        Ok(driver)
    }

    /// Kills every instance and removes all that this driver has made, except the table of
    /// users in the work directory. The driver cannot be used afterwards.
    pub async fn shutdown_everything(&self) {
        let instances = self.instances.all();
        for instance in &instances {
            let _ = tokio::time::timeout(KILL_LIMIT, instance.started()).await;
            let cgroup = self.cgroup(&instance.spec.id);
            let _ = tokio::task::spawn_blocking(move || cgroup.kill_all(KILL_LIMIT)).await;
        }
        for instance in &instances {
            let _ = tokio::time::timeout(KILL_LIMIT, instance.exited()).await;
            let _ = self.forget(&instance.spec.id).await;
        }
        self.end_host_jobs().await;
        firewall::remove(&self.config.name).await;
        machine::wait_for_devices(&firewall::interface_prefix(&self.config.name)).await;
        self.wait_for_loop_devices().await;
        let hierarchies = self.hierarchies.clone();
        let parent = cgroup_parent(&self.config.name);
        let (run, writable) = (self.config.run_directory.clone(), self.writable_directory());
        let _ = tokio::task::spawn_blocking(move || {
            hierarchies.remove_parent(&parent);
            let _ = fs::remove_dir_all(writable);
            let _ = fs::remove_dir_all(run);
        })
        .await;
        self.subnet.release();
    }

    fn instances_directory(&self) -> PathBuf {
        self.config.run_directory.join("instances")
    }

    fn directory(&self, id: &InstanceId) -> PathBuf {
        self.instances_directory().join(id.as_str())
    }

    /// Below it, one directory an instance holds its writable layer.
    fn writable_directory(&self) -> PathBuf {
        self.config.work_directory.join("writable")
    }

    fn cgroup(&self, id: &InstanceId) -> Cgroup {
        Cgroup::new(&self.hierarchies, &cgroup_parent(&self.config.name), id.as_str())
    }

    /// Starts a shim and waits for its report. `Err(Ok(instance))` when the identifier is taken.
    async fn launch(
        &self,
        spec: InstanceSpec,
    ) -> Result<Launched, Result<Arc<Instance>, DriverError>> {
        if let Some(instance) = self.instances.get(&spec.id) {
            return Err(Ok(instance));
        }
        let launch = self.prepare(spec).map_err(Err)?;
        let instance = Arc::new(Instance::new(&launch, Phase::Starting));
        if let Some(taken) = self.instances.insert(instance.clone()) {
            self.free_address(launch.address);
            return Err(Ok(taken));
        }
        // In a task of its own, so that a caller who gives up leaves nothing half done.
        let driver = self.this.upgrade().ok_or_else(|| Err(closed()))?;
        let task = tokio::spawn(async move { driver.run_shim(launch, instance).await });
        task.await.unwrap_or_else(|error| Err(DriverError::Other(error.to_string()))).map_err(Err)
    }

    async fn run_shim(
        &self,
        launch: Launch,
        instance: Arc<Instance>,
    ) -> Result<Launched, DriverError> {
        let id = launch.spec.id.clone();
        let started = self.spawn_and_wait(&launch, &instance).await;
        if let Err(error) = &started {
            let reason = match error {
                DriverError::Start { reason, .. } => reason.clone(),
                error => error.to_string(),
            };
            self.remove_leftovers(&id, instance.address).await;
            instance.set_phase(Phase::Failed { reason });
        }
        started
    }

    async fn spawn_and_wait(
        &self,
        launch: &Launch,
        instance: &Arc<Instance>,
    ) -> Result<Launched, DriverError> {
        let id = &launch.spec.id;
        let refuse = |reason: String| DriverError::Start { id: id.clone(), reason };
        let directory = self.directory(id);
        let spawn = || {
            fs::create_dir(&directory)?;
            fs::set_permissions(&directory, Permissions::from_mode(setup::SEARCHABLE))?;
            write_json(&directory.join(LAUNCH_FILE), launch)?;
            self.program.spawn(&directory)
        };
        let (mut child, mut socket) = spawn().map_err(|error| refuse(error.to_string()))?;
        let report = read_report(&mut socket, &directory).await;
        let failure = match report {
            Ok((Report::Running { started_at_ms }, decoder)) => {
                instance.set_phase(Phase::Running { started_at_ms });
                let watched = instance.clone();
                self.watch(watched, async move {
                    let _ = child.wait().await;
                });
                return Ok(Launched { instance: instance.clone(), socket, decoder });
            }
            Ok((Report::CommandNotFound { reason }, _)) => DriverError::CommandNotFound(reason),
            Ok((Report::Failed { reason }, _)) | Err(reason) => refuse(reason),
        };
        let _ = child.start_kill();
        let _ = child.wait().await;
        Err(failure)
    }

    /// Removes everything of an instance whose shim is gone.
    async fn remove_leftovers(&self, id: &InstanceId, address: std::net::Ipv4Addr) {
        let (cgroup, directory) = (self.cgroup(id), self.directory(id));
        let writable = self.writable_directory().join(id.as_str());
        let quick = tokio::task::spawn_blocking(move || {
            if !cgroup.kill_all(KILL_LIMIT) {
                tracing::error!(?cgroup, "processes could not be killed");
            }
            cgroup.remove();
            remove_directory(&directory);
        });
        let _ = quick.await;
        self.instances.remove(id);
        self.free_address(address);
        // Can be large; nobody waits for it. What a crash leaves is removed at the next start.
        tokio::task::spawn_blocking(move || remove_directory(&writable));
    }
}

#[async_trait]
impl Driver for EmbeddedDriver {
    async fn start(&self, spec: InstanceSpec) -> Result<ObservedInstance, DriverError> {
        if !matches!(spec.output, Output::Log { .. }) {
            let reason = "its output is not a log; use start_attached".to_owned();
            return Err(DriverError::Start { id: spec.id, reason });
        }
        match self.launch(spec).await {
            Ok(launched) => launched.instance.started().await,
            Err(Ok(taken)) => taken.started().await,
            Err(Err(error)) => Err(error),
        }
    }

    async fn start_attached(&self, spec: InstanceSpec) -> Result<Attached, DriverError> {
        let id = spec.id.clone();
        let refuse = |reason: &str| DriverError::Start { id, reason: reason.to_owned() };
        if !matches!(spec.output, Output::Attached { .. }) {
            return Err(refuse("its output is a log; use start"));
        }
        match self.launch(spec).await {
            Ok(launched) => {
                let cgroup = self.cgroup(&launched.instance.spec.id);
                let instance = launched.instance.started().await?;
                let (socket, decoder) = (launched.socket, launched.decoder);
                let ending = attach::Ending::Instance(launched.instance);
                Ok(attach::attach(instance, ending, socket, decoder, cgroup))
            }
            Err(Ok(_)) => Err(refuse("it has been started already")),
            Err(Err(error)) => Err(error),
        }
    }

    async fn exec(&self, id: &InstanceId, command: ExecCommand) -> Result<Attached, DriverError> {
        self.run_beside(id, command).await
    }

    async fn stop(&self, id: &InstanceId, grace: Duration) -> Result<Stopped, DriverError> {
        let known = self.instances.get(id);
        let instance = known.ok_or_else(|| DriverError::NoSuchInstance(id.clone()))?;
        if matches!(instance.phase(), Phase::Exited { .. }) {
            return Ok(Stopped { status: instance.exited().await, killed: false });
        }
        instance.started().await?;
        let cgroup = self.cgroup(id);
        let signalled = cgroup.clone();
        let _ = tokio::task::spawn_blocking(move || signalled.signal_all(libc::SIGTERM)).await;
        if let Ok(status) = tokio::time::timeout(grace, instance.exited()).await {
            return Ok(Stopped { status, killed: false });
        }
        let _ = tokio::task::spawn_blocking(move || cgroup.kill_all(KILL_LIMIT)).await;
        match tokio::time::timeout(KILL_LIMIT, instance.exited()).await {
            Ok(status) => Ok(Stopped { status, killed: true }),
            Err(_) => Err(DriverError::Other(format!(
                "instance {id} has not ended {} s after SIGKILL; a process of it hangs in the kernel",
                KILL_LIMIT.as_secs()
            ))),
        }
    }

    async fn observe(&self) -> Result<Vec<ObservedInstance>, DriverError> {
        Ok(self.instances.all().iter().filter_map(|instance| instance.observed()).collect())
    }

    fn writable_directory(&self, id: &InstanceId) -> Option<PathBuf> {
        Some(EmbeddedDriver::writable_directory(self).join(id.as_str()))
    }

    fn is_out_of_processes(&self, id: &InstanceId) -> bool {
        self.cgroup(id).ran_out_of_processes()
    }

    fn memory_used(&self, id: &InstanceId) -> Option<u64> {
        self.cgroup(id).memory_used()
    }

    fn listening(&self, id: &InstanceId) -> Vec<SocketAddr> {
        let first = self.cgroup(id).processes().into_iter().next();
        first.map(listening::of_process).unwrap_or_default()
    }

    fn machine(&self) -> Option<windlass_core::admission::Machine> {
        machine::machine()
    }

    fn disk_space(&self) -> Option<windlass_core::disk_guard::DiskSpace> {
        machine::disk_space(&self.config.work_directory)
    }

    async fn set_links(&self, links: &Links) -> Result<(), DriverError> {
        self.put_links(links).await
    }

    async fn forget(&self, id: &InstanceId) -> Result<(), DriverError> {
        let Some(instance) = self.instances.get(id) else { return Ok(()) };
        if !matches!(instance.phase(), Phase::Exited { .. }) {
            return Err(DriverError::Other(format!("instance {id} has not ended; stop it first")));
        }
        self.remove_leftovers(id, instance.address).await;
        Ok(())
    }

    fn host_jobs(&self) -> Option<&dyn HostJobs> {
        Some(self)
    }

    fn volumes(&self) -> Option<&dyn Volumes> {
        Some(self)
    }

    fn events(&self) -> broadcast::Receiver<InstanceEvent> {
        self.events.subscribe()
    }
}

fn closed() -> DriverError {
    DriverError::Other("the driver has been closed".to_owned())
}

/// Returns the path of the cgroup that holds all instances, below each hierarchy's root.
fn cgroup_parent(name: &str) -> String {
    format!("windlass-{name}")
}

fn seccomp_program(config: &RuntimeConfig) -> PathBuf {
    config.run_directory.join("seccomp.bpf")
}

fn remove_directory(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(?path, %error, "a directory was left behind");
        }
        _ => {}
    }
}
