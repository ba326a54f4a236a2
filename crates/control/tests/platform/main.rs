//! The platform over a simulated driver and router: no root, no containers, no git pushes.

#![allow(clippy::unwrap_used)]

mod certificates;
mod checks;
mod configuration;
mod crashes;
mod crashes_of_the_server;
mod cron;
mod deploys;
mod exec;
mod limits;
mod one_offs;
mod people;
mod pipelines;
mod private_network;
mod release_phase;
mod renewals;
mod routing;
mod scaling;
mod simulation;
mod strategies;
mod takeover;
mod volumes;
