//! Test helpers: a simulated driver and router with a platform over them, and a harness that
//! runs the real binary.
//!
//! Only tests depend on this crate. Its helpers panic with what went wrong and where.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

pub mod platform;
pub mod simulated;
mod skip;
mod wait;

pub use skip::skip;
pub use wait::{wait_for, wait_until};
