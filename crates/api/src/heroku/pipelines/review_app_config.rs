//! Whether a pipeline makes review apps by itself.

use super::repo_number;
use crate::convention::{ApiError, ApiResult, Caller, Control, JsonBody};
use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use windlass_control::pipelines::ReviewAppConfigUpdate;
use windlass_control::records::{self, Pipeline};
use windlass_wire as wire;

pub(super) async fn info(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<wire::ReviewAppConfig>> {
    let pipeline = platform.pipeline(&user, &name)?;
    Ok(Json(shape(&pipeline, platform.review_app_config(&pipeline)?)))
}

pub(super) async fn enable(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<wire::ReviewAppConfigUpdate>,
) -> ApiResult<(StatusCode, Json<wire::ReviewAppConfig>)> {
    let pipeline = platform.pipeline(&user, &name)?;
    if let Some(repo) = &body.repo {
        let known = platform.pipeline_repository(&pipeline)?;
        if ![&known.full_name, &known.url].contains(&repo) {
            return Err(ApiError::invalid(format!(
                "Review apps of {} come from {}: connect another repository with `windlass pipelines:connect`.",
                pipeline.name, known.full_name
            )));
        }
    }
    let config = platform.enable_review_apps(&user, &pipeline, &update_of(body)?)?;
    Ok((StatusCode::CREATED, Json(shape(&pipeline, config))))
}

pub(super) async fn update(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<wire::ReviewAppConfigUpdate>,
) -> ApiResult<Json<wire::ReviewAppConfig>> {
    let pipeline = platform.pipeline(&user, &name)?;
    let config = platform.update_review_app_config(&user, &pipeline, &update_of(body)?)?;
    Ok(Json(shape(&pipeline, config)))
}

pub(super) async fn disable(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<wire::ReviewAppConfig>> {
    let pipeline = platform.pipeline(&user, &name)?;
    let config = platform.disable_review_apps(&user, &pipeline)?;
    Ok(Json(shape(&pipeline, config)))
}

fn update_of(body: wire::ReviewAppConfigUpdate) -> ApiResult<ReviewAppConfigUpdate> {
    if body.wait_for_ci == Some(true) {
        return Err(ApiError::invalid(
            "There are no CI runs here to wait for: let your CI push the branch when it has passed.",
        ));
    }
    Ok(ReviewAppConfigUpdate {
        automatic: body.automatic_review_apps,
        destroy_stale: body.destroy_stale_apps,
        stale_days: body.stale_days,
        base_name: body.base_name,
    })
}

fn shape(pipeline: &Pipeline, config: records::ReviewAppConfig) -> wire::ReviewAppConfig {
    wire::ReviewAppConfig {
        pipeline_id: pipeline.id.to_string(),
        repo: wire::RepoId { id: repo_number(pipeline) },
        automatic_review_apps: config.automatic,
        destroy_stale_apps: config.destroy_stale,
        stale_days: config.stale_days,
        deploy_target: None,
        wait_for_ci: false,
        base_name: config.base_name,
    }
}
