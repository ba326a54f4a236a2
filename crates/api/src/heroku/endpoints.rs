//! Every endpoint of the API but git's, family by family.

use super::{
    account, acm, activity, addon, app, app_transfer, authorization, browser_login, build,
    buildpack, buildpack_registry, check, collaborator, config_var, cron, deploys, domain, dyno,
    exec_manager, feature, fixed, formation, git, image, key, limits, log_drain, log_session,
    metrics, network_link, page_shell, passkeys, pipelines, registry, release, routing, size, slug,
    sni_endpoint, source, stack, status, team, team_app, two_factor, user, volume, webhook, zone,
};
use crate::convention::{DEPLOY, Endpoints, MANAGE, Needs, OPERATE, VIEW};

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new()
        .merge(account_routes())
        .merge(people_routes())
        .merge(browser_login::endpoints())
        .merge(page_shell::endpoints())
        .merge(app_routes())
        .merge(process_routes())
        .merge(stream_routes())
        .merge(git_routes())
        .merge(cron_routes())
        .merge(volume_routes())
        .merge(routing_routes())
        .merge(pipelines::endpoints())
        .merge(stack::endpoints())
        .merge(slug::endpoints())
        .merge(buildpack_registry::endpoints())
        .merge(addon::endpoints())
        .merge(feature::endpoints())
        .merge(log_drain::endpoints())
        .merge(status::endpoints())
        .merge(webhook::endpoints())
        .merge(fixed::endpoints())
        .merge(size::endpoints())
}

fn account_routes() -> Endpoints {
    Endpoints::new()
        .get("/account/keys", Needs::Anybody, key::list)
        .post("/account/keys", Needs::Anybody, key::create)
        .get("/account/keys/{key}", Needs::Anybody, key::info)
        .delete("/account/keys/{key}", Needs::Anybody, key::remove)
        .get("/metrics", Needs::Owner, metrics::text)
        .get("/dns-zone", Needs::Owner, zone::info)
        .post("/dns-zone/actions/check", Needs::Owner, zone::check)
        .get("/registries", Needs::Owner, registry::list)
        .put("/registries/{host}", Needs::Owner, registry::log_in)
        .delete("/registries/{host}", Needs::Owner, registry::log_out)
}

/// Who may come in, and what they have been given.
fn people_routes() -> Endpoints {
    Endpoints::new()
        .merge(account::endpoints())
        .merge(authorization::endpoints())
        .merge(two_factor::endpoints())
        .merge(passkeys::endpoints())
        .merge(user::endpoints())
        .merge(team::endpoints())
        .merge(team_app::endpoints())
        .merge(collaborator::endpoints())
        .merge(app_transfer::endpoints())
        .merge(activity::endpoints())
}

