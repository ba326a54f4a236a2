//! The platform over a simulated driver and router: no root, no containers, no git pushes.

#![allow(clippy::unwrap_used)]

mod configuration;
mod crashes;
mod deploys;
mod one_offs;
mod release_phase;
mod scaling;
mod simulation;
mod takeover;
