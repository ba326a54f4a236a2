//! Pipelines: themselves, their apps, promotions, review apps and setups.

mod coupling;
mod latest;
mod pipeline;
mod promotion;
mod repo;
mod review_app;
mod review_app_config;
mod setup;

use crate::convention::{ApiError, DEPLOY, Endpoints, Needs, VIEW, derived_id};
use crate::heroku::fixed;
use uuid::Uuid;
use windlass_control::{Platform, records};
use windlass_core::pipeline::Stage;
use windlass_wire::{IdReference, PipelineOwner};

pub(super) fn endpoints() -> Endpoints {
    pipeline_routes().merge(coupling_routes()).merge(promotion_routes()).merge(review_routes())
}

fn pipeline_routes() -> Endpoints {
    Endpoints::new()
        .get("/pipelines", Needs::Anybody, pipeline::list)
        .post("/pipelines", Needs::Anybody, pipeline::create)
        .get("/pipelines/{pipeline}", Needs::Found, pipeline::info)
        .patch("/pipelines/{pipeline}", Needs::Found, pipeline::update)
        .delete("/pipelines/{pipeline}", Needs::Found, pipeline::destroy)
        .get("/pipelines/{pipeline}/pipeline-stack", Needs::Found, pipeline::stack)
        .post("/pipeline-transfers", Needs::Found, pipeline::transfer)
        .get("/pipelines/{pipeline}/stage/{stage}/config-vars", Needs::Found, pipeline::config_vars)
        .patch(
            "/pipelines/{pipeline}/stage/{stage}/config-vars",
            Needs::Found,
            pipeline::update_config_vars,
        )
        .get("/pipelines/{pipeline}/latest-builds", Needs::Found, latest::builds)
        .get("/pipelines/{pipeline}/latest-releases", Needs::Found, latest::releases)
        .get("/pipelines/{pipeline}/latest-deployments", Needs::Found, latest::deployments)
        .post("/filters/apps", Needs::Found, coupling::filter)
}

fn coupling_routes() -> Endpoints {
    Endpoints::new()
        .get("/pipeline-couplings", Needs::Anybody, coupling::list)
        .post("/pipeline-couplings", Needs::Found, coupling::create)
        .get("/users/~/pipeline-couplings", Needs::Anybody, coupling::list)
        .get("/teams/{team}/pipeline-couplings", Needs::Found, coupling::list_of_team)
        .get("/pipelines/{pipeline}/pipeline-couplings", Needs::Found, coupling::list_of_pipeline)
        .get("/apps/{app}/pipeline-couplings", VIEW, coupling::of_app)
        .get("/pipeline-couplings/{coupling}", Needs::Found, coupling::info)
        .patch("/pipeline-couplings/{coupling}", Needs::Found, coupling::update)
        .delete("/pipeline-couplings/{coupling}", Needs::Found, coupling::remove)
}

fn promotion_routes() -> Endpoints {
    Endpoints::new()
        .post("/pipeline-promotions", Needs::Found, promotion::create)
        .get("/pipeline-promotions/{promotion}", Needs::Found, promotion::info)
        .get("/pipeline-promotions/{promotion}/promotion-targets", Needs::Found, promotion::targets)
        .get("/apps/{app}/pipeline-diff", DEPLOY, repo::diff)
}

fn review_routes() -> Endpoints {
    Endpoints::new()
        .post("/app-setups", Needs::Anybody, setup::create)
        .get("/app-setups/{setup}", Needs::Found, setup::info)
        .get("/pipelines/{pipeline}/repo", Needs::Found, repo::info)
        .put("/pipelines/{pipeline}/repo", Needs::Found, repo::connect)
        .delete("/pipelines/{pipeline}/repo", Needs::Found, repo::disconnect)
        .get("/pipelines/{pipeline}/repo/branches/{branch}", Needs::Found, repo::branch)
        .post("/pipelines/{pipeline}/git-webhook", Needs::Found, repo::enable_webhook)
        .delete("/pipelines/{pipeline}/git-webhook", Needs::Found, repo::disable_webhook)
        .post("/webhooks/pipelines/{pipeline}", Needs::Itself, repo::call)
        .get("/pipelines/{pipeline}/review-app-config", Needs::Found, review_app_config::info)
        .post("/pipelines/{pipeline}/review-app-config", Needs::Found, review_app_config::enable)
        .patch("/pipelines/{pipeline}/review-app-config", Needs::Found, review_app_config::update)
        .delete("/pipelines/{pipeline}/review-app-config", Needs::Found, review_app_config::disable)
        .post("/review-apps", Needs::Found, review_app::create)
        .get("/review-apps/{review_app}", Needs::Found, review_app::info)
        .delete("/review-apps/{review_app}", Needs::Found, review_app::destroy)
        .get("/pipelines/{pipeline}/review-apps", Needs::Found, review_app::list)
        .get("/apps/{app}/review-app", VIEW, review_app::of_app)
}

fn id(id: impl ToString) -> IdReference {
    IdReference { id: id.to_string() }
}

fn stage(text: &str) -> Result<Stage, ApiError> {
    text.parse().map_err(|error: windlass_core::pipeline::UnknownStage| {
        ApiError::invalid(error.to_string())
    })
}

/// Reads an owner out of a body.
fn owner(body: &PipelineOwner) -> Result<records::PipelineOwner, ApiError> {
    let kind = match body.kind.as_str() {
        "user" => records::OwnerKind::User,
        "team" => records::OwnerKind::Team,
        _ => return Err(ApiError::invalid("An owner's type is user or team.")),
    };
    let id: Uuid = body.id.parse().map_err(|_| ApiError::invalid("An owner's id is a UUID."))?;
    Ok(records::PipelineOwner { id, kind })
}

/// The same to give a pipeline away: people know each other by address, and teams by name.
fn owner_named(
    platform: &Platform,
    by: &records::User,
    body: &PipelineOwner,
) -> Result<records::PipelineOwner, ApiError> {
    let (id, kind) = match body.kind.as_str() {
        _ if body.id.parse::<Uuid>().is_ok() => return owner(body),
        "user" => (platform.user_named(by, &body.id)?.id.0, records::OwnerKind::User),
        "team" => (platform.team(by, &body.id)?.team.id.0, records::OwnerKind::Team),
        _ => return owner(body),
    };
    Ok(records::PipelineOwner { id, kind })
}

fn shown_owner(owner: records::PipelineOwner) -> PipelineOwner {
    PipelineOwner { id: owner.id.to_string(), kind: owner.kind.as_str().to_owned() }
}

/// Returns the number that clients want a repository to have.
fn repo_number(pipeline: &records::Pipeline) -> u32 {
    let bytes = *derived_id(pipeline.id.0, "repo").as_bytes();
    // Within what every client can hold.
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7fff_ffff
}

fn generation() -> windlass_wire::Reference {
    fixed::generation_reference()
}