fn app_routes() -> Endpoints {
    Endpoints::new()
        .get("/apps", Needs::Anybody, app::list)
        .post("/apps", Needs::Anybody, app::create)
        .get("/users/~/apps", Needs::Anybody, app::list)
        .get("/apps/{app}", VIEW, app::info)
        .patch("/apps/{app}", OPERATE, app::update)
        .delete("/apps/{app}", MANAGE, app::destroy)
        .get("/apps/{app}/config-vars", DEPLOY, config_var::info)
        .patch("/apps/{app}/config-vars", DEPLOY, config_var::update)
        .post("/apps/{app}/acm", OPERATE, acm::enable)
        .patch("/apps/{app}/acm", OPERATE, acm::refresh)
        .delete("/apps/{app}/acm", OPERATE, acm::disable)
        .get("/apps/{app}/domains", VIEW, domain::list)
        .post("/apps/{app}/domains", OPERATE, domain::create)
        .get("/apps/{app}/domains/{domain}", VIEW, domain::info)
        .patch("/apps/{app}/domains/{domain}", OPERATE, domain::update)
        .delete("/apps/{app}/domains/{domain}", OPERATE, domain::remove)
        .get("/apps/{app}/sni-endpoints", VIEW, sni_endpoint::list)
        .post("/apps/{app}/sni-endpoints", OPERATE, sni_endpoint::create)
        .post("/apps/{app}/sni-endpoints/actions/check", OPERATE, sni_endpoint::check)
        .get("/apps/{app}/sni-endpoints/{endpoint}", VIEW, sni_endpoint::info)
        .patch("/apps/{app}/sni-endpoints/{endpoint}", OPERATE, sni_endpoint::update)
        .delete("/apps/{app}/sni-endpoints/{endpoint}", OPERATE, sni_endpoint::remove)
        .get("/certificate-authority", Needs::Anybody, sni_endpoint::authority)
        .get("/apps/{app}/network-links", VIEW, network_link::list)
        .post("/apps/{app}/network-links", OPERATE, network_link::create)
        .delete("/apps/{app}/network-links/{link}", OPERATE, network_link::remove)
        .get("/apps/{app}/releases", VIEW, release::list)
        .post("/apps/{app}/releases", DEPLOY, release::create)
        .get("/apps/{app}/releases/{release}", VIEW, release::info)
        .get("/apps/{app}/releases/{release}/config-vars", DEPLOY, release::config_vars)
        .get("/apps/{app}/buildpack-installations", VIEW, buildpack::list)
        .put("/apps/{app}/buildpack-installations", DEPLOY, buildpack::update)
        .get("/apps/{app}/builds", VIEW, build::list)
        .post("/apps/{app}/builds", DEPLOY, source::build)
        .get("/apps/{app}/builds/{build}", VIEW, build::info)
        .delete("/apps/{app}/builds/{build}", DEPLOY, build::cancel)
        .delete("/apps/{app}/build-cache", DEPLOY, build::purge_cache)
        .post("/sources", Needs::Anybody, source::create)
        .post("/apps/{app}/sources", DEPLOY, source::create_for_app)
        .post("/apps/{app}/images", DEPLOY, image::load)
        .get("/apps/{app}/images/current", DEPLOY, image::save)
        .post("/apps/{app}/images/pull", DEPLOY, registry::pull)
        .post("/apps/{app}/log-sessions", VIEW, log_session::create)
}

fn process_routes() -> Endpoints {
    Endpoints::new()
        .get("/apps/{app}/checks", VIEW, check::list)
        .put("/apps/{app}/checks/{process}", OPERATE, check::update)
        .delete("/apps/{app}/checks/{process}", OPERATE, check::remove)
        .post("/apps/{app}/checks/actions/run", OPERATE, check::run)
        .get("/apps/{app}/limits", VIEW, limits::list)
        .patch("/apps/{app}/limits/{process}", OPERATE, limits::update)
        .delete("/apps/{app}/limits/{process}", OPERATE, limits::remove)
        .get("/apps/{app}/deploys", VIEW, deploys::info)
        .patch("/apps/{app}/deploys", DEPLOY, deploys::update)
        .post("/apps/{app}/deploys/actions/promote", DEPLOY, deploys::promote)
        .post("/apps/{app}/deploys/actions/abort", DEPLOY, deploys::abort)
        .post("/apps/{app}/deploys/actions/lock", DEPLOY, deploys::lock)
        .post("/apps/{app}/deploys/actions/unlock", DEPLOY, deploys::unlock)
        .post("/apps/{app}/actions/stop", OPERATE, deploys::stop)
        .post("/apps/{app}/actions/start", OPERATE, deploys::start)
        .get("/apps/{app}/formation", VIEW, formation::list)
        .patch("/apps/{app}/formation", OPERATE, formation::update_many)
        .get("/apps/{app}/formation/{formation}", VIEW, formation::info)
        .patch("/apps/{app}/formation/{formation}", OPERATE, formation::update_one)
        .delete("/apps/{app}/formations/{formation}", OPERATE, dyno::restart_formation)
        .post("/apps/{app}/formations/{formation}/actions/stop", OPERATE, dyno::stop_formation)
        .get("/apps/{app}/dynos", VIEW, dyno::list)
        .post("/apps/{app}/dynos", OPERATE, dyno::create)
        .delete("/apps/{app}/dynos", OPERATE, dyno::restart_all)
        .get("/apps/{app}/dynos/{dyno}", VIEW, dyno::info)
        .delete("/apps/{app}/dynos/{dyno}", OPERATE, dyno::restart_one)
        .post("/apps/{app}/dynos/{dyno}/actions/stop", OPERATE, dyno::stop)
        .post("/apps/{app}/dynos/{dyno}/actions/exec", OPERATE, dyno::exec)
}

