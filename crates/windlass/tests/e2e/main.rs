//! The real binary, pushed to by real git. Needs root, the stack (`windlass setup`), git and ssh.
//!
//! `cargo test -p windlass --test e2e -- --test-threads 6 [part of a test's name]`

#![allow(clippy::unwrap_used)]

mod acme;
mod app_json;
mod buildpack_api;
mod buildpacks;
mod builds;
mod client;
mod connect;
mod container_indexes;
mod containers;
mod contract;
mod cron;
mod debian_languages;
mod demo;
mod deploys;
mod exec;
mod exec_ssh;
mod failures;
mod git_sync;
mod heroku3;
mod heroku_cli;
mod http2;
mod images;
mod isolation;
mod languages;
mod limits;
mod lint;
mod logs;
mod one_offs;
mod outside;
mod passkeys;
mod people;
mod pipelines;
mod private_network;
mod processes;
mod pushes;
mod queue;
mod registries;
mod resilience;
mod routing;
mod routing_settings;
mod server;
mod slugs;
mod small_apps;
mod strategies;
mod support;
mod survival;
mod tls;
mod upgrades;
mod volumes;
mod ways_in;
mod webhooks_and_drains;
