//! What the driver knows about its instances.

use crate::launch::Launch;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;
use windlass_core::driver::DriverError;
use windlass_core::ids::InstanceId;
use windlass_core::instance::{ExitStatus, InstanceSpec, InstanceState, ObservedInstance};

/// How far an instance is.
#[derive(Clone, Debug)]
pub enum Phase {
    Starting,
    Running { started_at_ms: u64 },
    Exited { started_at_ms: u64, status: ExitStatus },
    Failed { reason: String },
}

/// One instance.
pub struct Instance {
    pub spec: InstanceSpec,
    pub address: Ipv4Addr,
    phase: watch::Sender<Phase>,
}

impl Instance {
    pub fn new(launch: &Launch, phase: Phase) -> Self {
        let (phase, _) = watch::channel(phase);
        Self { spec: launch.spec.clone(), address: launch.address, phase }
    }

    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Returns the instance as the control plane sees it; `None` while it is not running yet.
    pub fn observed(&self) -> Option<ObservedInstance> {
        let (state, started_at_ms) = match self.phase() {
            Phase::Running { started_at_ms } => (InstanceState::Running, started_at_ms),
            Phase::Exited { started_at_ms, status } => {
                (InstanceState::Exited(status), started_at_ms)
            }
            Phase::Starting | Phase::Failed { .. } => return None,
        };
        let address = self.spec.port.map(|port| SocketAddr::from((self.address, port)));
        let private_address = Some(self.address.into());
        let spec = self.spec.clone();
        Some(ObservedInstance { spec, state, started_at_ms, address, private_address })
    }

    /// Waits until the instance has been started by somebody.
    pub async fn started(&self) -> Result<ObservedInstance, DriverError> {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await;
        self.observed().ok_or_else(|| {
            let reason = match self.phase() {
                Phase::Failed { reason } => reason,
                _ => "it is still being started".to_owned(),
            };
            DriverError::Start { id: self.spec.id.clone(), reason }
        })
    }

    /// Waits until the instance has ended.
    pub async fn exited(&self) -> ExitStatus {
        let mut phase = self.phase.subscribe();
        let over = |phase: &Phase| matches!(phase, Phase::Exited { .. } | Phase::Failed { .. });
        let _ = phase.wait_for(over).await;
        match self.phase() {
            Phase::Exited { status, .. } => status,
            phase => ExitStatus {
                code: 255,
                out_of_memory: false,
                out_of_processes: false,
                reason: Some(match phase {
                    Phase::Failed { reason } => reason,
                    _ => "its driver was dropped".to_owned(),
                }),
                at_ms: crate::launch::now_ms(),
            },
        }
    }
}

/// All instances that are known.
#[derive(Default)]
pub struct Instances(Mutex<BTreeMap<InstanceId, std::sync::Arc<Instance>>>);

type Shared = std::sync::Arc<Instance>;

impl Instances {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceId, Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, id: &InstanceId) -> Option<Shared> {
        self.lock().get(id).cloned()
    }

    /// Adds an instance unless its identifier is taken; then returns the one that has it.
    pub fn insert(&self, instance: Shared) -> Option<Shared> {
        let mut all = self.lock();
        let id = instance.spec.id.clone();
        if let Some(taken) = all.get(&id) {
            return Some(taken.clone());
        }
        all.insert(id, instance);
        None
    }

    pub fn remove(&self, id: &InstanceId) {
        self.lock().remove(id);
    }

    pub fn all(&self) -> Vec<Shared> {
        self.lock().values().cloned().collect()
    }
}
