//! The router as its users see it: real sockets, real files, small hyper servers as instances.

#![allow(clippy::unwrap_used)]

mod bodies;
mod control;
mod drain;
mod errors;
mod hand_over;
mod log;
mod routing;
mod support;
mod tunnel;
