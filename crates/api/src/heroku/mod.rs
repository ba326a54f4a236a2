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

use crate::state::ApiState;
use axum::Router;
use axum::routing::{delete, get, patch, post, put};
use std::collections::HashMap;
use windlass_control::records::App;
use windlass_control::{Platform, Result};
use windlass_core::ids::UserId;
use windlass_wire::{Reference, UserReference};

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .merge(account_routes())
        .merge(app_routes())
        .merge(process_routes())
        .merge(stream_routes())
        .merge(git_routes())
        .merge(cron_routes())
        .merge(volume_routes())
        .merge(routing_routes())
        .merge(fixed::routes())
}

fn account_routes() -> Router<ApiState> {
    Router::new()
        .route("/account", get(account::info))
        .route("/users/~", get(account::info))
        .route("/account/rate-limits", get(account::rate_limits))
        .route("/account/keys", get(key::list).post(key::create))
        .route("/account/keys/{key}", get(key::info).delete(key::remove))
        .route("/metrics", get(metrics::text))
        .route("/dns-zone", get(zone::info))
        .route("/dns-zone/actions/check", post(zone::check))
        .route("/registries", get(registry::list))
        .route("/registries/{host}", put(registry::log_in).delete(registry::log_out))
        .route("/oauth/authorizations", get(authorization::list).post(authorization::create))
        .route(
            "/oauth/authorizations/{authorization}",
            get(authorization::info).delete(authorization::revoke),
        )
        .route("/oauth/sessions/~", delete(authorization::no_session))
}

fn app_routes() -> Router<ApiState> {
    Router::new()
        .route("/apps", get(app::list).post(app::create))
        .route("/users/~/apps", get(app::list))
        .route("/apps/{app}", get(app::info).patch(app::update).delete(app::destroy))
        .route("/apps/{app}/collaborators", get(app::collaborators))
        .route("/apps/{app}/config-vars", get(config_var::info).patch(config_var::update))
        .route("/apps/{app}/acm", post(acm::enable).patch(acm::refresh).delete(acm::disable))
        .route("/apps/{app}/domains", get(domain::list).post(domain::create))
        .route(
            "/apps/{app}/domains/{domain}",
            get(domain::info).patch(domain::update).delete(domain::remove),
        )
        .route("/apps/{app}/sni-endpoints", get(sni_endpoint::list).post(sni_endpoint::create))
        .route("/apps/{app}/sni-endpoints/actions/check", post(sni_endpoint::check))
        .route(
            "/apps/{app}/sni-endpoints/{endpoint}",
            get(sni_endpoint::info).patch(sni_endpoint::update).delete(sni_endpoint::remove),
        )
        .route("/certificate-authority", get(sni_endpoint::authority))
        .route("/apps/{app}/network-links", get(network_link::list).post(network_link::create))
        .route("/apps/{app}/network-links/{link}", delete(network_link::remove))
        .route("/apps/{app}/releases", get(release::list).post(release::create))
        .route("/apps/{app}/releases/{release}", get(release::info))
        .route("/apps/{app}/releases/{release}/config-vars", get(release::config_vars))
        .route("/apps/{app}/buildpack-installations", get(buildpack::list).put(buildpack::update))
        .route("/apps/{app}/builds", get(build::list).post(source::build))
        .route("/apps/{app}/builds/{build}", get(build::info).delete(build::cancel))
        .route("/apps/{app}/build-cache", delete(build::purge_cache))
        .route("/sources", post(source::create))
        .route("/apps/{app}/sources", post(source::create_for_app))
        .route("/apps/{app}/images", post(image::load))
        .route("/apps/{app}/images/current", get(image::save))
        .route("/apps/{app}/images/pull", post(registry::pull))
        .route("/apps/{app}/log-sessions", post(log_session::create))
}

