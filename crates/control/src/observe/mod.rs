//! Observe: the log of an app, written by shims, router and server alike, read here.

mod drain;
mod log_reader;
mod log_sessions;
mod log_store;
mod log_view;
mod status;

pub(crate) use drain::LogDrains;
pub use log_sessions::LogSessions;
pub use log_store::{LogFilter, LogStore};
pub use status::Health;
pub(crate) use status::LastHealth;
