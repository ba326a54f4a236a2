//! Heroku's Platform API v3: one file a resource.

mod account;
mod acm;
mod activity;
mod addon;
mod app;
mod app_transfer;
mod authorization;
pub(crate) mod browser_login;
mod browser_login_page;
mod build;
mod buildpack;
mod buildpack_registry;
mod check;
mod collaborator;
mod config_var;
mod cron;
mod deploys;
mod domain;
mod dyno;
mod endpoints;
mod exec_manager;
mod feature;
mod fixed;
mod formation;
mod git;
mod image;
mod key;
mod limits;
mod log_drain;
mod log_session;
mod metrics;
mod network_link;
mod output_stream;
mod page_shell;
pub(crate) mod passkeys;
mod pipelines;
pub(crate) mod refusals;
mod registry;
mod release;
mod routing;
mod size;
mod slug;
mod sni_endpoint;
mod source;
mod stack;
mod status;
mod team;
mod team_app;
mod two_factor;
mod user;
mod volume;
mod webhook;
mod webhook_resources;
mod zone;

pub(crate) use endpoints::endpoints;
pub(crate) use image::next_piece;
pub use webhook_resources::ApiTeller;

use std::collections::HashMap;
use windlass_control::records::App;
use windlass_control::{Platform, Result};
use windlass_core::ids::UserId;
use windlass_wire::{Reference, UserReference};

fn app_reference(app: &App) -> Reference {
    Reference { id: app.id.to_string(), name: app.name.to_string() }
}

/// Looks each user up once.
struct Users<'a> {
    platform: &'a Platform,
    known: HashMap<UserId, UserReference>,
}

impl<'a> Users<'a> {
    fn new(platform: &'a Platform) -> Self {
        Self { platform, known: HashMap::new() }
    }

    fn reference(&mut self, id: UserId) -> Result<UserReference> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let user = self.platform.user(id)?;
        let reference = UserReference { id: user.id.to_string(), email: user.email };
        self.known.insert(id, reference.clone());
        Ok(reference)
    }
}
