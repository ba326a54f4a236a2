//! What webhooks are told of, in the API's shapes.

use super::{app, build, collaborator, domain, dyno, formation, release, sni_endpoint};
use crate::convention::BaseUrl;
use crate::state::ApiState;
use serde::Serialize;
use serde_json::Value;
use windlass_control::records::App;
use windlass_control::webhooks::Teller;
use windlass_control::{Platform, PlatformError, Result};
use windlass_core::webhook::{Kind, Resource};

/// Builds and releases before the newest ones do not change any more.
const NEWEST: u32 = 10;

/// Shows apps to the control plane as this API does.
pub struct ApiTeller;

impl Teller for ApiTeller {
    async fn resources(&self, platform: &Platform, app: &App) -> Result<Vec<Resource>> {
        of(&ApiState::new(platform.clone()), app).await
    }
}

/// Returns all of an app that webhooks are told of. Nobody asks, so URLs are the configured ones.
pub(super) async fn of(state: &ApiState, app: &App) -> Result<Vec<Resource>> {
    let platform = &state.platform;
    let base = BaseUrl(platform.settings().api_url.clone());
    let mut resources = Resources::default();
    resources.add(Kind::App, app::one(platform, &base, app)?)?;
    let mut builds = build::Shaper::new(state, &base, app, app.owner)?;
    for record in platform.builds(app, NEWEST)? {
        resources.add(Kind::Build, builds.shape(record)?)?;
    }
    let mut releases = release::Shaper::new(state, &base, app, app.owner);
    for record in platform.releases(app, NEWEST)? {
        resources.add(Kind::Release, releases.shape(record)?)?;
    }
    for view in platform.formation(app)? {
        resources.add(Kind::Formation, formation::shape(app, view))?;
    }
    for domain in domain::all(platform, app)? {
        resources.add(Kind::Domain, domain)?;
    }
    for view in platform.app_certificates(app)? {
        resources.add(Kind::SniEndpoint, sni_endpoint::shape(app, view, Vec::new()))?;
    }
    for one in collaborator::of_app(platform, app)? {
        resources.add(Kind::Collaborator, one)?;
    }
    for dyno in dyno::all(platform, app).await? {
        resources.add(Kind::Dyno, dyno)?;
    }
    Ok(resources.0)
}

#[derive(Default)]
struct Resources(Vec<Resource>);

impl Resources {
    fn add(&mut self, kind: Kind, shape: impl Serialize) -> Result<()> {
        let mut data = serde_json::to_value(shape).map_err(|error| {
            PlatformError::Internal("a resource is no JSON".to_owned(), Some(Box::new(error)))
        })?;
        // Whoever has such a URL needs no token, and it is another one after a restart.
        if let Some(url) = data.get_mut("output_stream_url") {
            *url = Value::Null;
        }
        self.0.push(Resource { kind, data });
        Ok(())
    }
}
