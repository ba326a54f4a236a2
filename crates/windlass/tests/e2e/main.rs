//! The real binary, pushed to by real git. Needs root, the stack (`windlass setup`), git and ssh.
//!
//! `cargo test -p windlass --test e2e -- --test-threads 6 [part of a test's name]`

#![allow(clippy::unwrap_used)]

mod app_json;
mod buildpacks;
mod builds;
mod client;
mod deploys;
mod failures;
mod images;
mod languages;
mod logs;
mod one_offs;
mod processes;
mod pushes;
mod queue;
mod resilience;
mod routing;
mod server;
mod support;
mod ways_in;
