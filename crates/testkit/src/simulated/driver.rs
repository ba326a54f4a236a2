//! The simulated driver.

use super::attached::{AttachedInstance, Ends};
use super::behaviour::Behaviour;
use super::port::Port;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;
use windlass_core::driver::{Attached, Driver, DriverError, ExecCommand, InstanceEvent, Stopped};
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::{ExitStatus, InstanceSpec, InstanceState, ObservedInstance, Output};
use windlass_core::links::Links;

/// Runs instances in memory; each does what [`Behaviour`] reads from its command. It needs no
/// runtime of its own, so it outlives the platform that it is given to, as shims do.
pub struct SimulatedDriver {
    this: Weak<Self>,
    instances: Mutex<BTreeMap<InstanceId, Simulated>>,
    counts: Mutex<Counts>,
    links: Mutex<Links>,
    lost_images: Mutex<BTreeSet<Digest>>,
    events: broadcast::Sender<InstanceEvent>,
    /// Where the server ends, for the router's effects too.
    pub faults: super::Faults,
    /// Without content.
    pub volumes: super::SimulatedVolumes,
    pub host: super::SimulatedHost,
}

/// How often the driver was asked for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub started: usize,
    /// Stopped while they ran.
    pub stopped: usize,
    /// Of those, the ones that had to be killed.
    pub killed: usize,
    pub forgotten: usize,
}

struct Simulated {
    observed: ObservedInstance,
    behaviour: Behaviour,
    port: Option<Port>,
    listens: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// An address that no other instance has had.
fn private_address(number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)).wrapping_add(number)))
}

pub(super) fn exit_status(code: i32) -> ExitStatus {
    ExitStatus {
        code,
        out_of_memory: false,
        out_of_processes: false,
        reason: None,
        at_ms: now_ms(),
    }
}

