//! A driver and a router in memory.

mod behaviour;
mod driver;
mod port;
mod router;

pub use behaviour::Behaviour;
pub use driver::{Counts, SimulatedDriver};
pub use router::SimulatedRouter;
