//! Observe: the log of an app, written by shims, router and server alike, read here.

mod log_sessions;
mod log_store;

pub use log_sessions::LogSessions;
pub use log_store::{LogFilter, LogStore};
