//! Heroku's Platform API v3: one file a resource.

mod account;
mod acm;
mod app;
mod authorization;
mod build;
mod buildpack;
mod check;
mod config_var;
mod cron;
mod deploys;
mod domain;
mod dyno;
mod endpoints;
mod fixed;
mod formation;
mod git;
mod image;
mod key;
mod limits;
mod log_session;
mod metrics;
mod network_link;
mod output_stream;
mod registry;
mod release;
mod routing;
mod sni_endpoint;
mod source;
mod volume;
mod zone;

pub(crate) use endpoints::endpoints;

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
