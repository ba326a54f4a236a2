//! The nouns, limits and decisions of Windlass.
//!
//! Nothing in this crate reads a clock, opens a socket or touches a disk: state
//! machines take the present as a value and return what to do as data. The two
//! ports through which the control plane acts on the world are [`driver::Driver`]
//! (run instances) and the route tables of [`route`].

pub mod access;
pub mod acme;
pub mod admission;
pub mod app_json;
pub mod attempts;
pub mod boot;
pub mod certificate;
pub mod challenges;
pub mod checks;
pub mod cron;
pub mod deploy_settings;
pub mod disk_guard;
pub mod driver;
pub mod dyno_metadata;
mod exit;
pub mod feature;
pub mod host_job;
pub mod ids;
pub mod instance;
pub mod limits;
pub mod links;
pub mod log_drain;
pub mod log_line;
pub mod names;
pub mod outgoing;
pub mod people;
pub mod pipeline;
pub mod plan;
pub mod process_limits;
pub mod procfile;
pub mod rate_limit;
pub mod release;
pub mod route;
pub mod routing_settings;
pub mod volume;
pub mod webauthn;
pub mod webhook;
pub mod zone;
