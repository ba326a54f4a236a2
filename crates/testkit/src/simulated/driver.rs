//! The simulated driver.

use super::behaviour::Behaviour;
use super::port::Port;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, mpsc};
use windlass_core::driver::{
    Attached, AttachedInput, AttachedOutput, Driver, DriverError, InstanceEvent, Stopped,
};
use windlass_core::ids::InstanceId;
use windlass_core::instance::{ExitStatus, InstanceSpec, InstanceState, ObservedInstance};

/// Runs instances in memory; each does what [`Behaviour`] reads from its command. It needs no
/// runtime of its own, so it outlives the platform that it is given to, as shims do.
pub struct SimulatedDriver {
    this: Weak<Self>,
    instances: Mutex<BTreeMap<InstanceId, Simulated>>,
    counts: Mutex<Counts>,
    events: broadcast::Sender<InstanceEvent>,
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

fn exit_status(code: i32) -> ExitStatus {
    ExitStatus { code, out_of_memory: false, reason: None, at_ms: now_ms() }
}

impl SimulatedDriver {
    #[must_use]
    pub fn new() -> Arc<Self> {
        let (events, _) = broadcast::channel(1024);
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            instances: Mutex::default(),
            counts: Mutex::default(),
            events,
        })
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        *locked(&self.counts)
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

    /// Ends a running instance, as if its process had ended by itself. False if it did not run.
    pub fn crash(&self, id: &InstanceId, code: i32) -> bool {
        self.end(id, code)
    }

    /// Records the end of an instance and tells of it; false if it had ended before.
    fn end(&self, id: &InstanceId, code: i32) -> bool {
        let status = exit_status(code);
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

    /// Notes a new instance; `None` if it is known already.
    fn insert(&self, spec: InstanceSpec) -> (ObservedInstance, Option<Behaviour>) {
        let mut instances = locked(&self.instances);
        if let Some(known) = instances.get(&spec.id) {
            return (known.observed.clone(), None);
        }
        locked(&self.counts).started += 1;
        let behaviour = Behaviour::of(&spec);
        let port = spec.port.map(|_| Port::bind());
        let observed = ObservedInstance {
            state: InstanceState::Running,
            started_at_ms: now_ms(),
            address: port.as_ref().map(|port| port.address),
            spec,
        };
        let simulated = Simulated { observed: observed.clone(), behaviour, port, listens: false };
        instances.insert(observed.spec.id.clone(), simulated);
        (observed, Some(behaviour))
    }
}

#[async_trait]
impl Driver for SimulatedDriver {
    async fn start(&self, spec: InstanceSpec) -> Result<ObservedInstance, DriverError> {
        let id = spec.id.clone();
        let (observed, new) = self.insert(spec);
        match new {
            Some(Behaviour::Serve | Behaviour::IgnoreTerm) => self.open_port(&id),
            Some(Behaviour::Slow(delay)) => self.open_port_after(id, delay),
            Some(Behaviour::Crash(code)) => {
                self.end(&id, code);
            }
            Some(Behaviour::NeverListen) | None => {}
        }
        Ok(observed)
    }

    /// Sends back what it is sent and ends with 0 when its input is closed, unless it is told to do
    /// something else.
    async fn start_attached(&self, spec: InstanceSpec) -> Result<Attached, DriverError> {
        let id = spec.id.clone();
        let (instance, behaviour) = self.insert(spec);
        let (input, mut from_client) = mpsc::channel(16);
        let (to_client, output) = mpsc::channel(16);
        let this = self.this.clone();
        tokio::spawn(async move {
            let does = behaviour.unwrap_or(Behaviour::Serve);
            let code = loop {
                if let Some((says, code)) = does.at_once().await {
                    let _ = to_client.send(AttachedOutput::Stdout(says)).await;
                    break code;
                }
                match from_client.recv().await {
                    Some(AttachedInput::Stdin(bytes)) => {
                        let _ = to_client.send(AttachedOutput::Stdout(bytes)).await;
                    }
                    Some(AttachedInput::StdinClosed) if does != Behaviour::NeverListen => break 0,
                    Some(AttachedInput::Signal(number)) => break 128 + number,
                    Some(AttachedInput::Resize(_) | AttachedInput::StdinClosed) => {}
                    None => break 137,
                }
            };
            if let Some(driver) = this.upgrade() {
                driver.end(&id, code);
            }
            let _ = to_client.send(AttachedOutput::Exited(exit_status(code))).await;
        });
        Ok(Attached { instance, output, input })
    }

    async fn stop(&self, id: &InstanceId, grace: Duration) -> Result<Stopped, DriverError> {
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
        let code = if killed { 137 } else { 143 };
        if self.end(id, code) {
            let mut counts = locked(&self.counts);
            counts.stopped += 1;
            counts.killed += usize::from(killed);
        }
        Ok(Stopped { status: exit_status(code), killed })
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

    fn events(&self) -> broadcast::Receiver<InstanceEvent> {
        self.events.subscribe()
    }
}