impl SimulatedDriver {
    #[must_use]
    pub fn new() -> Arc<Self> {
        let (events, _) = broadcast::channel(1024);
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            instances: Mutex::default(),
            counts: Mutex::default(),
            faults: super::Faults::default(),
            volumes: super::SimulatedVolumes::default(),
            host: super::SimulatedHost::default(),
            links: Mutex::default(),
            lost_images: Mutex::default(),
            events,
        })
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        *locked(&self.counts)
    }

    /// Whether instances of `from` reach those of `to`.
    #[must_use]
    pub fn reaches(&self, from: AppId, to: AppId) -> bool {
        locked(&self.links).allows(from, to)
    }

    /// Returns the instances that run, by id.
    #[must_use]
    pub fn running(&self) -> Vec<ObservedInstance> {
        let instances = locked(&self.instances);
        let all = instances.values().map(|instance| instance.observed.clone());
        all.filter(|observed| observed.state == InstanceState::Running).collect()
    }

    /// Whether the instance runs and takes connections.
    #[must_use]
    pub fn listens(&self, id: &InstanceId) -> bool {
        locked(&self.instances)
            .get(id)
            .is_some_and(|instance| instance.listens && instance.port.is_some())
    }

    /// Makes an instance answer with status 503, or as before.
    pub fn set_sick(&self, id: &InstanceId, is_sick: bool) {
        if let Some(port) = locked(&self.instances).get(id).and_then(|i| i.port.as_ref()) {
            port.is_sick.store(is_sick, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Ends a running instance, as if its process had ended by itself. False if it did not run.
    pub fn crash(&self, id: &InstanceId, code: i32) -> bool {
        self.end(id, exit_status(code))
    }

    /// Makes an image one that is not here.
    pub fn lose_image(&self, image: Digest) {
        locked(&self.lost_images).insert(image);
    }

    /// Records the end of an instance and tells of it; false if it had ended before.
    pub(super) fn end(&self, id: &InstanceId, status: ExitStatus) -> bool {
        {
            let mut instances = locked(&self.instances);
            let Some(instance) = instances.get_mut(id) else { return false };
            if instance.observed.state != InstanceState::Running {
                return false;
            }
            instance.observed.state = InstanceState::Exited(status.clone());
            instance.port = None;
        }
        let _ = self.events.send(InstanceEvent::Exited { id: id.clone(), status });
        true
    }

    fn open_port(&self, id: &InstanceId) {
        if let Some(instance) = locked(&self.instances).get_mut(id)
            && let Some(port) = &instance.port
        {
            port.open();
            instance.listens = true;
        }
    }

    /// Opens the port of a slow instance later. The timer ends with the caller's runtime.
    fn open_port_after(&self, id: InstanceId, delay: Duration) {
        let this = self.this.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Some(driver) = this.upgrade() {
                driver.open_port(&id);
            }
        });
    }

    /// Returns how an instance has ended, if it is known and has.
    pub(super) fn end_of(&self, id: &InstanceId) -> Option<ExitStatus> {
        match &locked(&self.instances).get(id)?.observed.state {
            InstanceState::Exited(status) => Some(status.clone()),
            InstanceState::Running => None,
        }
    }

    /// Notes a new instance; `None` if it is known already.
    fn insert(
        &self,
        spec: InstanceSpec,
    ) -> Result<(ObservedInstance, Option<Behaviour>), DriverError> {
        let mut instances = locked(&self.instances);
        if let Some(known) = instances.get(&spec.id) {
            return Ok((known.observed.clone(), None));
        }
        if locked(&self.lost_images).contains(&spec.image) {
            return Err(DriverError::NoSuchImage(spec.image.to_string()));
        }
        let behaviour = Behaviour::of(&spec);
        if behaviour == Behaviour::NotFound {
            let command = spec.command.first().cloned().unwrap_or_default();
            return Err(DriverError::CommandNotFound(format!("{command}: not found in PATH")));
        }
        locked(&self.counts).started += 1;
        let port = spec.port.map(|_| Port::bind());
        let observed = ObservedInstance {
            state: InstanceState::Running,
            started_at_ms: now_ms(),
            address: port.as_ref().map(|port| port.address),
            private_address: Some(private_address(locked(&self.counts).started)),
            spec,
        };
        let simulated = Simulated { observed: observed.clone(), behaviour, port, listens: false };
        instances.insert(observed.spec.id.clone(), simulated);
        Ok((observed, Some(behaviour)))
    }

    fn start_now(&self, spec: InstanceSpec) -> Result<ObservedInstance, DriverError> {
        let id = spec.id.clone();
        if !matches!(spec.output, Output::Log { .. }) {
            let reason = "its output is not a log; use start_attached".to_owned();
            return Err(DriverError::Start { id, reason });
        }
        let (observed, new) = self.insert(spec)?;
        match new {
            Some(Behaviour::Serve | Behaviour::IgnoreTerm) => self.open_port(&id),
            Some(Behaviour::Slow(delay)) => self.open_port_after(id, delay),
            Some(Behaviour::Crash(code)) => {
                self.end(&id, exit_status(code));
            }
            Some(Behaviour::NeverListen | Behaviour::NotFound) | None => {}
        }
        Ok(observed)
    }

    async fn stop_now(&self, id: &InstanceId, grace: Duration) -> Result<Stopped, DriverError> {
        let found =
            locked(&self.instances).get(id).map(|i| (i.behaviour, i.observed.state.clone()));
        let (behaviour, state) = found.ok_or_else(|| DriverError::NoSuchInstance(id.clone()))?;
        if let InstanceState::Exited(status) = state {
            return Ok(Stopped { status, killed: false });
        }
        let killed = behaviour == Behaviour::IgnoreTerm;
        if killed {
            tokio::time::sleep(grace).await;
        }
        let status = exit_status(if killed { 137 } else { 143 });
        if self.end(id, status.clone()) {
            let mut counts = locked(&self.counts);
            counts.stopped += 1;
            counts.killed += usize::from(killed);
        }
        Ok(Stopped { status: self.end_of(id).unwrap_or(status), killed })
    }

    fn forget_now(&self, id: &InstanceId) -> Result<(), DriverError> {
        let mut instances = locked(&self.instances);
        match instances.get(id).map(|instance| &instance.observed.state) {
            Some(InstanceState::Running) => {
                Err(DriverError::Other(format!("{id} runs and cannot be forgotten")))
            }
            Some(InstanceState::Exited(_)) => {
                instances.remove(id);
                locked(&self.counts).forgotten += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Driver for SimulatedDriver {
    async fn start(&self, spec: InstanceSpec) -> Result<ObservedInstance, DriverError> {
        self.faults.around("start", async { self.start_now(spec) }).await
    }

    /// Sends back what it is sent and ends with 0 when its input is closed, unless it is told to do
    /// something else.
    async fn start_attached(&self, spec: InstanceSpec) -> Result<Attached, DriverError> {
        let refuse = |reason: &str| {
            Err(DriverError::Start { id: spec.id.clone(), reason: reason.to_owned() })
        };
        if !matches!(spec.output, Output::Attached { .. }) {
            return refuse("its output is a log; use start");
        }
        let events = self.events.subscribe();
        let (instance, Some(behaviour)) = self.insert(spec.clone())? else {
            return refuse("it has been started already");
        };
        let process = AttachedInstance::new(self.this.clone(), spec.id);
        let (ends, attached) = Ends::connect(instance, events);
        tokio::spawn(process.run(behaviour, ends));
        Ok(attached)
    }

    async fn exec(&self, id: &InstanceId, command: ExecCommand) -> Result<Attached, DriverError> {
        let events = self.events.subscribe();
        let known = locked(&self.instances).get(id).map(|instance| instance.observed.clone());
        let instance = known.ok_or_else(|| DriverError::NoSuchInstance(id.clone()))?;
        if instance.state != InstanceState::Running {
            return Err(DriverError::Other(format!("instance {id} has ended")));
        }
        super::exec::run(instance, events, &command)
    }

    async fn stop(&self, id: &InstanceId, grace: Duration) -> Result<Stopped, DriverError> {
        self.faults.around("stop", self.stop_now(id, grace)).await
    }

    async fn observe(&self) -> Result<Vec<ObservedInstance>, DriverError> {
        let mut late = Vec::new();
        let observed = {
            let instances = locked(&self.instances);
            for (id, instance) in instances.iter() {
                if let (Behaviour::Slow(delay), false) = (instance.behaviour, instance.listens) {
                    late.push((id.clone(), delay));
                }
            }
            instances.values().map(|instance| instance.observed.clone()).collect()
        };
        // The runtime that had their timers may be gone.
        for (id, delay) in late {
            self.open_port_after(id, delay);
        }
        Ok(observed)
    }

    async fn forget(&self, id: &InstanceId) -> Result<(), DriverError> {
        self.faults.around("forget", async { self.forget_now(id) }).await
    }

    async fn set_links(&self, links: &Links) -> Result<(), DriverError> {
        *locked(&self.links) = links.clone();
        Ok(())
    }

    fn memory_used(&self, id: &InstanceId) -> Option<u64> {
        self.host.memory(id)
    }

    fn machine(&self) -> Option<windlass_core::admission::Machine> {
        self.host.machine()
    }

    fn disk_space(&self) -> Option<windlass_core::disk_guard::DiskSpace> {
        self.host.disk()
    }

    fn writable_directory(&self, id: &InstanceId) -> Option<std::path::PathBuf> {
        self.host.writable(id)
    }

    fn volumes(&self) -> Option<&dyn windlass_core::volume::Volumes> {
        Some(&self.volumes)
    }

    fn events(&self) -> broadcast::Receiver<InstanceEvent> {
        self.events.subscribe()
    }
}
