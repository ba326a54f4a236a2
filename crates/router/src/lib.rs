//! The data plane: routes requests to instances and counts what is in flight.
//!
//! The router is a process of its own. It keeps serving from its last route table while the
//! control plane restarts, and it is the one place that knows how many requests, streams and
//! tunnels each instance still has, so that an instance can be stopped without losing any.
//!
//! - `listen` accepts connections and speaks HTTP to clients,
//! - `table` holds the route table: an immutable snapshot, swapped as a whole,
//! - `target` counts what is in flight, pools connections and balances,
//! - `proxy` carries one request from the client to a target and back,
//! - `access_log` writes Heroku's router lines off the request path,
//! - `control` takes commands from the control plane; [`client`] is its other end,
//! - `hand_over` passes the sockets to the next router.

#![forbid(unsafe_code)]

mod access_log;
pub mod client;
mod config;
mod control;
mod hand_over;
mod listen;
mod proxy;
mod run;
mod table;
mod target;

pub use config::{Limits, RouterConfig, RouterError, Routes};
pub use hand_over::{Inherited, take_over};
pub use run::{run, run_after, runtime};