fn process_routes() -> Router<ApiState> {
    Router::new()
        .route("/apps/{app}/checks", get(check::list))
        .route("/apps/{app}/checks/{process}", put(check::update).delete(check::remove))
        .route("/apps/{app}/checks/actions/run", post(check::run))
        .route("/apps/{app}/limits", get(limits::list))
        .route("/apps/{app}/limits/{process}", patch(limits::update).delete(limits::remove))
        .route("/apps/{app}/deploys", get(deploys::info).patch(deploys::update))
        .route("/apps/{app}/deploys/actions/promote", post(deploys::promote))
        .route("/apps/{app}/deploys/actions/abort", post(deploys::abort))
        .route("/apps/{app}/deploys/actions/lock", post(deploys::lock))
        .route("/apps/{app}/deploys/actions/unlock", post(deploys::unlock))
        .route("/apps/{app}/actions/stop", post(deploys::stop))
        .route("/apps/{app}/actions/start", post(deploys::start))
        .route("/apps/{app}/formation", get(formation::list).patch(formation::update_many))
        .route(
            "/apps/{app}/formation/{formation}",
            get(formation::info).patch(formation::update_one),
        )
        .route("/apps/{app}/formations/{formation}", delete(dyno::restart_formation))
        .route("/apps/{app}/formations/{formation}/actions/stop", post(dyno::stop_formation))
        .route("/apps/{app}/dynos", get(dyno::list).post(dyno::create).delete(dyno::restart_all))
        .route("/apps/{app}/dynos/{dyno}", get(dyno::info).delete(dyno::restart_one))
        .route("/apps/{app}/dynos/{dyno}/actions/stop", post(dyno::stop))
        .route("/apps/{app}/dynos/{dyno}/actions/exec", post(dyno::exec))
}

/// What is ours alone: sources that are fetched.
fn git_routes() -> Router<ApiState> {
    Router::new()
        .route("/apps/{app}/git-sync", post(git::sync))
        .route("/apps/{app}/git-key", get(git::key))
        .route(
            "/apps/{app}/git-webhook",
            get(git::webhook).post(git::enable_webhook).delete(git::disable_webhook),
        )
        .route("/account/git-credentials", get(git::credentials).put(git::set_credential))
        .route("/account/git-credentials/{host}", delete(git::remove_credential))
        .route("/webhooks/git/{app}", post(git::call))
}

fn cron_routes() -> Router<ApiState> {
    let one = "/apps/{app}/cron-jobs/{job}";
    Router::new()
        .route("/apps/{app}/cron-jobs", get(cron::list).post(cron::create))
        .route(one, get(cron::info).patch(cron::update).delete(cron::remove))
        .route(&format!("{one}/runs"), get(cron::runs).post(cron::run))
        .route(&format!("{one}/runs/{{run}}"), get(cron::run_info))
        .route(&format!("{one}/runs/{{run}}/output"), get(cron::output))
}

/// What is ours alone: how requests are routed.
fn routing_routes() -> Router<ApiState> {
    let domain = "/apps/{app}/domains/{domain}";
    Router::new()
        .route("/apps/{app}/routing", get(routing::info).patch(routing::update))
        .route(
            "/apps/{app}/routing/pages/{kind}",
            put(routing::put_page).delete(routing::remove_page),
        )
        .route(
            &format!("{domain}/redirect"),
            put(routing::redirect).delete(routing::remove_redirect),
        )
        .route(&format!("{domain}/actions/check"), post(routing::check_domain))
}

fn volume_routes() -> Router<ApiState> {
    let one = "/apps/{app}/volumes/{volume}";
    Router::new()
        .route("/volumes", get(volume::list_all))
        .route("/volumes/{volume}", delete(volume::remove_any))
        .route("/apps/{app}/volumes", get(volume::list).post(volume::create))
        .route("/apps/{app}/volumes/actions/attach", post(volume::attach))
        .route(one, get(volume::info).patch(volume::update).delete(volume::remove))
        .route(&format!("{one}/snapshots"), get(volume::snapshots).post(volume::snapshot))
        .route(&format!("{one}/snapshots/{{snapshot}}"), delete(volume::remove_snapshot))
        .route(&format!("{one}/actions/restore"), post(volume::restore))
        .route(&format!("{one}/archive"), get(volume::back_up).post(volume::fill))
}

/// URLs that carry their own secret.
fn stream_routes() -> Router<ApiState> {
    Router::new()
        .route("/logs/{secret}", get(log_session::stream))
        .route("/sources/{secret}", put(source::upload))
        .route(build::STREAM_ROUTE, get(build::stream))
        .route(release::STREAM_ROUTE, get(release::stream))
        .route("/attach/{secret}", get(crate::attach::attach))
}

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
