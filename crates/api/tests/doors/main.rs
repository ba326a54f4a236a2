//! The doors over a real platform on a temporary directory. Nothing runs behind it: its driver
//! only plays attached processes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod api;
mod attached;
mod buildpacks;
mod certificates;
mod git;
mod git_over_http;
mod git_over_ssh;
mod lists;
mod network_links;
mod routes;
mod routing;
mod sources;
mod support;
