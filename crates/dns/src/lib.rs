//! Two name servers: that of instances, and that of the owner's zone.
//!
//! Instances ask the first for everything. Names below `.internal` it answers itself, from the routes that
//! are in force, and only to instances that may reach what they ask for; all other names it passes
//! on to the host's name servers. It runs in the router's process, so it answers while the control
//! plane is away.
//!
//! - `name` reads what a name below `.internal` asks for,
//! - `answer` decides: a reply, or pass it on,
//! - `clients` says which app asks,
//! - `upstream` asks the host's name servers,
//! - `serve` holds the sockets and the limits.
//!
//! The second answers the world for a zone that was delegated to this server (`zone`). [`Resolver`]
//! is the other end: it asks name servers what the world sees.
#![forbid(unsafe_code)]

mod answer;
mod clients;
mod name;
mod resolver;
mod serve;
mod upstream;
mod zone;

pub use clients::Clients;
pub use resolver::{Resolver, Unresolved};
pub use serve::{Doors, Routes, Server, bind};
pub use upstream::Upstream;
pub use zone::ZoneServer;
