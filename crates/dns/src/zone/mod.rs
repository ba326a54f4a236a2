//! The authoritative side: a zone of the owner's, delegated to this server.
//!
//! - `answer` decides what to say, as a pure function,
//! - `rates` limits what one network gets, since questions over UDP may have a forged sender,
//! - `serve` holds the sockets.

mod answer;
mod rates;
mod serve;

pub use serve::ZoneServer;