/// What is ours alone: sources that are fetched.
fn git_routes() -> Endpoints {
    Endpoints::new()
        .post("/apps/{app}/git-sync", DEPLOY, git::sync)
        .get("/apps/{app}/git-key", DEPLOY, git::key)
        .get("/apps/{app}/git-webhook", DEPLOY, git::webhook)
        .post("/apps/{app}/git-webhook", DEPLOY, git::enable_webhook)
        .delete("/apps/{app}/git-webhook", DEPLOY, git::disable_webhook)
        .get("/account/git-credentials", Needs::Anybody, git::credentials)
        .put("/account/git-credentials", Needs::Anybody, git::set_credential)
        .delete("/account/git-credentials/{host}", Needs::Anybody, git::remove_credential)
        .post("/webhooks/git/{app}", Needs::Itself, git::call)
}

fn cron_routes() -> Endpoints {
    Endpoints::new()
        .get("/apps/{app}/cron-jobs", VIEW, cron::list)
        .post("/apps/{app}/cron-jobs", OPERATE, cron::create)
        .get("/apps/{app}/cron-jobs/{job}", VIEW, cron::info)
        .patch("/apps/{app}/cron-jobs/{job}", OPERATE, cron::update)
        .delete("/apps/{app}/cron-jobs/{job}", OPERATE, cron::remove)
        .get("/apps/{app}/cron-jobs/{job}/runs", VIEW, cron::runs)
        .post("/apps/{app}/cron-jobs/{job}/runs", OPERATE, cron::run)
        .get("/apps/{app}/cron-jobs/{job}/runs/{run}", VIEW, cron::run_info)
        .get("/apps/{app}/cron-jobs/{job}/runs/{run}/output", VIEW, cron::output)
}

/// What is ours alone: how requests are routed.
fn routing_routes() -> Endpoints {
    Endpoints::new()
        .get("/apps/{app}/routing", VIEW, routing::info)
        .patch("/apps/{app}/routing", OPERATE, routing::update)
        .put("/apps/{app}/routing/pages/{kind}", OPERATE, routing::put_page)
        .delete("/apps/{app}/routing/pages/{kind}", OPERATE, routing::remove_page)
        .put("/apps/{app}/domains/{domain}/redirect", OPERATE, routing::redirect)
        .delete("/apps/{app}/domains/{domain}/redirect", OPERATE, routing::remove_redirect)
        .post("/apps/{app}/domains/{domain}/actions/check", OPERATE, routing::check_domain)
}

fn volume_routes() -> Endpoints {
    Endpoints::new()
        .get("/volumes", Needs::Owner, volume::list_all)
        .delete("/volumes/{volume}", Needs::Owner, volume::remove_any)
        .get("/apps/{app}/volumes", VIEW, volume::list)
        .post("/apps/{app}/volumes", OPERATE, volume::create)
        .post("/apps/{app}/volumes/actions/attach", OPERATE, volume::attach)
        .get("/apps/{app}/volumes/{volume}", VIEW, volume::info)
        .patch("/apps/{app}/volumes/{volume}", OPERATE, volume::update)
        .delete("/apps/{app}/volumes/{volume}", OPERATE, volume::remove)
        .get("/apps/{app}/volumes/{volume}/snapshots", VIEW, volume::snapshots)
        .post("/apps/{app}/volumes/{volume}/snapshots", OPERATE, volume::snapshot)
        .delete(
            "/apps/{app}/volumes/{volume}/snapshots/{snapshot}",
            OPERATE,
            volume::remove_snapshot,
        )
        .post("/apps/{app}/volumes/{volume}/actions/restore", OPERATE, volume::restore)
        .get("/apps/{app}/volumes/{volume}/archive", OPERATE, volume::back_up)
        .post("/apps/{app}/volumes/{volume}/archive", OPERATE, volume::fill)
}

/// URLs that carry their own secret.
fn stream_routes() -> Endpoints {
    Endpoints::new()
        .get("/logs/{secret}", Needs::Nobody, log_session::stream)
        .put("/sources/{secret}", Needs::Nobody, source::upload)
        .get(build::STREAM_ROUTE, Needs::Nobody, build::stream)
        .get(release::STREAM_ROUTE, Needs::Nobody, release::stream)
        .get("/attach/{secret}", Needs::Nobody, crate::attach::attach)
        .get("/rendezvous/{secret}", Needs::Nobody, crate::rendezvous::upgrade)
        .get("/api/v2", Needs::Found, exec_manager::list)
        .put("/api/v2/{dyno}", Needs::Found, exec_manager::let_in)
}
