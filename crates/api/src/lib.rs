//! The doors of Windlass: the Platform API over HTTP, git over HTTP on the same port, and git
//! over SSH.
//!
//! Handlers hold no decisions: they take a request apart, call the platform, and give its answer
//! the shape that clients know (Heroku's Platform API v3).
#![forbid(unsafe_code)]

mod attach;
mod convention;
mod distribution;
mod exec;
mod git;
mod heroku;
mod keepalive;
mod key;
mod rendezvous;
mod schema;
mod serve;
mod ssh;
mod state;
mod stream;
mod tls;
mod unread;

pub use convention::endpoints::{Endpoint, Needs};
pub use heroku::ApiTeller;
pub use heroku::refusals::{REFUSALS, Refusal};
pub use key::{InvalidKey, ParsedKey, parse_public_key};
pub use schema::{document as schema_document, open_api_document};
pub use serve::{endpoints, router, serve_api, serve_http};
pub use ssh::{HOST_KEY_FILE, SshDoors, SshError, serve_ssh};
