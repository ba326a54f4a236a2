//! The doors over a real platform on a temporary directory. Nothing runs behind it: its driver
//! only plays attached processes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod api;
mod attached;
mod attacks;
mod bad_inputs;
mod browser_login;
mod buildpacks;
mod certificates;
mod conditions;
mod container_attacks;
mod container_indexes;
mod containers;
mod exec_manager;
mod git;
mod git_over_http;
mod git_over_ssh;
mod lists;
mod network_links;
mod passkey_answers;
mod passkeys;
mod people;
mod pipelines;
mod platform_table;
mod refusals;
mod rendezvous;
mod roles;
mod routes;
mod routing;
mod schema;
mod schemathesis;
mod slugs;
mod small_families;
mod sources;
mod support;
mod tokens;
mod webhooks;
