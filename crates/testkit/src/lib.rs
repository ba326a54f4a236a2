//! Test helpers: a simulated driver and router with a platform over them, the contract that all
//! drivers keep, and a harness that runs the real binary.
//!
//! Only tests depend on this crate. Its helpers panic with what went wrong and where.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

pub mod app;
pub mod authenticator;
pub mod browser;
pub mod command;
pub mod contract;
pub mod git;
pub mod heroku;
pub mod http;
mod leftovers;
pub mod load;
pub mod pebble;
pub mod platform;
pub mod quiet_network;
pub mod registry;
pub mod schema;
pub mod server;
pub mod simulated;
mod skip;
pub mod wait;
pub mod websocket;

pub use leftovers::leftovers;
pub use skip::skip;
pub use wait::{wait_for, wait_until};
