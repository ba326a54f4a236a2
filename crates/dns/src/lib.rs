//! The name server of instances.
//!
//! Instances ask it for everything. Names below `.internal` it answers itself, from the routes that
//! are in force, and only to instances that may reach what they ask for; all other names it passes
//! on to the host's name servers. It runs in the router's process, so it answers while the control
//! plane is away.
//!
//! - `name` reads what a name below `.internal` asks for,
//! - `answer` decides: a reply, or pass it on,
//! - `clients` says which app asks,
//! - `upstream` asks the host's name servers,
//! - `serve` holds the sockets and the limits.
#![forbid(unsafe_code)]

mod answer;
mod clients;
mod name;
mod serve;
mod upstream;

pub use clients::Clients;
pub use serve::{Doors, Routes, Server, bind};
pub use upstream::Upstream;
