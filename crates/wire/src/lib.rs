//! Request and response bodies of the Platform API, shared by server and client.
//!
//! Shapes and field names are those of the Heroku Platform API v3; times are
//! `YYYY-MM-DDTHH:MM:SSZ` strings in UTC, identifiers are UUIDs in text.

mod account;
mod app;
mod browser_login;
mod buildpack;
mod certificate;
mod check;
mod cron;
mod deploys;
mod dyno;
mod exec_manager;
mod formation;
mod git;
mod limits;
mod network_link;
mod passkey;
mod people;
mod pipeline;
mod registry;
mod release;
pub mod rendezvous;
mod routing;
mod slug;
mod switch;
mod volume;
mod webhook;
mod zone;

pub use account::*;
pub use app::*;
pub use browser_login::*;
pub use buildpack::*;
pub use certificate::*;
pub use check::*;
pub use cron::*;
pub use deploys::*;
pub use dyno::*;
pub use exec_manager::*;
pub use formation::*;
pub use git::*;
pub use limits::*;
pub use network_link::*;
pub use passkey::*;
pub use people::*;
pub use pipeline::*;
pub use registry::*;
pub use release::*;
pub use routing::*;
pub use slug::*;
pub use volume::*;
pub use webhook::*;
pub use zone::*;

use serde::{Deserialize, Serialize};

/// The header in which `windlass connect` says under which URL its clients reach the server, so
/// that URLs in answers lead back to it.
pub const BASE_URL_HEADER: &str = "windlass-base-url";

/// Why a request failed. `id` is for programs, `message` for people.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ErrorBody {
    /// `not_found`, `invalid_params`, `unauthorized`, `forbidden`, `conflict` …
    pub id: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An id and a name: how resources refer to each other.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Reference {
    pub id: String,
    pub name: String,
}

/// A reference by id alone.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct IdReference {
    pub id: String,
}

/// A user in another resource.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct UserReference {
    pub id: String,
    pub email: String,
}
