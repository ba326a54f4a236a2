//! The data plane: routes requests to instances and counts what is in flight.
//!
//! The router is a process of its own. It keeps serving from its last route table while the
//! control plane restarts, and it is the one place that knows how many requests, streams and
//! tunnels each instance still has, so that an instance can be stopped without losing any.
//!
//! - `listen` accepts connections, `workers` are the threads that serve them,
//! - `http1`, `http2` and `http3` speak HTTP on them, `streams` is what the last two share,
//! - `table` holds the route table: an immutable snapshot, swapped as a whole,
//! - `target` counts what is in flight, pools connections and balances,
//! - `policy` decides what an app's routing settings say about a request,
//! - `proxy` carries one request from the client to a target and back,
//! - `challenge` answers certificate authorities,
//! - `access_log` writes Heroku's router lines off the request path,
//! - `control` takes commands from the control plane; [`client`] is its other end,
//! - `hand_over` passes the sockets to the next router.

#![forbid(unsafe_code)]

mod access_log;
mod challenge;
pub mod client;
mod config;
mod control;
#[cfg(test)]
mod fuzz;
mod hand_over;
mod http1;
mod http2;
mod http3;
mod last_time;
mod listen;
mod metrics;
mod policy;
mod proxy;
mod run;
mod streams;
mod table;
mod target;
mod workers;

pub use config::{Limits, RouterConfig, RouterError, Routes};
pub use hand_over::{Inherited, take_over};
pub use run::{run, run_after, runtime};
pub use target::health::Ejection;
