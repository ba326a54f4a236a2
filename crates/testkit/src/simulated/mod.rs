//! A driver and a router in memory.

mod attached;
mod behaviour;
mod driver;
mod exec;
mod faults;
mod host;
mod port;
mod router;
mod volumes;

pub use behaviour::Behaviour;
pub use driver::{Counts, SimulatedDriver};
pub use faults::{Faults, Side};
pub use host::SimulatedHost;
pub use router::SimulatedRouter;
pub use volumes::SimulatedVolumes;
